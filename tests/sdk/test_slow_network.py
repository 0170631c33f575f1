"""Over a connection that takes its time, as one across an ocean does."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, reply
from tests.serving import LoopThread
from trivium import RetryPolicy, _calls
from trivium.v1 import generation_pb2

Connect = Callable[..., Face]
DELAY_S = 0.6


@pytest.fixture
def far_away(faults: ScriptedServer) -> Iterator[str]:
    """Where the scripted server can be reached, but for what it says first, which comes late."""
    host, port = faults.target.split(":")

    relays: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        while content := await source.read(65536):
            sink.write(content)
            await sink.drain()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        relays.add(task)
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(pump(reader, server_writer, 0), pump(server_reader, writer, DELAY_S))
        finally:
            for end in (writer, server_writer):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def stop() -> None:
        listener.close()
        for task in relays:
            task.cancel()
        await asyncio.gather(*relays)

    loop = LoopThread()
    listener = loop.run(asyncio.start_server(relay, "127.0.0.1", 0))
    yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    loop.run(stop())
    loop.close()


def test_connecting_may_take_its_time(connect: Connect, faults: ScriptedServer, far_away: str) -> None:
    faults.script(_calls.GENERATE, reply(generation_pb2.GenerateResponse(response_id="r1")))
    face = connect(far_away, retry=RetryPolicy(max_attempts=1))
    assert face.call("text.generate", "Hi").response_id == "r1"
