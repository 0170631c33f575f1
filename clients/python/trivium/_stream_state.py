"""Where a streaming call stands. Pure; the blocking and the asynchronous stream share it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import grpc

from trivium._assembly import Assembly
from trivium._error_base import CallCancelledError, StreamIdleTimeout, TriviumError, TruncatedStream
from trivium._replay import Replay, Verdict
from trivium._retry import Attempts
from trivium._status import read_failure
from trivium._target import Target
from trivium.settings import CallOptions

ResponseT = TypeVar("ResponseT")
EventT = TypeVar("EventT")


class StreamState(Generic[ResponseT, EventT]):
    """What has arrived, and what a failure means after that."""

    def __init__(
        self,
        assembly: Assembly[ResponseT, EventT],
        replay: Replay[ResponseT] | None,
        options: CallOptions,
        peer: Target,
    ) -> None:
        self._assembly = assembly
        self._replay = replay
        self._loss: TriviumError | None = None
        self._options = options
        self._peer = peer
        self.has_answer = False
        self.is_over = False
        self.is_closed = False

    def accept(self, response: ResponseT) -> EventT | None:
        """Takes the next message; returns its event, None for one that this version does not know, or gave before."""
        self.has_answer = True
        if not self._is_new(response):
            return None
        with self._naming_the_request():
            return self._assembly.feed(response)

    def _is_new(self, response: ResponseT) -> bool:
        verdict = Verdict.NEW if self._replay is None else self._replay.take(response)
        if verdict is Verdict.DIFFERENT:
            assert self._loss is not None
            raise self._loss
        return verdict is Verdict.NEW

    def end(self) -> None:
        """The server ended the stream with OK. Raises TruncatedStream where that was too early."""
        self.is_over = True
        with self._naming_the_request():
            self._assembly.end()

    @contextmanager
    def _naming_the_request(self) -> Iterator[None]:
        try:
            yield
        except TruncatedStream as error:
            error.request_id = self._options.request_id
            raise

    def ensure_open(self) -> None:
        """Raises CallCancelledError after close()."""
        if self.is_closed:
            raise self.cancelled()

    def delay_before_retry(self, error: grpc.RpcError, attempts: Attempts) -> float | None:
        """Decides about a failed read.

        Returns the seconds after which the call is to be sent again, None where the answer was complete already;
        raises the error where the call is lost.
        """
        if self._assembly.is_complete:
            return None  # the terminal event said that everything was delivered; what follows it takes nothing away
        if self.is_closed:
            raise self.cancelled() from error
        failure = read_failure(
            error,
            request_id=self._options.request_id,
            peer=self._peer,
            answer_begun=self.has_answer,
        )
        if self.has_answer and self._replay is None:
            raise failure.error from None
        if self._replay is not None and self._replay.has_progressed:
            attempts.renew()
        delay = attempts.delay_before_retry(failure)
        if delay is None:
            raise failure.error from None
        if self._replay is not None:
            self._replay.restart()
        self._loss = failure.error
        return delay

    def expire(self, cause: BaseException) -> None:
        """The idle limit passed in a read. Raises StreamIdleTimeout, unless the answer was complete already."""
        if not self._assembly.is_complete:
            limit = self._options.idle_timeout_s
            raise StreamIdleTimeout(f"no event for {limit:g} s", request_id=self._options.request_id) from cause

    def cancelled(self) -> CallCancelledError:
        """The error of a stream that was closed on this side."""
        return CallCancelledError("the stream was closed", request_id=self._options.request_id)
