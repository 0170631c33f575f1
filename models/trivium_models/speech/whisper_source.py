"""Reads a Whisper model out of CTranslate2's model.bin. Source: Radford et al. 2022 (Whisper)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trivium_models.bert_source import Linear, Norm
from trivium_models.errors import InvalidModelError
from trivium_models.speech.ct2_source import Ct2Source

Floats = NDArray[np.float32]

_KIND = "WhisperSpec"
_KERNEL_LEN = 3
_GELU = 3
# What the graph takes for granted, and what else stands in the file: a default for aligning that nobody uses.
_SETTINGS = {
    "decoder/activation": _GELU,
    "decoder/alibi": 0,
    "decoder/pre_norm": 1,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
    "decoder/alignment_heads": None,
    "decoder/alignment_layer": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperShape:
    """Hyper-parameters; lengths are in elements.

    num_audio_positions: frames that the encoder gives for its whole window, one per 20 ms. num_text_positions: tokens
    of the longest text, prompt included.
    """

    num_mels: int
    hidden_len: int
    feed_forward_len: int
    num_heads: int
    num_encoder_layers: int
    num_decoder_layers: int
    num_audio_positions: int
    num_text_positions: int
    vocab_len: int

    @property
    def head_len(self) -> int:
        """Elements of one attention head."""
        return self.hidden_len // self.num_heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """kernel has shape (outputs, inputs, 3), bias (outputs,)."""

    kernel: Floats
    bias: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfAttention:
    """Pre-norm attention; qkv is the stacked projection to queries, keys and values."""

    norm: Norm
    qkv: Linear
    output: Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossAttention:
    """Pre-norm attention to what the encoder heard; key and value read the encoder's states."""

    norm: Norm
    query: Linear
    key: Linear
    value: Linear
    output: Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedForward:
    """down(gelu(up(norm(x))))."""

    norm: Norm
    up: Linear
    down: Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderLayer:
    """One layer of the encoder."""

    attention: SelfAttention
    feed_forward: FeedForward


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderLayer:
    """One layer of the decoder."""

    attention: SelfAttention
    cross: CrossAttention
    feed_forward: FeedForward


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperModel:
    """All weights. Tables have shape (entries, hidden); the logits are products with the rows of `words`."""

    shape: WhisperShape
    convolutions: tuple[Convolution, Convolution]
    audio_positions: Floats
    encoder_layers: tuple[EncoderLayer, ...]
    encoder_norm: Norm
    words: Floats
    text_positions: Floats
    decoder_layers: tuple[DecoderLayer, ...]
    decoder_norm: Norm


def read_whisper(weights: Path) -> WhisperModel:
    """Reads all weights as float32.

    Raises InvalidModelError, naming the tensor, when the file is damaged, quantised, not a Whisper model, or computes
    something that the exporter does not know.
    """
    source = Ct2Source.open(weights)
    if source.kind != _KIND:
        raise InvalidModelError(f"{source.name} holds a {source.kind!r}; a Whisper model is a {_KIND!r}")
    for name, wanted in _SETTINGS.items():
        value = source.integer(name)
        if wanted is not None and value != wanted:
            raise InvalidModelError(f"{source.name}: {name} is {value}; only {wanted} is supported")
    model = _Reader(source).model()
    source.require_all_taken()
    return model


class _Reader:
    def __init__(self, source: Ct2Source) -> None:
        self._source = source
        self._shape = _read_shape(source)

    def model(self) -> WhisperModel:
        shape, floats = self._shape, self._source.floats
        hidden = shape.hidden_len
        words = floats("decoder/embeddings/weight", shape.vocab_len, hidden)
        if not np.array_equal(words, floats("decoder/projection/weight", shape.vocab_len, hidden)):
            raise InvalidModelError(f"{self._source.name}: decoder/projection is not the token table")
        return WhisperModel(
            shape=shape,
            convolutions=(
                self._convolution("encoder/conv1", shape.num_mels),
                self._convolution("encoder/conv2", hidden),
            ),
            audio_positions=floats("encoder/position_encodings/encodings", shape.num_audio_positions, hidden),
            encoder_layers=tuple(self._encoder_layer(index) for index in range(shape.num_encoder_layers)),
            encoder_norm=self._norm("encoder/layer_norm"),
            words=words,
            text_positions=floats("decoder/position_encodings/encodings", shape.num_text_positions, hidden),
            decoder_layers=tuple(self._decoder_layer(index) for index in range(shape.num_decoder_layers)),
            decoder_norm=self._norm("decoder/layer_norm"),
        )

    def _encoder_layer(self, index: int) -> EncoderLayer:
        at = f"encoder/layer_{index}"
        return EncoderLayer(
            attention=self._self_attention(f"{at}/self_attention"), feed_forward=self._feed_forward(f"{at}/ffn")
        )

    def _decoder_layer(self, index: int) -> DecoderLayer:
        at, hidden = f"decoder/layer_{index}", self._shape.hidden_len
        stacked = self._linear(f"{at}/attention/linear_1", hidden, 2 * hidden)
        key, value = (
            Linear(weights=np.ascontiguousarray(stacked.weights[:, part]), bias=stacked.bias[part])
            for part in (slice(0, hidden), slice(hidden, 2 * hidden))
        )
        cross = CrossAttention(
            norm=self._norm(f"{at}/attention/layer_norm"),
            query=self._linear(f"{at}/attention/linear_0", hidden, hidden),
            key=key,
            value=value,
            output=self._linear(f"{at}/attention/linear_2", hidden, hidden),
        )
        return DecoderLayer(
            attention=self._self_attention(f"{at}/self_attention"),
            cross=cross,
            feed_forward=self._feed_forward(f"{at}/ffn"),
        )

    def _self_attention(self, at: str) -> SelfAttention:
        hidden = self._shape.hidden_len
        return SelfAttention(
            norm=self._norm(f"{at}/layer_norm"),
            qkv=self._linear(f"{at}/linear_0", hidden, 3 * hidden),
            output=self._linear(f"{at}/linear_1", hidden, hidden),
        )

    def _feed_forward(self, at: str) -> FeedForward:
        hidden, inner = self._shape.hidden_len, self._shape.feed_forward_len
        return FeedForward(
            norm=self._norm(f"{at}/layer_norm"),
            up=self._linear(f"{at}/linear_0", hidden, inner),
            down=self._linear(f"{at}/linear_1", inner, hidden),
        )

    def _convolution(self, at: str, num_inputs: int) -> Convolution:
        hidden = self._shape.hidden_len
        return Convolution(
            kernel=self._source.floats(f"{at}/weight", hidden, num_inputs, _KERNEL_LEN),
            bias=self._source.floats(f"{at}/bias", hidden),
        )

    def _linear(self, at: str, inputs: int, outputs: int) -> Linear:
        stored = self._source.floats(f"{at}/weight", outputs, inputs)
        return Linear(weights=np.ascontiguousarray(stored.T), bias=self._source.floats(f"{at}/bias", outputs))

    def _norm(self, at: str) -> Norm:
        hidden = self._shape.hidden_len
        return Norm(gain=self._source.floats(f"{at}/gamma", hidden), bias=self._source.floats(f"{at}/beta", hidden))


def _read_shape(source: Ct2Source) -> WhisperShape:
    hidden_len, num_mels, _ = source.shape("encoder/conv1/weight", 3)
    heads = {source.integer("encoder/num_heads"), source.integer("decoder/num_heads")}
    num_heads = heads.pop()
    if heads or num_heads < 1 or hidden_len % num_heads:
        raise InvalidModelError(f"{source.name}: num_heads must divide {hidden_len}, the same in encoder and decoder")
    return WhisperShape(
        num_mels=num_mels,
        hidden_len=hidden_len,
        feed_forward_len=source.shape("encoder/layer_0/ffn/linear_0/weight", 2)[0],
        num_heads=num_heads,
        num_encoder_layers=_count_layers(source, "encoder"),
        num_decoder_layers=_count_layers(source, "decoder"),
        num_audio_positions=source.shape("encoder/position_encodings/encodings", 2)[0],
        num_text_positions=source.shape("decoder/position_encodings/encodings", 2)[0],
        vocab_len=source.shape("decoder/embeddings/weight", 2)[0],
    )


def _count_layers(source: Ct2Source, part: str) -> int:
    count = 0
    while source.has(f"{part}/layer_{count}/ffn/layer_norm/gamma"):
        count += 1
    return count
