//! How messages cross the wire: requests are serialized once, before the first attempt.

use std::marker::PhantomData;

use bytes::{BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

pub(crate) struct SerializedCodec<Res>(PhantomData<fn() -> Res>);

impl<Res> Default for SerializedCodec<Res> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Res: Message + Default + 'static> Codec for SerializedCodec<Res> {
    type Encode = Bytes;
    type Decode = Res;
    type Encoder = SerializedEncoder;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        SerializedEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        Self::default()
    }
}

pub(crate) struct SerializedEncoder;

impl Encoder for SerializedEncoder {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(item.len());
        into.put(item);
        Ok(())
    }
}

impl<Res: Message + Default> Decoder for SerializedCodec<Res> {
    type Item = Res;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Res>, Status> {
        match Res::decode(from) {
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(Status::internal(format!("the response cannot be read: {error}"))),
        }
    }
}
