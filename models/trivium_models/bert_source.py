"""Reads a BERT encoder as Hugging Face publishes it, config.json and model.safetensors, without PyTorch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from trivium_models.errors import InvalidModelError
from trivium_models.json_file import JsonFile

Floats = NDArray[np.float32]

# What some checkpoints carry and a sentence encoder does not use: the constant 0, 1, 2, … and the head for [CLS].
_UNUSED = frozenset({"embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BertShape:
    """Hyper-parameters of a BERT encoder; lengths are in elements, num_positions is the longest text in tokens."""

    num_layers: int
    hidden_len: int
    feed_forward_len: int
    num_heads: int
    num_positions: int
    num_types: int
    vocab_len: int
    norm_epsilon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """y = x @ weights + bias; weights has shape (inputs, outputs), bias (outputs,)."""

    weights: Floats
    bias: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A layer norm; gain and bias have shape (hidden,)."""

    gain: Floats
    bias: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One encoder layer, post-norm; qkv is the stacked projection to queries, keys and values."""

    qkv: Linear
    attention_output: Linear
    attention_norm: Norm
    up: Linear
    down: Linear
    output_norm: Norm


@dataclass(frozen=True, slots=True, kw_only=True)
class BertModel:
    """All weights of an encoder. The tables have shape (entries, hidden)."""

    shape: BertShape
    words: Floats
    positions: Floats
    types: Floats
    embedding_norm: Norm
    layers: tuple[Layer, ...]


def read_bert(config: Path, weights: Path, on_layer: Callable[[int, int], None] = lambda _d, _t: None) -> BertModel:
    """Reads all weights of an encoder as float32; calls on_layer(done, total) as it goes.

    Raises InvalidModelError, naming key or tensor, when a file is damaged, when something is missing or misshapen, or
    when the model computes something that the exporter does not know.
    """
    shape = _read_shape(JsonFile.read(config))
    try:
        with safe_open(weights, framework="np") as opened:
            reader = _Reader(weights.name, {name: opened.get_slice(name) for name in opened.keys()})  # noqa: SIM118 - it cannot be iterated itself
            return _read_model(reader, shape, on_layer)
    except SafetensorError as error:
        raise InvalidModelError(f"{weights.name} is not a complete safetensors file ({error})") from error


def _read_shape(config: JsonFile) -> BertShape:
    supported = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
    for key, wanted in supported.items():
        if (value := config.text(key, wanted)) != wanted:
            raise InvalidModelError(f"{config.name}: {key} is {value!r}; only {wanted!r} is supported")
    shape = BertShape(
        num_layers=config.count("num_hidden_layers"),
        hidden_len=config.count("hidden_size"),
        feed_forward_len=config.count("intermediate_size"),
        num_heads=config.count("num_attention_heads"),
        num_positions=config.count("max_position_embeddings"),
        num_types=config.count("type_vocab_size"),
        vocab_len=config.count("vocab_size"),
        norm_epsilon=config.number("layer_norm_eps"),
    )
    if shape.hidden_len % shape.num_heads:
        raise InvalidModelError(
            f"{config.name}: hidden_size ({shape.hidden_len}) is no multiple of num_attention_heads ({shape.num_heads})"
        )
    return shape


def _read_model(reader: "_Reader", shape: BertShape, on_layer: Callable[[int, int], None]) -> BertModel:
    hidden = shape.hidden_len
    layers = []
    for index in range(shape.num_layers):
        layers.append(_read_layer(reader, shape, index))
        on_layer(index + 1, shape.num_layers)
    model = BertModel(
        shape=shape,
        words=reader.tensor("embeddings.word_embeddings.weight", shape.vocab_len, hidden),
        positions=reader.tensor("embeddings.position_embeddings.weight", shape.num_positions, hidden),
        types=reader.tensor("embeddings.token_type_embeddings.weight", shape.num_types, hidden),
        embedding_norm=reader.norm("embeddings.LayerNorm", hidden),
        layers=tuple(layers),
    )
    reader.require_all_read()
    return model


def _read_layer(reader: "_Reader", shape: BertShape, index: int) -> Layer:
    at, hidden, inner = f"encoder.layer.{index}", shape.hidden_len, shape.feed_forward_len
    parts = [reader.linear(f"{at}.attention.self.{part}", hidden, hidden) for part in ("query", "key", "value")]
    return Layer(
        qkv=Linear(
            weights=np.concatenate([part.weights for part in parts], axis=1),
            bias=np.concatenate([part.bias for part in parts]),
        ),
        attention_output=reader.linear(f"{at}.attention.output.dense", hidden, hidden),
        attention_norm=reader.norm(f"{at}.attention.output.LayerNorm", hidden),
        up=reader.linear(f"{at}.intermediate.dense", hidden, inner),
        down=reader.linear(f"{at}.output.dense", inner, hidden),
        output_norm=reader.norm(f"{at}.output.LayerNorm", hidden),
    )


class _Reader:
    """Tensors by name, without the "bert." that some checkpoints put before each; remembers which were read."""

    def __init__(self, file: str, slices: dict[str, object]) -> None:
        self._file = file
        self._slices = {name.removeprefix("bert."): found for name, found in slices.items()}
        self._unread = set(self._slices) - _UNUSED

    def tensor(self, name: str, *shape: int) -> Floats:
        found = self._slices.get(name)
        if found is None:
            raise InvalidModelError(f"{self._file}: tensor {name} is missing")
        values = np.asarray(found[:])  # type: ignore[index]  # safetensors does not export the type of its slices
        if values.shape != shape:
            raise InvalidModelError(f"{self._file}: tensor {name} has shape {values.shape}; config.json says {shape}")
        if values.dtype not in (np.float32, np.float16):
            raise InvalidModelError(f"{self._file}: tensor {name} is {values.dtype}; only float32 and float16 are read")
        self._unread.discard(name)
        return values.astype(np.float32)

    def linear(self, name: str, inputs: int, outputs: int) -> Linear:
        weights = np.ascontiguousarray(self.tensor(f"{name}.weight", outputs, inputs).T)
        return Linear(weights=weights, bias=self.tensor(f"{name}.bias", outputs))

    def norm(self, name: str, length: int) -> Norm:
        return Norm(gain=self.tensor(f"{name}.weight", length), bias=self.tensor(f"{name}.bias", length))

    def require_all_read(self) -> None:
        if self._unread:
            raise InvalidModelError(
                f"{self._file}: tensor {min(self._unread)} has no place in the encoder (of {len(self._unread)} such)"
            )
