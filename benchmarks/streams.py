"""When the tokens of streams arrived, and the rates and delays that follow.

Definition used for every contender: the steady decode rate is the number of tokens that arrived, over all streams,
after every stream had its first token and until the first stream had its last one, divided by that time. All streams
have the same length, so prompts are read before that window and all streams run throughout it. Where a contender does
not run them together there is no such window; span_rate is then the nearest thing.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """One stream. events: (time, tokens) for each message that carried tokens; times are time.monotonic()'s."""

    sent_s: float
    events: Sequence[tuple[float, int]]

    @property
    def first_s(self) -> float:
        return self.events[0][0]

    @property
    def last_s(self) -> float:
        return self.events[-1][0]

    @property
    def num_tokens(self) -> int:
        return sum(count for _, count in self.events)

    @property
    def ttft_s(self) -> float:
        """From sending the request to the first token."""
        return self.first_s - self.sent_s

    def raw(self) -> dict[str, object]:
        """For JSON: times in seconds, rounded to microseconds."""
        return {"sent_s": round(self.sent_s, 6), "events": [(round(t, 6), n) for t, n in self.events]}

    def gaps_s(self, start_s: float = 0.0, end_s: float = float("inf")) -> list[float]:
        """Times between two messages with tokens, of those that end within the window."""
        times = [moment for moment, _ in self.events]
        return [b - a for a, b in itertools.pairwise(times) if start_s <= b <= end_s]


def steady_rate(streams: Sequence[Arrivals]) -> float | None:
    """Tokens per second of all streams together, as defined above; None when the streams never all ran together."""
    start = max(stream.first_s for stream in streams)
    end = min(stream.last_s for stream in streams)
    if end <= start:
        return None
    tokens = sum(count for stream in streams for moment, count in stream.events if start < moment <= end)
    return tokens / (end - start)


def span_rate(streams: Sequence[Arrivals]) -> float:
    """Tokens per second from the first token of any stream to the last one, without that first one."""
    elapsed = max(stream.last_s for stream in streams) - min(stream.first_s for stream in streams)
    return (sum(stream.num_tokens for stream in streams) - 1) / elapsed


def whole_rate(streams: Sequence[Arrivals]) -> float:
    """Tokens per second from the first request to the last token, prompts and waiting included."""
    elapsed = max(stream.last_s for stream in streams) - min(stream.sent_s for stream in streams)
    return sum(stream.num_tokens for stream in streams) / elapsed


def require_whole(streams: Sequence[Arrivals], num_tokens: int) -> None:
    """Raises ValueError unless every stream has exactly num_tokens tokens: shorter answers are less work."""
    counts = [stream.num_tokens for stream in streams]
    if any(count != num_tokens for count in counts):
        raise ValueError(f"streams ended with {counts} tokens; {num_tokens} were asked for")
