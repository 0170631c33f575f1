"""What of an answer was given, and what of a further stream of it is new. Pure; both clients resume with it.

A stream that breaks goes on in another call with the same request, which makes the same answer anew; see "Resume" in
docs/sdks.md.
"""

from collections import defaultdict
from enum import Enum
from typing import Protocol, Self, TypeVar

from trivium.v1 import generation_pb2

_ResponseT_contra = TypeVar("_ResponseT_contra", contravariant=True)


class Verdict(Enum):
    """What becomes of an event: it is given, or was given before, or shows that the stream is of another answer."""

    NEW = 1
    KNOWN = 2
    DIFFERENT = 3


class Replay(Protocol[_ResponseT_contra]):
    """Passes the events of a stream, and after a break what is new of the next one. Used by one stream."""

    @property
    def has_progressed(self) -> bool:
        """Whether the stream at hand brought anything new; heartbeats do not count."""

    def restart(self) -> None:
        """The next event is the first one of another stream."""

    def take(self, response: _ResponseT_contra) -> Verdict:
        """Takes the next event, and what is known away of it.

        Numbers it as the event of one stream, so that one that is missing leaves a gap.
        """


class GenerationReplay:
    """The Replay of StreamGenerate."""

    def __init__(self) -> None:
        self.has_progressed = False
        self._is_resumed = False
        self._digest: str | None = None
        self._candidates: defaultdict[int, _Candidate] = defaultdict(_Candidate)
        self._num_given = 0
        self._shift = 0

    @classmethod
    def of(cls, request: generation_pb2.StreamGenerateRequest) -> Self | None:
        """Returns one for a request whose answer is the same again, None for any other."""
        sampling = request.input.sampling
        is_greedy = sampling.HasField("temperature") and sampling.temperature == 0
        is_repeatable = sampling.HasField("seed") or is_greedy
        return cls() if is_repeatable and not request.input.output.HasField("top_logprobs") else None

    def restart(self) -> None:
        self._is_resumed = self._num_given > 0
        self.has_progressed = False
        self._shift = self._num_given
        for candidate in self._candidates.values():
            candidate.restart()

    def take(self, response: generation_pb2.StreamGenerateResponse) -> Verdict:
        judged = self._judge(response)
        verdict = judged if self._is_resumed else Verdict.NEW  # whatever a first stream brings
        if verdict is Verdict.NEW:
            response.sequence += self._shift
            self._num_given += 1
            self.has_progressed = self.has_progressed or response.WhichOneof("event") not in ("heartbeat", None)
        else:
            self._shift -= 1
        return verdict

    def _judge(self, response: generation_pb2.StreamGenerateResponse) -> Verdict:
        match response.WhichOneof("event"):
            case "started":
                return self._start(response.started.model.digest)
            case "delta":
                return self._candidates[response.delta.candidate_index].trim(response.delta)
            case "candidate_finished":
                finished = response.candidate_finished
                return self._candidates[finished.candidate_index].finish(finished)
            case "completed":
                return Verdict.DIFFERENT if self._is_behind else Verdict.NEW
            case _:
                return Verdict.KNOWN if self._is_behind else Verdict.NEW

    @property
    def _is_behind(self) -> bool:
        return any(candidate.is_behind for candidate in self._candidates.values())

    def _start(self, digest: str) -> Verdict:
        if self._digest is None:
            self._digest = digest
            return Verdict.NEW
        return Verdict.KNOWN if self._digest == digest else Verdict.DIFFERENT


class _Candidate:
    """What was given of a candidate, and how much of that the stream at hand has still to bring."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._num_tokens = 0
        self._end: generation_pb2.CandidateFinished | None = None
        self._text = ""  # as it was at the last break
        self._num_seen = 0
        self._num_tokens_owed = 0

    @property
    def is_behind(self) -> bool:
        return self._num_seen < len(self._text)

    def restart(self) -> None:
        self._text = "".join(self._pieces)
        self._pieces = [self._text]
        self._num_seen = 0
        self._num_tokens_owed = self._num_tokens

    def trim(self, delta: generation_pb2.ContentDelta) -> Verdict:
        """Takes away of a delta what was given already."""
        num_known = min(len(delta.text), len(self._text) - self._num_seen)
        is_past_end = self._end is not None and len(delta.text) > num_known
        if is_past_end or not self._text.startswith(delta.text[:num_known], self._num_seen):
            return Verdict.DIFFERENT
        num_tokens_known = max(0, min(delta.token_count, self._num_tokens_owed))
        was_behind = self.is_behind or num_tokens_known > 0
        self._num_seen += num_known
        self._num_tokens_owed -= num_tokens_known
        if was_behind:
            delta.text = delta.text[num_known:]
            delta.token_count -= num_tokens_known
            del delta.token_ids[:num_tokens_known]
            if not delta.text and delta.token_count <= 0:
                return Verdict.KNOWN
        self._pieces.append(delta.text)
        self._num_tokens += max(0, delta.token_count)
        return Verdict.NEW

    def finish(self, finished: generation_pb2.CandidateFinished) -> Verdict:
        if self.is_behind:
            return Verdict.DIFFERENT
        if self._end is None:
            self._end = finished
            return Verdict.NEW
        return Verdict.KNOWN if self._end == finished else Verdict.DIFFERENT
