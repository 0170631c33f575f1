"""The call that a handler answers: who it is, until when, and what it has used."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from trivium.v1 import common_pb2


@dataclass(slots=True, kw_only=True)
class Call:
    """One call. The boundary makes it; the handler reads it, and says what it uses while it goes.

    deadline_s is absolute, on the clock of time.monotonic(), as is accepted_s; limit_s is the whole time that the call
    was given. A handler sets `model` and `response_id` once they are known, and `usage`, which is asked when the call
    ends in any way.
    """

    request_id: str
    accepted_s: float
    deadline_s: float
    limit_s: float
    model: str = ""
    response_id: str = ""
    usage: Callable[[], common_pb2.Usage] | None = field(default=None, repr=False)

    def elapsed_s(self) -> float:
        """Seconds since the call was accepted."""
        return time.monotonic() - self.accepted_s


_CURRENT: ContextVar[Call] = ContextVar("trivium_call")


def enter(call: Call) -> None:
    """Makes `call` the current one of this task. grpc.aio runs every call in a task of its own."""
    _CURRENT.set(call)


def current_call() -> Call:
    """Returns the call that this task answers. Raises LookupError outside one."""
    return _CURRENT.get()
