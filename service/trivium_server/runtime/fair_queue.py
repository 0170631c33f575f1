"""What waits to run, and whose turn it is. Pure: no threads, no model, the time is passed in.

Turns follow start-time fair queueing (Goyal, Vin & Cheng 1996): an item is stamped with its lane's virtual time when it
arrives, a lane advances by the tokens that it brings, and the lowest stamp leads the next batch; batch_forming says who
joins it. Two rules are added. A lane that waits with no more than one budget, and asks for no more than its fair share,
goes ahead of the rest, in batches of its kind, so that a query waits neither behind a bulk job nor for one; while
others wait, every fifth budget is theirs. And virtual time advances with the work done, so that lanes that arrive all
the time hold back none that waits.
"""

import math
from collections.abc import Sequence
from typing import Generic

from trivium_server.runtime.batch_forming import BatchPolicy, Draft, Item, Turn, TurnIndex

# Budgets' worth of batches that may go ahead in a row while others wait.
_MAX_AHEAD = 4

# Budgets' worth of a lane's turns that may come early, in batches led by others. It bounds how unfair that can be.
_LOOK_AHEAD = 32


class Lane:
    """One caller's place in a queue. Its items share one deadline, on a clock that the queue's owner chooses."""

    __slots__ = ("_finish", "_waiting", "_waiting_tokens", "deadline_s")

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        self._finish = 0.0
        self._waiting: set[int] = set()
        self._waiting_tokens = 0

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)


class _Entry(Generic[Item]):
    __slots__ = ("item", "lane", "length")

    def __init__(self, lane: Lane, item: Item) -> None:
        self.lane = lane
        self.item = item
        self.length = item.length


class FairQueue(Generic[Item]):
    """Not to be used by two threads at once. Adding and taking an item costs O(log n) of what waits."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._num_added = 0
        self._now = 0.0
        self._latest_finish = 0.0
        self._ahead_tokens = 0
        self._waiting_tokens = 0
        self._entries: dict[int, _Entry[Item]] = {}
        self._busy_lanes: set[Lane] = set()
        # No busy lane has an earlier one.
        self._next_deadline_s = math.inf
        self._ahead = TurnIndex(self._entries)
        self._rest = TurnIndex(self._entries)

    @property
    def num_waiting(self) -> int:
        return len(self._entries)

    @property
    def waiting_tokens(self) -> int:
        """The lengths of all that waits, without padding."""
        return self._waiting_tokens

    def add(self, lane: Lane, items: Sequence[Item]) -> None:
        """Appends to a lane. Of items added together all go ahead of bulk, or none does."""
        if not items:
            return
        stamp = max(self._now, lane._finish)
        total = sum(item.length for item in items)
        lane._waiting_tokens += total
        is_light = lane._waiting_tokens <= self._policy.budget_tokens
        goes_ahead = is_light and stamp + total <= self._now + self._policy.budget_tokens
        index = self._ahead if goes_ahead else self._rest
        self._busy_lanes.add(lane)
        self._next_deadline_s = min(self._next_deadline_s, lane.deadline_s)
        for item in items:
            assert item.length > 0
            number = self._num_added
            self._num_added += 1
            self._entries[number] = _Entry(lane, item)
            lane._waiting.add(number)
            index.add((stamp, number), item.length)
            stamp += item.length
        lane._finish = stamp
        self._latest_finish = max(self._latest_finish, stamp)
        self._waiting_tokens += total

    def drop(self, lane: Lane) -> int:
        """Removes all that waits in a lane, and returns how many that was."""
        numbers = list(lane._waiting)
        for number in numbers:
            self._remove(number)
        self._forget_if_empty()
        return len(numbers)

    def drop_expired(self, now_s: float) -> list[Lane]:
        """Removes what waits in lanes whose deadline has passed, and returns these lanes."""
        if now_s < self._next_deadline_s:
            return []
        expired = [lane for lane in self._busy_lanes if lane.deadline_s <= now_s]
        for lane in expired:
            self.drop(lane)
        self._next_deadline_s = min((lane.deadline_s for lane in self._busy_lanes), default=math.inf)
        return expired

    @property
    def has_ahead(self) -> bool:
        """Whether something waits that goes ahead of bulk."""
        return self._ahead.first() is not None

    @property
    def is_next_ahead(self) -> bool:
        """Whether the next batch goes ahead of bulk, or there is none."""
        index, _ = self._next_turn()
        return index is self._ahead

    def take(self, budget_tokens: int | None = None) -> list[Item]:
        """Removes and returns the next batch; empty when nothing waits. The policy's budget is the default."""
        return self._take(*self._next_turn(), budget_tokens)

    def take_ahead(self, budget_tokens: int | None = None) -> list[Item]:
        """Removes and returns the next batch of those that go ahead of bulk; empty when none waits."""
        return self._take(self._ahead, self._ahead.first(), budget_tokens)

    def _take(self, index: TurnIndex, turn: Turn | None, budget_tokens: int | None) -> list[Item]:
        if turn is None:
            return []
        stamp, number = turn
        num_lanes = len(self._busy_lanes)
        self._now = max(self._now, stamp)
        is_ahead = index is self._ahead
        before = math.inf if is_ahead else self._now + _LOOK_AHEAD * self._policy.budget_tokens
        leader = self._remove(number)
        draft = Draft(leader.length, self._policy, budget_tokens or self._policy.budget_tokens)
        batch = [leader.item]
        batch.extend(self._remove(number).item for number in index.fill(draft, before))
        self._now += draft.total / num_lanes
        if is_ahead and self._rest.first() is not None:
            self._ahead_tokens += draft.padded + self._policy.run_overhead_tokens
        else:
            self._ahead_tokens = 0
        self._forget_if_empty()
        return batch

    def _next_turn(self) -> tuple[TurnIndex, Turn | None]:
        ahead, rest = self._ahead.first(), self._rest.first()
        owes_rest = self._ahead_tokens >= _MAX_AHEAD * self._policy.budget_tokens
        if ahead is None or (rest is not None and owes_rest):
            return self._rest, rest
        return self._ahead, ahead

    def _remove(self, number: int) -> _Entry[Item]:
        entry = self._entries.pop(number)
        self._waiting_tokens -= entry.length
        lane = entry.lane
        lane._waiting.discard(number)
        lane._waiting_tokens -= entry.length
        if not lane._waiting:
            self._busy_lanes.discard(lane)
        return entry

    def _forget_if_empty(self) -> None:
        if not self._entries:
            # Nobody is owed anything; the next to come all start level.
            self._now = self._latest_finish
            self._ahead_tokens = 0
            self._next_deadline_s = math.inf
            self._ahead = TurnIndex(self._entries)
            self._rest = TurnIndex(self._entries)
