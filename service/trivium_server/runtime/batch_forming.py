"""Forms a batch around the item whose turn it is, from what waits and is similar in length.

A batch costs its longest item times its number of items, because shorter ones are padded.
"""

import sys
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Protocol, TypeVar

# A heap of so few turns is not worth tidying up.
_SMALL_HEAP = 64


class HasLength(Protocol):
    """What can be batched: length is what it costs to run alone, in tokens, at least 1."""

    @property
    def length(self) -> int: ...


Item = TypeVar("Item", bound=HasLength)

# When it may lead, in virtual time, and its number, by which it is known: the order in which items lead.
Turn = tuple[float, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPolicy:
    """How batches are formed.

    A batch has at most budget_tokens, padding included; a longer item runs alone. At most max_padding of a batch is
    padding, or run_overhead_tokens if that is more: what one more run costs beside its tokens, so that two smaller
    batches would not be cheaper. (Measured for MiniLM with one thread: a run costs as much as 21 to 29 tokens.)
    max_items: how many items a batch has at most, where company gains nothing.
    """

    budget_tokens: int
    max_padding: float = 0.1
    run_overhead_tokens: int = 24
    max_items: int = sys.maxsize


class Draft:
    """The sizes of a batch that is being formed."""

    __slots__ = ("_budget", "_policy", "count", "longest", "total")

    def __init__(self, leader_length: int, policy: BatchPolicy, budget_tokens: int) -> None:
        self._policy = policy
        self._budget = budget_tokens
        self.count = 1
        self.longest = self.total = leader_length

    @property
    def padded(self) -> int:
        return self.longest * self.count

    def added_padding(self, length: int) -> int:
        """Returns how much more padding there is with one more item."""
        return self.longest - length if length <= self.longest else (length - self.longest) * self.count

    def admits(self, length: int) -> bool:
        if self.count == self._policy.max_items:
            return False
        padded = max(self.longest, length) * (self.count + 1)
        allowed = max(self._policy.max_padding * padded, self._policy.run_overhead_tokens)
        return padded <= self._budget and padded - self.total - length <= allowed

    def add(self, length: int) -> None:
        self.count += 1
        self.total += length
        self.longest = max(self.longest, length)


class TurnIndex:
    """Turns of waiting items, by order and by length. What is no longer in waiting has left, and is skipped."""

    def __init__(self, waiting: Mapping[int, HasLength]) -> None:
        self._waiting = waiting
        self._all = _Heap(waiting)
        self._by_length: dict[int, _Heap] = {}
        self._lengths: list[int] = []

    def add(self, turn: Turn, length: int) -> None:
        self._all.push(turn)
        heap = self._by_length.get(length)
        if heap is None:
            heap = self._by_length[length] = _Heap(self._waiting)
            insort(self._lengths, length)
        heap.push(turn)

    def first(self) -> Turn | None:
        return self._all.first()

    def fill(self, draft: Draft, before: float) -> Iterator[int]:
        """Adds to a draft what fits it and has its turn before that time, the nearest in length first.

        Yields the numbers of these items; each must have left before the next is asked for.
        """
        middle = bisect_right(self._lengths, draft.longest)
        all_shorter = self._candidates(self._lengths[:middle][::-1], before)
        all_longer = self._candidates(self._lengths[middle:], before)
        shorter, longer = next(all_shorter, None), next(all_longer, None)
        while (number := self._nearest(draft, shorter, longer)) is not None:
            length = self._waiting[number].length
            fits = draft.admits(length)
            if fits:
                draft.add(length)
                yield number
            # What does not fit now will not fit later.
            if number == shorter:
                shorter = next(all_shorter, None) if fits else None
            else:
                longer = next(all_longer, None) if fits else None

    def _candidates(self, lengths: Iterable[int], before: float) -> Iterator[int]:
        for length in lengths:
            heap = self._by_length[length]
            while (turn := heap.first()) is not None and turn[0] < before:
                yield turn[1]
            if turn is None:
                del self._by_length[length]
                self._lengths.pop(bisect_right(self._lengths, length) - 1)

    def _nearest(self, draft: Draft, shorter: int | None, longer: int | None) -> int | None:
        """Returns the one that adds less padding."""
        if shorter is None or longer is None:
            return longer if shorter is None else shorter
        added = [draft.added_padding(self._waiting[number].length) for number in (shorter, longer)]
        return shorter if added[0] <= added[1] else longer


class _Heap:
    """Turns, lowest first."""

    __slots__ = ("_tidy_at", "_turns", "_waiting")

    def __init__(self, waiting: Mapping[int, HasLength]) -> None:
        self._waiting = waiting
        self._turns: list[Turn] = []
        self._tidy_at = _SMALL_HEAP

    def push(self, turn: Turn) -> None:
        if len(self._turns) >= self._tidy_at:
            self._turns = [turn for turn in self._turns if turn[1] in self._waiting]
            heapify(self._turns)
            self._tidy_at = max(2 * len(self._turns), _SMALL_HEAP)
        heappush(self._turns, turn)

    def first(self) -> Turn | None:
        while self._turns and self._turns[0][1] not in self._waiting:
            heappop(self._turns)
        return self._turns[0] if self._turns else None
