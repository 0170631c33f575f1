"""Puts the events of a stream together and checks that none is missing. Pure; both clients use it."""

from typing import Protocol, TypeVar

from trivium._error_base import TruncatedStream
from trivium.admin.v1 import admin_pb2
from trivium.admin_info import LoadProgress, parse_load_progress
from trivium.call_info import parse_call_info, parse_served_model
from trivium.generation import (
    Completed,
    GenerationEvent,
    GenerationResult,
    Started,
    parse_delta,
    parse_finished,
    parse_heartbeat,
    parse_result,
)
from trivium.models import ModelEvent, ModelState, parse_model_event
from trivium.v1 import generation_pb2, models_pb2

_ResponseT_contra = TypeVar("_ResponseT_contra", contravariant=True)
_EventT_co = TypeVar("_EventT_co", covariant=True)


class Assembly(Protocol[_ResponseT_contra, _EventT_co]):
    """What a stream is put together by. Used by one stream, never concurrently."""

    @property
    def is_complete(self) -> bool:
        """Whether the terminal event arrived."""

    def feed(self, response: _ResponseT_contra) -> _EventT_co | None:
        """Takes the next message and returns its event, None for one that this version does not know."""

    def end(self) -> None:
        """Called when the server ended the stream with OK. Raises TruncatedStream where that was too early."""


class GenerationAssembly:
    """Builds, from the events of StreamGenerate, the same GenerateResponse that Generate returns."""

    def __init__(self) -> None:
        self.started: Started | None = None
        self.is_complete = False
        self._response = generation_pb2.GenerateResponse()
        self._candidates: dict[int, generation_pb2.Candidate] = {}
        self._texts: dict[int, list[str]] = {}
        self._next_sequence = 0
        self._result: GenerationResult | None = None

    def text(self, candidate_index: int = 0) -> str:
        """Returns the text of a candidate so far."""
        return "".join(self._texts.get(candidate_index, ()))

    def feed(self, response: generation_pb2.StreamGenerateResponse) -> GenerationEvent | None:
        """Takes the next message. Raises TruncatedStream where one before it is missing."""
        if response.sequence != self._next_sequence:
            raise TruncatedStream(f"event {self._next_sequence} of the stream is missing; {response.sequence} came")
        self._next_sequence += 1
        match response.WhichOneof("event"):
            case "started":
                return self._start(response.started)
            case "delta":
                self._append(response.delta)
                return parse_delta(response.delta)
            case "candidate_finished":
                self._finish(response.candidate_finished)
                return parse_finished(response.candidate_finished)
            case "completed":
                self._response.info.CopyFrom(response.completed.info)
                self.is_complete = True
                return Completed(info=parse_call_info(response.completed.info), raw=response.completed)
            case "heartbeat":
                return parse_heartbeat(response.heartbeat)
            case None:
                return None

    def end(self) -> None:
        """Raises TruncatedStream where `completed` did not arrive."""
        if not self.is_complete:
            raise TruncatedStream("the stream ended without its terminal event; the text is not the whole answer")

    def result(self) -> GenerationResult:
        """Returns the whole answer. RuntimeError before `completed` arrived."""
        if not self.is_complete:
            raise RuntimeError("the stream was not read to its end, so there is no whole answer; see partial_text")
        if self._result is None:
            self._result = parse_result(self._built())
        return self._result

    def _built(self) -> generation_pb2.GenerateResponse:
        for index, candidate in sorted(self._candidates.items()):
            candidate.message.role = generation_pb2.CHAT_ROLE_ASSISTANT
            if text := self.text(index):
                candidate.message.parts.add(text=text)
            self._response.candidates.append(candidate)
        return self._response

    def _start(self, started: generation_pb2.GenerationStarted) -> Started:
        self._response.response_id = started.response_id
        self.started = Started(
            response_id=started.response_id,
            model=parse_served_model(started.model),
            input_tokens=started.input_tokens,
            raw=started,
        )
        return self.started

    def _append(self, delta: generation_pb2.ContentDelta) -> None:
        candidate = self._candidate(delta.candidate_index)
        self._texts.setdefault(delta.candidate_index, []).append(delta.text)
        candidate.logprobs.extend(delta.logprobs)
        candidate.token_ids.extend(delta.token_ids)

    def _finish(self, finished: generation_pb2.CandidateFinished) -> None:
        candidate = self._candidate(finished.candidate_index)
        candidate.finish_reason = finished.finish_reason
        candidate.matched_stop_sequence = finished.matched_stop_sequence
        if finished.HasField("matched_stop_token_id"):
            candidate.matched_stop_token_id = finished.matched_stop_token_id

    def _candidate(self, index: int) -> generation_pb2.Candidate:
        return self._candidates.setdefault(index, generation_pb2.Candidate(index=index))


class LoadAssembly:
    """Follows the progress of LoadModel; complete once the model is ready."""

    def __init__(self) -> None:
        self.is_complete = False
        self.last: LoadProgress | None = None

    def feed(self, response: admin_pb2.LoadModelResponse) -> LoadProgress | None:
        """Takes the next message."""
        self.last = parse_load_progress(response)
        self.is_complete = self.last.model.state is ModelState.READY
        return self.last

    def end(self) -> None:
        """Raises TruncatedStream where the model did not become ready."""
        if not self.is_complete:
            raise TruncatedStream("the stream ended before the model was ready")


class WatchAssembly:
    """Passes the events of WatchModels on. It has no terminal event: it goes on until the caller ends it."""

    is_complete = False

    def feed(self, response: models_pb2.WatchModelsResponse) -> ModelEvent | None:
        """Takes the next message."""
        return parse_model_event(response)

    def end(self) -> None:
        """Raises TruncatedStream: only the caller may end this stream."""
        raise TruncatedStream("the server ended the watch")
