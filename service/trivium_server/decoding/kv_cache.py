"""The keys and values of all sequences of a model, in one pool of slots.

Layout: for each layer one array for keys and one for values, shape (slots, kv_heads, capacity, head_dim). A slot holds
one sequence of up to `capacity` tokens. onnxruntime's GroupQueryAttention updates it in place when it is bound as past
and present at once, so tokens are never copied to grow a sequence.
"""

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class KVLayout:
    """What one token of one sequence takes."""

    num_layers: int
    kv_heads: int
    head_dim: int
    dtype: np.dtype[np.generic]

    @property
    def bytes_per_token(self) -> int:
        return 2 * self.num_layers * self.kv_heads * self.head_dim * self.dtype.itemsize


class KVCache:
    """The pool and its accounting. Used by the engine's thread alone.

    Sequences that decode are dense in slots 0 to num_live - 1, because a batch is a contiguous range of slots. A prompt
    is read into the staging slot, then copied behind them, once for each candidate: a small part of the prompt's own
    cost, for which nothing is ever fragmented.

    The pool takes address space for the most it may ever hold, and memory for what it holds now.
    """

    def __init__(self, layout: KVLayout, *, slots: int, capacity: int) -> None:
        # One slot for staging; one to spare, so that a batch of one can be padded to two rows even if slots is 1.
        self.staging = max(slots, 2)
        shape = (self.staging + 1, layout.kv_heads, capacity, layout.head_dim)
        self._memory = [_Memory(shape, layout.dtype) for _ in range(2 * layout.num_layers)]
        self._arrays = [memory.array for memory in self._memory]
        self.layout = layout
        self.slots = slots
        self.capacity = capacity
        self._lengths: list[int] = []

    @property
    def num_live(self) -> int:
        """Sequences in the dense range; 0 when none is alive."""
        return len(self._lengths)

    @property
    def num_free(self) -> int:
        return self.slots - self.num_live

    @property
    def lengths(self) -> list[int]:
        """Tokens held by each live slot, in slot order. Not to be changed."""
        return self._lengths

    def append_staged(self, num_tokens: int) -> int:
        """Copies the first tokens of the staging slot to a new live slot and returns it. A slot must be free."""
        assert self.num_free > 0
        slot = self.num_live
        for array in self._arrays:
            array[slot, :, :num_tokens] = array[self.staging, :, :num_tokens]
        self._lengths.append(num_tokens)
        return slot

    def grow(self) -> None:
        """Counts one more token in every live slot, after a decoding step."""
        self._lengths = [length + 1 for length in self._lengths]

    def remove(self, slot: int) -> int | None:
        """Ends a live slot. The last live slot moves into it; returns the slot that moved, None if there was none."""
        last = self.num_live - 1
        assert 0 <= slot <= last
        num_tokens = self._lengths.pop()
        if slot != last:
            for array in self._arrays:
                array[slot, :, :num_tokens] = array[last, :, :num_tokens]
            self._lengths[slot] = num_tokens
        self._release(last)
        return last if slot != last else None

    def release_staging(self) -> None:
        """Gives the staging slot's memory back; its tokens are gone."""
        self._release(self.staging)

    def _release(self, slot: int) -> None:
        for memory in self._memory:
            memory.release(slot)

    def rows(self, first: int, count: int) -> Iterator[tuple[NDArray[np.generic], NDArray[np.generic]]]:
        """Yields each layer's keys and values of `count` slots from `first`, as views."""
        for layer in range(self.layout.num_layers):
            keys, values = self._arrays[2 * layer : 2 * layer + 2]
            yield keys[first : first + count], values[first : first + count]


class _Memory:
    """An array of slots whose pages come when they are written and go when a slot is released.

    numpy's own allocation asks for huge pages, where the first token of a slot would take memory for thousands.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
        self._slot_bytes = math.prod(shape[1:]) * dtype.itemsize
        self._map = mmap.mmap(-1, shape[0] * self._slot_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            self._map.madvise(mmap.MADV_NOHUGEPAGE)
        self.array: NDArray[np.generic] = np.frombuffer(self._map, dtype).reshape(shape)

    def release(self, slot: int) -> None:
        """Gives back the pages that lie wholly within a slot. What is read there afterwards is unspecified."""
        start = -(-slot * self._slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (slot + 1) * self._slot_bytes // mmap.PAGESIZE * mmap.PAGESIZE
        if end > start and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED, start, end - start)
