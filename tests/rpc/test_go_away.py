"""When the callers of long streams hear that their stream will end."""

import asyncio
import time

import pytest

from trivium_server.rpc.admission import Admission
from trivium_server.rpc.call import Call
from trivium_server.rpc.go_away import go_aways


def call_of(limit_s: float) -> Call:
    now = time.monotonic()
    return Call(request_id="r", accepted_s=now, deadline_s=now + limit_s, limit_s=limit_s)


async def told_within(seconds: float, call: Call, admission: Admission) -> list[tuple[float, float]]:
    """When something was told, from now, and how much time it said was left."""
    began, told = time.monotonic(), []
    try:
        async with asyncio.timeout(seconds):
            async for message in go_aways(call, admission):
                told.append((time.monotonic() - began, message.time_left.ToNanoseconds() / 1e9))  # noqa: PERF401  # kept when time is up
            await asyncio.sleep(seconds)
    except TimeoutError:
        pass
    return told


async def test_near_the_deadline() -> None:
    ((when_s, left_s),) = await told_within(1.5, call_of(1.0), Admission(1))
    assert when_s == pytest.approx(0.9, abs=0.1)
    assert left_s == pytest.approx(0.1, abs=0.1)


async def test_a_long_stream_hears_ten_seconds_before() -> None:
    call = call_of(3600.0)
    call.deadline_s = time.monotonic() + 10.2
    ((when_s, left_s),) = await told_within(0.6, call, Admission(1))
    assert when_s == pytest.approx(0.2, abs=0.15)
    assert left_s == pytest.approx(10, abs=0.15)


async def test_at_once_when_the_server_drains_and_its_end_comes_first() -> None:
    admission = Admission(1)
    asyncio.get_running_loop().call_later(0.1, admission.announce_end, time.monotonic() + 5)
    ((when_s, left_s),) = await told_within(1.5, call_of(10.0), admission)
    assert when_s == pytest.approx(0.1, abs=0.1)
    assert left_s == pytest.approx(4.9, abs=0.1)


async def test_again_when_the_deadline_comes_before_the_end_of_the_drain() -> None:
    admission = Admission(1)
    admission.announce_end(time.monotonic() + 30)
    told = await told_within(1.5, call_of(1.0), admission)
    assert [when_s for when_s, _ in told] == pytest.approx([0, 0.9], abs=0.1)
    assert [left_s for _, left_s in told] == pytest.approx([1, 0.1], abs=0.1)


async def test_again_when_the_drain_begins_near_the_deadline() -> None:
    admission = Admission(1)
    asyncio.get_running_loop().call_later(0.95, admission.announce_end, time.monotonic() + 0.96)
    assert len(await told_within(1.5, call_of(1.0), admission)) == 2
