"""The roots of the error tree: one class, one for each gRPC status code, and those that the client itself raises.

The classes for each ErrorReason are generated from the contract, in _error_types.py; `trivium.errors` shows both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import grpc

from trivium.call_info import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """A wrong field of the request: its path, for example `input.sampling.top_p`, and what is wrong with it."""

    field: str
    description: str


class TriviumError(Exception):
    """A call failed. Base of everything that this client raises about a call.

    message: what happened, in English, for people.
    code: the gRPC status code.
    reason: the name of an ErrorReason of the contract, for example `MODEL_NOT_FOUND`; None where the failure was not
        made by a Trivium server.
    metadata: what varies in the message, by name; the error catalogue says which names each reason has.
    field_violations: the wrong fields of the request.
    retry_after_s: seconds after which the server wants the call to be sent again; None where it named none.
    request_id: finds the call in the server's log.
    usage: what the call used before it failed; None where the server did not say.

    The underlying grpc.RpcError, where there is one, is the `__context__`; it says nothing that is not here, so
    tracebacks do not show it.
    """

    default_code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        field_violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
        request_id: str | None = None,
        usage: Usage | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code if code is not None else self.default_code
        self.reason = reason
        self.metadata: Mapping[str, str] = dict(metadata or {})
        self.field_violations = tuple(field_violations)
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.usage = usage

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{self.message} ({self.reason or self.code.name}{request})"


class InvalidArgumentError(TriviumError):
    """INVALID_ARGUMENT: the request is wrong; change it before sending it again."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT


class NotFoundError(TriviumError):
    """NOT_FOUND: what the request names does not exist."""

    default_code = grpc.StatusCode.NOT_FOUND


class AlreadyExistsError(TriviumError):
    """ALREADY_EXISTS: what the request would make is there already."""

    default_code = grpc.StatusCode.ALREADY_EXISTS


class FailedPreconditionError(TriviumError):
    """FAILED_PRECONDITION: somebody must change the server's state first; waiting does not help."""

    default_code = grpc.StatusCode.FAILED_PRECONDITION


class OutOfRangeError(TriviumError):
    """OUT_OF_RANGE: the request reaches past the end of something."""

    default_code = grpc.StatusCode.OUT_OF_RANGE


class UnavailableError(TriviumError):
    """UNAVAILABLE: the server cannot answer now; the call may be sent again."""

    default_code = grpc.StatusCode.UNAVAILABLE


class ResourceExhaustedError(TriviumError):
    """RESOURCE_EXHAUSTED: with retry_after_s, try again then; without, a budget is gone and retrying is no use."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class DeadlineExceededError(TriviumError):
    """DEADLINE_EXCEEDED: the caller's or the server's time limit passed."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class AbortedError(TriviumError):
    """ABORTED: something else on the server ended the call."""

    default_code = grpc.StatusCode.ABORTED


class InternalError(TriviumError):
    """INTERNAL: a defect of the server."""

    default_code = grpc.StatusCode.INTERNAL


class UnimplementedError(TriviumError):
    """UNIMPLEMENTED: the server does not have this."""

    default_code = grpc.StatusCode.UNIMPLEMENTED


class UnauthenticatedError(TriviumError):
    """UNAUTHENTICATED: no key, or one that the server does not know."""

    default_code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDeniedError(TriviumError):
    """PERMISSION_DENIED: the key does not allow this call."""

    default_code = grpc.StatusCode.PERMISSION_DENIED


class DataLossError(TriviumError):
    """DATA_LOSS: data is gone or damaged."""

    default_code = grpc.StatusCode.DATA_LOSS


class CallCancelledError(TriviumError):
    """CANCELLED: the caller gave the call up, here or by closing the client."""

    default_code = grpc.StatusCode.CANCELLED


class TransportError(TriviumError):
    """The connection failed, not the call: there is no answer of a Trivium server."""

    default_code = grpc.StatusCode.UNAVAILABLE


class ServerUnavailable(TransportError, UnavailableError):
    """No server could be reached, or it was lost before it answered. The call was tried again as the policy allows."""


class ConnectionLost(TransportError):
    """The connection broke after the answer had begun. What had arrived is in the stream's `partial_text`."""


class TruncatedStream(TransportError):
    """A stream ended, or skipped an event, without its terminal event: its text is not the whole answer."""

    default_code = grpc.StatusCode.DATA_LOSS


class StreamIdleTimeout(DeadlineExceededError):
    """No event arrived for the stream's idle limit, so the client cancelled the call."""


class ModelNotChosen(TriviumError):
    """No model was named, and the server does not have exactly one that could be meant.

    Where there are several, the message lists them, and so does metadata, under `models`.
    """

    default_code = grpc.StatusCode.INVALID_ARGUMENT


ERROR_BY_CODE: dict[grpc.StatusCode, type[TriviumError]] = {
    kind.default_code: kind
    for kind in (
        InvalidArgumentError,
        NotFoundError,
        AlreadyExistsError,
        FailedPreconditionError,
        OutOfRangeError,
        UnavailableError,
        ResourceExhaustedError,
        DeadlineExceededError,
        AbortedError,
        InternalError,
        UnimplementedError,
        UnauthenticatedError,
        PermissionDeniedError,
        DataLossError,
        CallCancelledError,
    )
}
"""The class for each status code; a code that is not in it is a plain TriviumError."""
