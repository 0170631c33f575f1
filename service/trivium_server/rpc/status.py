"""Turns errors into gRPC statuses with google.rpc details, as trivium/v1/errors.proto promises."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from trivium_server import errors

DOMAIN = "trivium.v1"
_STATUS_DETAILS_KEY = "grpc-status-details-bin"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"
# Metadata above 8 KiB may be refused on the way, and would then hide the error itself: a request with a thousand wrong
# fields hears of the first ones.
_MAX_VIOLATION_BYTES = 3000


class InternalError(errors.TriviumError):
    """A defect of the server. Nothing about it leaves the server but the request id."""

    reason = "INTERNAL"

    def __init__(self) -> None:
        super().__init__("internal error")


class MethodNotFound(errors.TriviumError):
    """The server has no such method."""

    reason = "METHOD_NOT_FOUND"

    def __init__(self, method: str) -> None:
        super().__init__("the server has no such method", method=method)


_CODES: dict[type[errors.TriviumError], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InputTooLong: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InputTooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UndecodableMedia: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnsupportedFeature: grpc.StatusCode.INVALID_ARGUMENT,
    errors.StreamProtocolViolation: grpc.StatusCode.INVALID_ARGUMENT,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelNotReady: grpc.StatusCode.UNAVAILABLE,
    errors.ModelFailed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.QueueTimeout: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.StreamIdle: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.StreamStalled: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.ServerDraining: grpc.StatusCode.UNAVAILABLE,
    errors.CallAborted: grpc.StatusCode.ABORTED,
    InternalError: grpc.StatusCode.INTERNAL,
    MethodNotFound: grpc.StatusCode.UNIMPLEMENTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStatus:
    """How a failed call ends on the wire."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def code_of(error: errors.TriviumError) -> grpc.StatusCode:
    """Returns the status code of an error."""
    if isinstance(error, errors.ModelNotReady) and error.retry_after_s is None:
        return grpc.StatusCode.FAILED_PRECONDITION
    return next(_CODES[cls] for cls in type(error).__mro__ if cls in _CODES)


def call_status(error: errors.TriviumError, request_id: str) -> CallStatus:
    """Returns code, message and trailing metadata for a call that ends with `error`."""
    status = rpc_status(error, request_id)
    metadata: list[tuple[str, str | bytes]] = [(_STATUS_DETAILS_KEY, status.SerializeToString())]
    retry_after_s = _retry_after_s(error)
    if retry_after_s is not None:
        metadata.append((_PUSHBACK_KEY, str(round(1000 * retry_after_s))))
    return CallStatus(code=code_of(error), message=status.message, trailing_metadata=tuple(metadata))


def rpc_status(error: errors.TriviumError, request_id: str) -> status_pb2.Status:
    """Returns the google.rpc.Status of an error: one ErrorInfo, and the details that its reason promises."""
    code: int = code_of(error).value[0]
    status = status_pb2.Status(code=code, message=_clip(error.message))
    for detail in _details(error, request_id):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _details(error: errors.TriviumError, request_id: str) -> Iterator[Message]:
    metadata = {key: _clip(value) for key, value in error.metadata.items()}
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    violations = getattr(error, "violations", ())
    if violations:
        yield _bad_request(violations, error.reason)
    retry_after_s = _retry_after_s(error)
    if retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(1000 * retry_after_s))
        yield error_details_pb2.RetryInfo(retry_delay=delay)
    if isinstance(error, errors.ModelNotFound):
        yield error_details_pb2.ResourceInfo(
            resource_type="trivium.v1.Model", resource_name=_clip(error.model), description=_clip(error.message)
        )
    if isinstance(error, errors.ModelFailed):
        violation = error_details_pb2.PreconditionFailure.Violation(
            type=error.reason, subject=error.model, description=_clip(error.message)
        )
        yield error_details_pb2.PreconditionFailure(violations=[violation])
    if request_id:
        yield error_details_pb2.RequestInfo(request_id=request_id)


def _bad_request(violations: Sequence[errors.FieldViolation], reason: str) -> error_details_pb2.BadRequest:
    bad_request = error_details_pb2.BadRequest()
    for violation in violations:
        bad_request.field_violations.add(
            field=_clip(violation.field), description=_clip(violation.description), reason=reason
        )
        if bad_request.ByteSize() > _MAX_VIOLATION_BYTES:
            break
    return bad_request


def _retry_after_s(error: errors.TriviumError) -> float | None:
    value = getattr(error, "retry_after_s", None)
    return value if isinstance(value, float | int) else None


def _clip(text: str, limit: int = 512) -> str:
    """Keeps headers small, in UTF-8 bytes and whole characters: proxies refuse metadata above 8 KiB."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[: limit - len("…".encode())].decode(errors="ignore") + "…"
