"""Opens streams of embeddings, reads one message a second of each, and then none.

    python -m trials.slow_readers 127.0.0.1:50051 --model NAME --streams 200

Prints `stopped` once nothing more is read. A line on standard input makes it read what is left, and print as JSON how
each stream ended. Each has a connection of its own, with windows of 16 KiB: what is not read waits at the server.
"""

import argparse
import asyncio
import contextlib
import json
import sys

import grpc

from trivium.v1 import embedding_pb2 as pb

_EOF: object = grpc.aio.EOF  # type: ignore[attr-defined]  # public, but missing in grpc-stubs
_METHOD = "/trivium.v1.EmbeddingService/StreamEmbed"
_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 16 * 1024),
)
_NUM_READ = 3
# More than a window of results: 1.5 KB each.
_ITEMS_UNREAD = 16


def _texts(*texts: str) -> pb.StreamEmbedRequest:
    return pb.StreamEmbedRequest(items=pb.EmbedItems(items=[pb.EmbedItem(text=text) for text in texts]))


class _Reader:
    def __init__(self, target: str, model: str) -> None:
        self._model = model
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        method = self._channel.stream_stream(_METHOD, pb.StreamEmbedRequest.SerializeToString, bytes)
        self._call = method(None)
        self._sender: asyncio.Task[None] | None = None

    async def read_some(self) -> None:
        await self._call.write(
            pb.StreamEmbedRequest(setup=pb.StreamEmbedSetup(config=pb.EmbedConfig(model=self._model)))
        )
        for _ in range(_NUM_READ):
            await self._call.write(_texts("good morning"))
            await self._call.read()
            await asyncio.sleep(1)
        self._sender = asyncio.create_task(self._send_on())

    async def _send_on(self) -> None:
        """Ends with the call."""
        try:
            await self._call.write(_texts(*["good morning"] * _ITEMS_UNREAD))
        except (grpc.RpcError, asyncio.InvalidStateError):
            return

    async def read_rest(self) -> str:
        """Returns the status by its name."""
        with contextlib.suppress(grpc.RpcError):
            while await self._call.read() is not _EOF:
                pass
        code = await self._call.code()
        if self._sender:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        await self._channel.close(None)
        return str(code.name)


async def _run(target: str, model: str, num_streams: int) -> None:
    readers = [_Reader(target, model) for _ in range(num_streams)]
    await asyncio.gather(*(reader.read_some() for reader in readers))
    print("stopped", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(await asyncio.gather(*(reader.read_rest() for reader in readers))), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m trials.slow_readers", description=__doc__)
    parser.add_argument("target", metavar="HOST:PORT")
    parser.add_argument("--model", required=True)
    parser.add_argument("--streams", type=int, default=200)
    given = parser.parse_args()
    asyncio.run(_run(given.target, given.model, given.streams))


if __name__ == "__main__":
    main()
