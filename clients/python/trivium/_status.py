"""Turns what gRPC reports about a failed call into an exception of this package. Pure; both clients use it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from trivium._connect_trouble import LASTING, connect_trouble
from trivium._error_base import (
    ERROR_BY_CODE,
    ConnectionLost,
    FieldViolation,
    InternalError,
    ServerUnavailable,
    TriviumError,
)
from trivium._error_types import ERROR_BY_REASON
from trivium._target import Target
from trivium.call_info import Usage, parse_usage
from trivium.v1 import common_pb2

ERROR_DOMAIN = "trivium.v1"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
USAGE_KEY = "trivium-usage-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

# How gRPC words a connection that died under a call; measured when a server was killed: INTERNAL, not UNAVAILABLE.
# The last is what grpc.aio makes of a message that it cannot send any more.
_RESET_MARKS = ("RST_STREAM", "Stream removed", "Internal error from Core")

# How gRPC words that the deadline passed on this side; a proxy's own words are left as they are.
_OWN_DEADLINE = ("Deadline Exceeded", "Stream removed (Deadline Exceeded)")

_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

_MessageT = TypeVar("_MessageT", bound=Message)


class RpcFailure(Protocol):
    """What the exceptions of grpc and grpc.aio have in common."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception ready to be raised, and what the retry policy must know beyond it.

    pushback_ms is the server's grpc-retry-pushback-ms: negative forbids a retry, None leaves it to the client.
    is_lasting: another attempt would meet the same.
    """

    error: TriviumError
    pushback_ms: int | None
    is_lasting: bool = False


def read_failure(rpc_error: grpc.RpcError, *, request_id: str, peer: Target, answer_begun: bool = False) -> Failure:
    """Maps a failed call.

    peer: what the client tried to reach; answer_begun: whether an event of the call's stream had arrived.
    """
    call = cast(RpcFailure, rpc_error)  # grpc.RpcError declares nothing; every instance that a call raises has these
    trailing = dict(call.trailing_metadata() or ())
    details = _Details(trailing.get(STATUS_DETAILS_KEY))
    code, message = call.code(), call.details() or ""
    if message in _OWN_DEADLINE:
        message = "the deadline of the call passed"
    kind = _kind_of(code, message, details.reason, answer_begun)
    trouble = connect_trouble(message, bool(peer.is_encrypted)) if kind is ServerUnavailable else None
    error = kind(
        trouble.value.format(target=peer.address) if trouble else message or code.name,
        code=code,
        reason=details.reason,
        metadata=details.metadata,
        field_violations=details.field_violations,
        retry_after_s=details.retry_after_s,
        request_id=details.request_id or request_id,
        usage=_read_usage(trailing.get(USAGE_KEY)),
    )
    pushback_ms = _read_pushback(trailing.get(PUSHBACK_KEY))
    return Failure(error=error, pushback_ms=pushback_ms, is_lasting=trouble in LASTING)


def only_response(response: _MessageT | None, request_id: str) -> _MessageT:
    """Returns the response of a call that ended with OK. InternalError where there is none: a defect of the server."""
    if response is None:
        raise InternalError("the call ended with OK and without a response", request_id=request_id)
    return response


def read_item_error(status: status_pb2.Status, request_id: str) -> TriviumError:
    """Maps the status of an item that failed alone, while the others of its call were answered."""
    details = _Details(status.SerializeToString())
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    kind = ERROR_BY_REASON.get(details.reason or "") or ERROR_BY_CODE.get(code, TriviumError)
    return kind(
        status.message or code.name,
        code=code,
        reason=details.reason,
        metadata=details.metadata,
        field_violations=details.field_violations,
        retry_after_s=details.retry_after_s,
        request_id=request_id,
    )


def _kind_of(code: grpc.StatusCode, message: str, reason: str | None, answer_begun: bool) -> type[TriviumError]:
    if reason in ERROR_BY_REASON:
        return ERROR_BY_REASON[reason]
    if reason is None and is_transport_loss(code, message):
        return ConnectionLost if answer_begun else ServerUnavailable
    return ERROR_BY_CODE.get(code, TriviumError)


def is_transport_loss(code: grpc.StatusCode, message: str) -> bool:
    """Tells whether a status without ErrorInfo means that the connection, and not the call, failed."""
    if code is grpc.StatusCode.UNAVAILABLE:
        return True
    reset_code = code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    return reset_code and any(mark in message for mark in _RESET_MARKS)


class _Details:
    """What google.rpc.Status in the trailing metadata says. Of a malformed or foreign one: nothing."""

    def __init__(self, packed: str | bytes | None) -> None:
        self.reason: str | None = None
        self.metadata: dict[str, str] = {}
        self.field_violations: tuple[FieldViolation, ...] = ()
        self.retry_after_s: float | None = None
        self.request_id: str | None = None
        if not isinstance(packed, bytes):
            return
        try:
            for detail in status_pb2.Status.FromString(packed).details:
                self._read(detail)
        except DecodeError:
            return

    def _read(self, detail: AnyMessage) -> None:
        if info := _unpacked(detail, error_details_pb2.ErrorInfo):
            if info.domain == ERROR_DOMAIN:
                self.reason, self.metadata = info.reason, dict(info.metadata)
        elif bad_request := _unpacked(detail, error_details_pb2.BadRequest):
            self.field_violations = tuple(
                FieldViolation(field=violation.field, description=violation.description)
                for violation in bad_request.field_violations
            )
        elif retry := _unpacked(detail, error_details_pb2.RetryInfo):
            self.retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        elif request := _unpacked(detail, error_details_pb2.RequestInfo):
            self.request_id = request.request_id


def _unpacked(detail: AnyMessage, kind: type[_MessageT]) -> _MessageT | None:
    message = kind()
    return message if detail.Unpack(message) else None


def _read_usage(packed: str | bytes | None) -> Usage | None:
    if not isinstance(packed, bytes):
        return None
    try:
        return parse_usage(common_pb2.Usage.FromString(packed))
    except DecodeError:
        return None


def _read_pushback(value: str | bytes | None) -> int | None:
    """An unreadable value forbids the retry, as the gRPC retry design (gRFC A6) has it."""
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        return -1
