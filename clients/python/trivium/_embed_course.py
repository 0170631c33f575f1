"""Where an embedding stream stands, over all calls that it takes. Pure; both kinds of streams share it.

Results come in the order of the texts, so a stream that breaks goes on in a new call with the texts that have none.
"""

import grpc

from trivium._embed_window import EmbedWindow
from trivium._embedding_calls import parse_embed_result
from trivium._error_base import (
    AbortedError,
    CallCancelledError,
    DeadlineExceededError,
    StreamIdleTimeout,
    TriviumError,
    TruncatedStream,
)
from trivium._error_types import ErrorReason
from trivium._retry import Attempts, Deadline, RetryPolicy
from trivium._status import Failure, read_failure
from trivium._target import Target
from trivium.call_info import CallInfo, ServedModel, parse_call_info, parse_served_model
from trivium.embeddings import EmbedResult
from trivium.settings import CallOptions
from trivium.v1 import embedding_pb2


class EmbedCourse:
    """What has arrived, and what a failure means after that. Its owner locks where threads share it."""

    def __init__(self, options: CallOptions, retry: RetryPolicy, peer: Target) -> None:
        self._options = options
        self._retry = retry
        self._peer = peer
        self._deadline = Deadline(options.timeout_s)
        self._attempts = Attempts(retry, self._deadline)
        self._next_sequence = 0
        self._has_progressed = False
        self.window = EmbedWindow(options.request_id)
        self.has_started = False
        self.is_complete = False
        self.is_closed = False
        self.model: ServedModel | None = None
        self.info: CallInfo | None = None
        self.input_tokens = 0
        self.failed_count = 0

    @property
    def is_owed_something(self) -> bool:
        """Whether it is the server's turn: to accept the call, to send results, or to end it."""
        return not self.has_started or self.window.is_waiting_for_results

    def items_to_send(self, call_number: int) -> list[embedding_pb2.EmbedItem] | None:
        """Returns the next items of a call, an empty list once it has no more, None where they are still to come.

        None are sent before the call is accepted: grpc.aio would hide why it is not.
        """
        if self.is_closed or self.window.call_number != call_number:
            return []
        if not self.has_started:
            return None
        items = self.window.take()
        return items if items or self.window.is_source_over else None

    def begin(self) -> Deadline:
        """The stream begins: its limit counts from here."""
        self._deadline = Deadline(self._options.timeout_s)
        self._attempts = Attempts(self._retry, self._deadline)
        return self._deadline

    def begin_call(self) -> float | None:
        """A call begins, the first or a further one. Returns the seconds that it may take, None for without limit."""
        self._next_sequence = 0
        self._has_progressed = self.has_started = False
        self.window.begin_call()
        return self._attempts.begin()

    def accept(self, response: embedding_pb2.StreamEmbedResponse) -> list[EmbedResult]:
        """Takes the next message and returns its results. Raises TruncatedStream where one before it is missing."""
        try:
            return self._accept(response)
        except TriviumError as error:
            error.request_id = error.request_id or self._options.request_id
            raise

    def _accept(self, response: embedding_pb2.StreamEmbedResponse) -> list[EmbedResult]:
        if response.sequence != self._next_sequence:
            raise TruncatedStream(f"event {self._next_sequence} of the stream is missing; {response.sequence} came")
        self._next_sequence += 1
        match response.WhichOneof("event"):
            case "started":
                self._start(parse_served_model(response.started.model))
                return []
            case "results":
                return self._take(response.results)
            case "completed":
                return self._complete(response.completed)
            case None:
                return []

    def _start(self, model: ServedModel) -> None:
        """Vectors of two models, or of two versions of one, cannot be compared."""
        if self.model is not None and (self.model.name, self.model.digest) != (model.name, model.digest):
            raise AbortedError(
                f"the stream broke after {self.window.answered} texts, and the server has another version of "
                f"{model.name} now; embed all texts anew"
            )
        self.model = model
        self.has_started = True

    def _take(self, results: embedding_pb2.EmbedResults) -> list[EmbedResult]:
        taken = []
        for raw in results.results:
            taken += self._refused()
            taken.append(self._note(parse_embed_result(raw, self.window.answer(raw), self._options.request_id)))
        self._has_progressed = True
        self._attempts = Attempts(self._retry, self._deadline)  # each stretch without progress has all of them
        self._attempts.begin()
        return taken

    def _refused(self) -> list[EmbedResult]:
        return [
            self._note(
                EmbedResult(
                    index=index,
                    item_id=item_id,
                    vector=None,
                    sparse=None,
                    packed=(),
                    error=error,
                    input_tokens=0,
                    truncated=False,
                    raw=embedding_pb2.EmbedResult(index=index, item_id=item_id),
                )
            )
            for index, item_id, error in self.window.refused()
        ]

    def _note(self, result: EmbedResult) -> EmbedResult:
        self.input_tokens += result.input_tokens
        self.failed_count += result.error is not None
        return result

    def _complete(self, completed: embedding_pb2.StreamEmbedCompleted) -> list[EmbedResult]:
        rest = self._refused()
        if self.window.has_unanswered:
            raise TruncatedStream("the server completed the stream before it had answered every text")
        self.info = parse_call_info(completed.info)
        self.is_complete = True
        return rest

    def delay_after_end(self) -> float | None:
        """The server ended the call with OK. Returns as delay_after does."""
        if self.is_complete:
            return None
        return self._delay(
            Failure(error=TruncatedStream("the stream ended without its terminal event"), pushback_ms=None)
        )

    def delay_after(self, error: grpc.RpcError) -> float | None:
        """Decides about a failed read.

        Returns the seconds after which to go on in a new call, None where every text has its result; raises the error
        where the stream is lost.
        """
        if self.is_complete:
            return None
        if self.is_closed:
            raise self.cancelled() from error
        failure = read_failure(
            error,
            request_id=self._options.request_id,
            peer=self._peer,
            answer_begun=self.model is not None,
        )
        return self._delay(failure)

    def _delay(self, failure: Failure) -> float | None:
        # What is lost then is only `completed`. Where texts were refused here, it is their turn that is lost with it.
        if self.model is not None and not self.window.has_unanswered:
            self.is_complete = True
            return None
        delay = 0.0 if self._is_servers_limit(failure.error) else self._attempts.delay_before_retry(failure)
        if delay is None:
            if self._deadline.remaining_s() == 0:
                raise self._late() from None
            failure.error.request_id = failure.error.request_id or self._options.request_id
            raise failure.error from None
        return delay

    def _is_servers_limit(self, error: TriviumError) -> bool:
        """A server ends each stream after a while; one that made progress until then goes on in another."""
        remaining = self._deadline.remaining_s()
        is_ours = remaining is not None and remaining < 1
        return error.reason == ErrorReason.DEADLINE_EXCEEDED and self._has_progressed and not is_ours

    def ensure_open(self) -> None:
        """Raises CallCancelledError after the stream was closed."""
        if self.is_closed:
            raise self.cancelled()

    def _late(self) -> DeadlineExceededError:
        limit = self._options.timeout_s
        return DeadlineExceededError(f"the stream took longer than {limit:g} s", request_id=self._options.request_id)

    def idle(self) -> StreamIdleTimeout:
        """The error of a stream that said nothing for its idle limit."""
        limit = self._options.idle_timeout_s
        return StreamIdleTimeout(f"no result for {limit:g} s", request_id=self._options.request_id)

    def cancelled(self) -> CallCancelledError:
        """The error of a stream that was closed on this side."""
        return CallCancelledError("the stream was closed", request_id=self._options.request_id)
