"""Keeps what a server says at the end of a grpc.aio call that also sends.

Where a server ends such a call while a message is on its way to it, grpc.aio 1.85 (issue 36066 of grpc) makes up a
status, INTERNAL with "Internal error from Core". The server's own status is lost by that, and so is every message that
had arrived and was not read yet. Only a private attribute of the call leads to where that happens; where a version of
grpc has no such attribute, calls stay as they are.
"""

import asyncio
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio

_ReadT_co = TypeVar("_ReadT_co", covariant=True)

EOF: object = grpc.aio.EOF  # type: ignore[attr-defined]  # public, but missing in grpc-stubs

# The server's status comes once the messages before it were read. It may never come where the failure was local.
_GRACE_S = 10.0


class AsyncResponses(Protocol[_ReadT_co]):
    """What grpc.aio returns for a call with a stream of responses."""

    async def read(self) -> _ReadT_co: ...
    def cancel(self) -> bool: ...


def keep_status(call: object) -> None:
    """Lets a call with streams in both directions end as its server said. Before anything was sent."""
    native = getattr(call, "_cython_call", None)
    if hasattr(native, "set_internal_error"):
        call._cython_call = _PatientCall(native)  # type: ignore[attr-defined]  # private; see above


class KeepStatus(grpc.aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """keep_status for a channel with interceptors, where it has to be the innermost one."""

    async def intercept_stream_stream(
        self,
        continuation: Any,  # noqa: ANN401  grpc-stubs declare no type that fits what grpc.aio gives
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        call = await continuation(client_call_details, request_iterator)
        keep_status(call)
        return call


class _PatientCall:
    """A native call that waits for the server's status before one is made up."""

    def __init__(self, native: Any) -> None:  # noqa: ANN401  a type of Cython's
        self._native = native

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the native call has
        return getattr(self._native, name)

    def set_internal_error(self, text: str) -> None:
        asyncio.get_running_loop().call_later(_GRACE_S, self._make_up, text)

    def _make_up(self, text: str) -> None:
        if not self._native.done():
            self._native.set_internal_error(text)
