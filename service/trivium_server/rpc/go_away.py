"""Tells the callers of long streams in time that their stream will end, so that they can open another."""

import asyncio
import time
from collections.abc import AsyncGenerator

from trivium.v1 import common_pb2
from trivium_server.rpc.admission import Admission
from trivium_server.rpc.answers import duration
from trivium_server.rpc.call import Call

# How long before its deadline a stream is told of it: as much, or this share of its whole time where that is less.
_NOTICE_S = 10.0
_NOTICE_SHARE = 0.1


async def go_aways(call: Call, admission: Admission) -> AsyncGenerator[common_pb2.GoAway]:
    """Yields one message when the server begins to drain, and one when the deadline is near; the sooner end counts."""
    due_s = call.deadline_s - min(_NOTICE_S, _NOTICE_SHARE * call.limit_s)
    end_s = call.deadline_s
    try:
        async with asyncio.timeout(max(0.0, due_s - time.monotonic())):
            end_s = min(end_s, await admission.end_announced())
    except TimeoutError:
        yield _message(end_s)
        end_s = min(end_s, await admission.end_announced())
        yield _message(end_s)
        return
    yield _message(end_s)
    if call.deadline_s <= end_s:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        yield _message(end_s)


def _message(end_s: float) -> common_pb2.GoAway:
    return common_pb2.GoAway(time_left=duration(max(0.0, end_s - time.monotonic())))
