"""The responses of a grpc.aio call, with the status that the server sent."""

from collections.abc import Coroutine
from typing import Generic, Protocol, TypeVar, cast

import grpc
import grpc.aio

_ReadT_co = TypeVar("_ReadT_co", covariant=True)
_KnownT = TypeVar("_KnownT")

EOF: object = grpc.aio.EOF  # type: ignore[attr-defined]  # public, but missing in grpc-stubs

# How grpc.aio words the status that it makes up itself.
_MADE_UP = "Internal error from Core"


class AsyncResponses(Protocol[_ReadT_co]):
    """What grpc.aio returns for a call with a stream of responses."""

    async def read(self) -> _ReadT_co: ...
    def cancel(self) -> bool: ...


class TrueResponses(Generic[_ReadT_co]):
    """The responses of a call that also sends, ended by the server's own status.

    Where the server ends a call while a message is on its way to it, grpc.aio (1.85, issue 36066 of grpc) puts INTERNAL
    in the place of the status that has come. This keeps the one that came. What grpc.aio had not read by then is lost,
    and so is the status behind it; that call ends as a lost connection.
    """

    def __init__(self, call: AsyncResponses[_ReadT_co]) -> None:
        self._call = call
        self._status: grpc.aio.AioRpcError | None = None
        cast(grpc.aio.Call, call).add_done_callback(self._keep)

    async def read(self) -> _ReadT_co:
        try:
            return await self._call.read()
        except grpc.aio.AioRpcError as error:
            if error.details() != _MADE_UP or self._status is None:
                raise
            if self._status.code() is grpc.StatusCode.OK:
                return cast(_ReadT_co, EOF)
            raise self._status from None

    def cancel(self) -> bool:
        return self._call.cancel()

    def _keep(self, call: grpc.aio.Call) -> None:
        try:
            code, details = _at_once(call.code()), _at_once(call.details())
            trailing = _at_once(call.trailing_metadata())
        except _NotYetKnownError:
            return
        if details != _MADE_UP:
            self._status = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details, None)


class _NotYetKnownError(Exception):
    """A coroutine would have waited."""


def _at_once(known: Coroutine[object, None, _KnownT]) -> _KnownT:
    """Returns what a coroutine returns without waiting; a callback has no other way to the status of a call."""
    try:
        known.send(None)
    except StopIteration as returned:
        return cast(_KnownT, returned.value)
    known.close()
    raise _NotYetKnownError
