"""Runs a decoder graph over rows of the KV cache: the prompt of one sequence, or one token of many.

Two kinds of graph are understood. Ours takes `seqlens_k`, `query_seqlens` and `logits_idx`, so the head runs only
where logits are wanted. The standard onnxruntime-genai graph takes `attention_mask`, and `position_ids` where it has
them, and computes logits for every token. Both must use GroupQueryAttention with past and present in one buffer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trivium_server.decoding.kv_cache import KVCache, KVLayout
from trivium_server.runtime.session import Binding, Session, missing_names

Ids = NDArray[np.int64]
Logits = NDArray[np.float32]

_RAGGED_INPUTS = {"seqlens_k", "total_sequence_length", "query_seqlens", "logits_idx"}


class GraphError(Exception):
    """The graph is not a decoder that can be served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorNames:
    """The names of the graph's inputs and outputs; `%d` stands for the layer."""

    input_ids: str = "input_ids"
    attention_mask: str = "attention_mask"
    position_ids: str = "position_ids"
    past_key: str = "past_key_values.%d.key"
    past_value: str = "past_key_values.%d.value"
    present_key: str = "present.%d.key"
    present_value: str = "present.%d.value"
    logits: str = "logits"


class Rows(Protocol):
    """The bound tensors of a contiguous range of slots."""

    def prefill(self, ids: Ids, past: int, *, want_logits: bool) -> Logits | None: ...

    def decode(self, tokens: list[int], pasts: list[int]) -> Logits: ...


class Decoder:
    """A graph bound to its KV cache. Used by the engine's thread alone."""

    def __init__(
        self, session: Session, names: TensorNames, *, num_layers: int, vocabulary_size: int, slots: int, capacity: int
    ) -> None:
        """Allocates the cache, `slots` sequences of up to `capacity` tokens. Raises GraphError for an unfit graph.

        `before_run` may be set: it is called right before each run, which lets go of the interpreter's lock.
        """
        self.before_run: Callable[[], None] = lambda: None
        self.cache = KVCache(_layout(session, names, num_layers), slots=slots, capacity=capacity)
        self.vocabulary_size = vocabulary_size
        self._session = session
        self._names = names
        self._rows: dict[tuple[int, int], Rows] = {}

    def prefill(self, ids: Ids, past: int, *, want_logits: bool) -> Logits | None:
        """Appends ids, shape (n,), to the staging slot, which holds `past` tokens.

        Returns the logits after the last id, shape (vocabulary,), a view that the next call overwrites.
        """
        return self._bound(self.cache.staging, 1).prefill(ids, past, want_logits=want_logits)

    def decode(self, tokens: list[int], *, min_rows: int = 1) -> Logits:
        """Appends tokens[i] to live slot i; returns logits, shape (len(tokens), vocabulary).

        The result is a view that the next call overwrites.

        min_rows: 2 pads a batch of one with a row that is thrown away. Matrix kernels differ between one row and
        several in the order of their sums, and never between several rows and more, so a padded sequence gets the same
        logits in whatever company it decodes.
        """
        pasts = self.cache.lengths
        count = len(tokens)
        assert count == len(pasts)
        pad = max(0, min_rows - count)
        logits = self._bound(0, count + pad).decode(tokens + [0] * pad, pasts + [0] * pad)
        self.cache.grow()
        return logits[:count]

    def warm_up(self, prefill_tokens: int) -> None:
        """Runs every shape that traffic will use once: reading that many tokens of a prompt, and each batch size.

        Leaves the cache empty. Raises SessionError when a run fails and GraphError when the graph produces NaN or
        infinity.
        """
        chunk = min(prefill_tokens, self.cache.capacity - 1)
        self.prefill(np.ones(chunk, np.int64), 0, want_logits=False)
        logits = self.prefill(np.ones(2, np.int64), 0, want_logits=True)
        if logits is None or not np.isfinite(logits).all():
            raise GraphError("the graph produces logits that are not finite")
        for count in range(1, self.cache.slots + 1):
            for _ in range(count):
                self.cache.append_staged(1)
            self.decode([1] * count)
            for slot in range(count - 1, -1, -1):
                self.cache.remove(slot)
        self.cache.release_staging()

    def _bound(self, first: int, count: int) -> Rows:
        rows = self._rows.get((first, count))
        if rows is None:
            binding = self._session.binding()
            for layer, (keys, values) in enumerate(self.cache.rows(first, count)):
                binding.bind_shared(self._names.past_key % layer, self._names.present_key % layer, keys)
                binding.bind_shared(self._names.past_value % layer, self._names.present_value % layer, values)
            run = partial(self._run, binding)
            if _is_ragged(self._session):
                rows = _RaggedRows(self._names, binding, run, count, self.vocabulary_size)
            else:
                rows = _MaskedRows(self._session, self._names, binding, run, self.vocabulary_size)
            self._rows[first, count] = rows
        return rows

    def _run(self, binding: Binding) -> None:
        self.before_run()
        binding.run()


class _RaggedRows:
    """Rows of our own graph. The two ways to run it bind different arrays under the same names."""

    def __init__(
        self, names: TensorNames, binding: Binding, run: Callable[[], None], count: int, vocabulary_size: int
    ) -> None:
        self._names, self._binding, self._run = names, binding, run
        self._seqlens_k = np.zeros(count, np.int32)
        self._total = np.zeros((), np.int32)
        self._query_seqlens = np.ones(count, np.int32)
        self._tokens = np.zeros((count, 1), np.int64)
        self._logits_idx = np.stack([np.arange(count), np.zeros(count, np.int64)], axis=1).astype(np.int64)
        self._logits = np.zeros((count, vocabulary_size), np.float32)
        self._no_logits = np.zeros((0, vocabulary_size), np.float32)
        self._is_bound_to_decode = False
        binding.bind_input("seqlens_k", self._seqlens_k)
        binding.bind_input("total_sequence_length", self._total)
        binding.bind_input("query_seqlens", self._query_seqlens)

    def prefill(self, ids: Ids, past: int, *, want_logits: bool) -> Logits | None:
        n = len(ids)
        self._is_bound_to_decode = False
        self._binding.bind_input(self._names.input_ids, ids.reshape(1, n))
        # With no index the head, a tenth of the work of a token, is not run at all.
        wanted = np.array([[0, n - 1]] if want_logits else np.zeros((0, 2)), np.int64)
        self._binding.bind_input("logits_idx", wanted)
        self._binding.bind_output(self._names.logits, self._logits if want_logits else self._no_logits)
        self._seqlens_k[0] = past + n - 1
        self._total[...] = past + n
        self._query_seqlens[0] = n
        self._run()
        return self._logits[0] if want_logits else None

    def decode(self, tokens: list[int], pasts: list[int]) -> Logits:
        if not self._is_bound_to_decode:
            self._binding.bind_input(self._names.input_ids, self._tokens)
            self._binding.bind_input("logits_idx", self._logits_idx)
            self._binding.bind_output(self._names.logits, self._logits)
            self._query_seqlens[:] = 1
            self._is_bound_to_decode = True
        self._tokens[:, 0] = tokens
        self._seqlens_k[:] = pasts
        self._total[...] = max(pasts) + 1
        self._run()
        return self._logits


class _MaskedRows:
    """Rows of the standard onnxruntime-genai graph."""

    def __init__(
        self, session: Session, names: TensorNames, binding: Binding, run: Callable[[], None], vocabulary_size: int
    ) -> None:
        self._names, self._binding, self._run = names, binding, run
        self._has_positions = names.position_ids in session.inputs
        self._dtype = session.outputs[names.logits].dtype
        self._vocabulary_size = vocabulary_size

    def prefill(self, ids: Ids, past: int, *, want_logits: bool) -> Logits | None:
        logits = self._logits(ids.reshape(1, -1), [past])
        return logits[0, -1] if want_logits else None

    def decode(self, tokens: list[int], pasts: list[int]) -> Logits:
        return self._logits(np.array(tokens, np.int64).reshape(-1, 1), pasts)[:, -1]

    def _logits(self, ids: Ids, pasts: list[int]) -> Logits:
        rows, n = ids.shape
        start = np.array(pasts, np.int64)[:, None]
        mask = (np.arange(max(pasts) + n) < start + n).astype(np.int64)
        self._binding.bind_input(self._names.input_ids, ids)
        self._binding.bind_input(self._names.attention_mask, mask)
        if self._has_positions:
            self._binding.bind_input(self._names.position_ids, start + np.arange(n))
        logits = np.zeros((rows, n, self._vocabulary_size), self._dtype)
        self._binding.bind_output(self._names.logits, logits)
        self._run()
        return logits.astype(np.float32, copy=False)


def _layout(session: Session, names: TensorNames, num_layers: int) -> KVLayout:
    """Checks the graph's inputs and outputs and returns the layout of its cache. Raises GraphError."""
    layers = range(num_layers)
    inputs = [names.input_ids, *(name % i for i in layers for name in (names.past_key, names.past_value))]
    outputs = [names.logits, *(name % i for i in layers for name in (names.present_key, names.present_value))]
    missing = missing_names(session.inputs, inputs) + missing_names(session.outputs, outputs)
    if missing:
        raise GraphError(f"the graph has no input or output named {', '.join(missing[:4])}")
    extra = set(session.inputs) - set(inputs)
    is_masked = names.attention_mask in extra and extra <= {names.attention_mask, names.position_ids}
    if not is_masked and not _is_ragged(session):
        raise GraphError(
            f"cannot serve a decoder graph with the inputs {', '.join(sorted(extra)) or 'ids and cache alone'}"
        )
    past = session.inputs[names.past_key % 0]
    if len(past.shape) != 4 or past.shape[1] is None or past.shape[3] is None:
        raise GraphError(f"{past.name} must have the shape (batch, kv_heads, length, head_dim), with fixed heads")
    return KVLayout(num_layers=num_layers, kv_heads=past.shape[1], head_dim=past.shape[3], dtype=past.dtype)


def _is_ragged(session: Session) -> bool:
    return set(session.inputs) >= _RAGGED_INPUTS
