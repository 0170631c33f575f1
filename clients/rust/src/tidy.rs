//! Keeps tonic from panicking over `grpc-status-details-bin` that is no base64, from dropping a status whose message is
//! no UTF-8, and from reading a proxy's page as messages: none may hide what happened.

use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Frame, SizeHint};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use tonic::Code;
use tower_service::Service;

const STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";
const MESSAGE: &str = "grpc-message";

/// As tonic reads it: with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A channel whose answers are made readable.
#[derive(Clone)]
pub(crate) struct Tidy<T>(pub(crate) T);

impl<T, Request, Body> Service<Request> for Tidy<T>
where
    T: Service<Request, Response = http::Response<Body>>,
    T::Future: Send + 'static,
    T::Error: 'static,
{
    type Response = http::Response<Tidy<Body>>;
    type Error = T::Error;
    type Future = Answer<T::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Answer(Box::pin(self.0.call(request)))
    }
}

/// The answer of a [`Tidy`] channel.
pub(crate) struct Answer<F>(Pin<Box<F>>);

impl<F, Body, E> Future for Answer<F>
where
    F: Future<Output = Result<http::Response<Body>, E>>,
{
    type Output = Result<http::Response<Tidy<Body>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map_ok(|mut response| {
            tidy(response.headers_mut());
            let (status, headers) = (response.status(), response.headers_mut());
            if !headers.contains_key(STATUS) && !is_grpc(status, headers) {
                headers.insert(STATUS, HeaderValue::from(code_of(status) as i32));
                let text = format!("no gRPC server answered, but one of HTTP, with {status}");
                headers.insert(MESSAGE, HeaderValue::try_from(text).expect("a status of HTTP is ASCII"));
            }
            response.map(Tidy)
        })
    }
}

impl<B: http_body::Body + Unpin> http_body::Body for Tidy<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_ok(|mut frame| {
            if let Some(trailers) = frame.trailers_mut() {
                tidy(trailers);
            }
            frame
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn is_grpc(status: StatusCode, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    status == StatusCode::OK && kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// What a status of HTTP stands for, see "HTTP to gRPC Status Code Mapping" of gRPC.
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}

fn tidy(headers: &mut HeaderMap) {
    let details = headers.get(DETAILS);
    if details.is_some_and(|packed| BASE64.decode(packed).is_err()) {
        headers.remove(DETAILS);
    }
    let message = headers.get(MESSAGE).map(|text| percent_decode(text.as_bytes()).decode_utf8_lossy());
    if let Some(readable) = message.filter(|text| text.contains(char::REPLACEMENT_CHARACTER)) {
        let encoded = utf8_percent_encode(&readable, NON_ALPHANUMERIC).to_string();
        let value = HeaderValue::from_str(&encoded).expect("percent encoding leaves ASCII");
        headers.insert(MESSAGE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(name: &'static str, value: &[u8]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        tidy(&mut headers);
        headers.get(name).map(|value| value.as_bytes().to_vec())
    }

    #[test]
    fn only_unreadable_details_are_removed() {
        for (packed, is_kept) in [(&b"CAU"[..], true), (b"CAU=", true), (b"%%%", false), (b"A", false), (b"", true)] {
            assert_eq!(tidied(DETAILS, packed).is_some(), is_kept, "{packed:?}");
        }
    }

    #[test]
    fn a_message_that_is_no_utf8_is_mended() {
        assert_eq!(tidied(MESSAGE, b"plain %41").unwrap(), b"plain %41");
        let mended = tidied(MESSAGE, b"caf%E9").unwrap();
        assert_eq!(percent_decode(&mended).decode_utf8().unwrap(), "caf\u{fffd}");
    }
}
