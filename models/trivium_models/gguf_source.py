"""Reads Llama-family GGUF files: hyper-parameters and weights, with every doubt turned into a clear error."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFReader, ReaderTensor
from numpy.typing import NDArray

from trivium_models.errors import InvalidGgufError
from trivium_models.quantized import Matrix, read_float, read_matrix

_MAX_LAYERS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaShape:
    """Hyper-parameters of a Llama-family decoder. Lengths are in elements; rope_theta is the rotary base."""

    num_layers: int
    hidden_len: int
    feed_forward_len: int
    num_heads: int
    num_kv_heads: int
    head_len: int
    context_len: int
    vocab_len: int
    rms_epsilon: float
    rope_theta: float


class GgufSource:
    """One GGUF file, opened for reading (memory-mapped). Not safe for concurrent use.

    Raises InvalidGgufError when the file is not GGUF, is cut short, or lacks what is asked of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._reader = GGUFReader(path)
        except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError, MemoryError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InvalidGgufError(f"{path.name} is not a complete GGUF file ({reason})") from error
        self._tensors = {tensor.name: tensor for tensor in self._reader.tensors}
        self._read: set[str] = set()

    def has(self, key: str) -> bool:
        """Whether the metadata has that key."""
        return key in self._reader.fields

    def text(self, key: str, default: str | None = None) -> str:
        """A string of the metadata; InvalidGgufError names the key when it is missing without a default."""
        value = self._value(key, default)
        if not isinstance(value, str):
            raise InvalidGgufError(f"{self.path.name}: metadata key {key} is not a string")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number of the metadata."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidGgufError(f"{self.path.name}: metadata key {key} is not a number")
        return float(value)

    def count(self, key: str, default: int | None = None) -> int:
        """A positive whole number of the metadata."""
        value = self._value(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise InvalidGgufError(
                f"{self.path.name}: metadata key {key} must be a positive whole number, not {value!r}"
            )
        return value

    def token_id(self, key: str) -> int | None:
        """A token id of the metadata, or None where the file names none."""
        if not self.has(key):
            return None
        value = self._value(key, None)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean of the metadata."""
        return bool(self._value(key, default))

    def texts(self, key: str) -> list[str]:
        """A list of strings of the metadata."""
        value = self._value(key, None)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InvalidGgufError(f"{self.path.name}: metadata key {key} is not a list of strings")
        return value

    def numbers(self, key: str) -> list[int]:
        """A list of whole numbers of the metadata."""
        value = self._value(key, None)
        if not isinstance(value, list) or not all(isinstance(item, int) for item in value):
            raise InvalidGgufError(f"{self.path.name}: metadata key {key} is not a list of whole numbers")
        return value

    def has_tensor(self, name: str) -> bool:
        """Whether the file holds that tensor."""
        return name in self._tensors

    def matrix(self, name: str, rows: int, columns: int) -> Matrix:
        """A weight matrix, shape (rows, columns); InvalidGgufError when it is missing or of another shape."""
        return read_matrix(self._tensor(name, (rows, columns)))

    def vector(self, name: str, length: int) -> NDArray[np.float32]:
        """A weight vector as float32, shape (length,)."""
        return read_float(self._tensor(name, (length,)))

    def unread_tensors(self) -> list[str]:
        """Tensors that nobody asked for: a model that has some computes something that the exporter does not know."""
        return sorted(set(self._tensors) - self._read)

    def shape(self) -> LlamaShape:
        """The hyper-parameters. Refuses other architectures, mixtures of experts, and rotary scaling."""
        architecture = self.text("general.architecture")
        if architecture != "llama":
            raise InvalidGgufError(f"{self.path.name}: architecture {architecture!r} is not supported; only 'llama' is")
        self._refuse_variants()
        hidden_len, num_heads = self.count("llama.embedding_length"), self.count("llama.attention.head_count")
        num_kv_heads = self.count("llama.attention.head_count_kv", num_heads)
        head_len = self.count("llama.attention.key_length", hidden_len // num_heads)
        rotary_len = self.count("llama.rope.dimension_count", head_len)
        if rotary_len != head_len or head_len % 2 or self.count("llama.attention.value_length", head_len) != head_len:
            raise InvalidGgufError(
                f"{self.path.name}: key, value and rotary dimensions must be equal and even; "
                f"llama.rope.dimension_count is {rotary_len}, the head size {head_len}"
            )
        if num_heads % num_kv_heads:
            raise InvalidGgufError(
                f"{self.path.name}: llama.attention.head_count ({num_heads}) "
                f"is no multiple of head_count_kv ({num_kv_heads})"
            )
        num_layers = self.count("llama.block_count")
        if num_layers > _MAX_LAYERS:
            raise InvalidGgufError(
                f"{self.path.name}: llama.block_count is {num_layers}; at most {_MAX_LAYERS} are supported"
            )
        return LlamaShape(
            num_layers=num_layers,
            hidden_len=hidden_len,
            feed_forward_len=self.count("llama.feed_forward_length"),
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_len=head_len,
            context_len=self.count("llama.context_length"),
            vocab_len=len(self.texts("tokenizer.ggml.tokens")),
            rms_epsilon=self.number("llama.attention.layer_norm_rms_epsilon"),
            rope_theta=self.number("llama.rope.freq_base", 10000.0),
        )

    def _refuse_variants(self) -> None:
        scaling = self.text("llama.rope.scaling.type", "none")
        if scaling != "none":
            raise InvalidGgufError(
                f"{self.path.name}: rotary scaling {scaling!r} (llama.rope.scaling.type) is not supported"
            )
        if self.has("llama.rope.scale_linear") and self.number("llama.rope.scale_linear") != 1.0:
            raise InvalidGgufError(f"{self.path.name}: rotary scaling (llama.rope.scale_linear) is not supported")
        if self.has_tensor("rope_freqs.weight"):
            raise InvalidGgufError(f"{self.path.name}: rotary frequency factors (rope_freqs.weight) are not supported")
        if self.has("llama.expert_count") and self.number("llama.expert_count") > 0:
            raise InvalidGgufError(f"{self.path.name}: mixtures of experts (llama.expert_count) are not supported")

    def _tensor(self, name: str, shape: tuple[int, ...]) -> ReaderTensor:
        tensor = self._tensors.get(name)
        if tensor is None:
            raise InvalidGgufError(f"{self.path.name}: tensor {name} is missing")
        actual = tuple(int(size) for size in reversed(tensor.shape))
        if actual != shape:
            raise InvalidGgufError(f"{self.path.name}: tensor {name} has shape {actual}; the metadata says {shape}")
        self._read.add(name)
        return tensor

    def _value(self, key: str, default: object) -> object:
        field = self._reader.fields.get(key)
        if field is not None:
            value: object = field.contents()
            return value
        if default is None:
            raise InvalidGgufError(f"{self.path.name}: metadata key {key} is missing")
        return default
