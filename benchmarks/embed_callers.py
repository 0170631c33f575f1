"""How each server is asked for vectors: ours with the generated stubs, the others over HTTP/1.1 as they document it."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks import grpc_client
from trivium.v1 import common_pb2
from trivium.v1 import embedding_pb2 as pb
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceStub

_ITEMS_PER_MESSAGE = 64
# As far as our SDK sends ahead of the results that it has. Without a bound, the connection's buffers take megabytes.
_MESSAGES_AHEAD = 2048 // _ITEMS_PER_MESSAGE


class Caller(Protocol):
    """One caller with a connection of its own. open before, close after."""

    async def open(self) -> None:
        """Connects."""
        ...

    async def close(self) -> None:
        """Disconnects."""
        ...

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Returns vectors, shape (len(texts), dimensions). One call at a time."""
        ...


class TriviumCaller:
    """Vectors as bytes of float32, which are exact."""

    def __init__(self, address: str, model: str) -> None:
        self._address = address
        self._config = pb.EmbedConfig(
            model=model,
            encoding=pb.VECTOR_ENCODING_FLOAT32_BYTES,
            truncation=common_pb2.TRUNCATION_POLICY_KEEP_START,
        )

    async def open(self) -> None:
        self._channel = grpc_client.open_channel(self._address)
        self._stub = EmbeddingServiceStub(self._channel)

    async def close(self) -> None:
        await self._channel.close(None)

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        request = pb.EmbedRequest(config=self._config, items=[pb.EmbedItem(text=text) for text in texts])
        response = await self._stub.Embed(request)
        return np.stack([_vector(result) for result in response.results])

    async def stream(self, texts: Iterable[str]) -> int:
        """Sends all texts on one stream and reads all vectors; returns how many there were."""
        received = 0
        completed = False
        room = asyncio.Semaphore(_MESSAGES_AHEAD)
        async for response in self._stub.StreamEmbed(self._messages(texts, room)):
            for result in response.results.results:
                _vector(result)
                received += 1
                if received % _ITEMS_PER_MESSAGE == 0:
                    room.release()
            completed |= response.HasField("completed")
        if not completed:
            raise RuntimeError("the stream ended without `completed`")
        return received

    async def _messages(self, texts: Iterable[str], room: asyncio.Semaphore) -> AsyncIterator[pb.StreamEmbedRequest]:
        yield pb.StreamEmbedRequest(setup=pb.StreamEmbedSetup(config=self._config))
        source = iter(texts)
        while items := [pb.EmbedItem(text=text) for text in itertools.islice(source, _ITEMS_PER_MESSAGE)]:
            await room.acquire()
            yield pb.StreamEmbedRequest(items=pb.EmbedItems(items=items))


def _vector(result: pb.EmbedResult) -> NDArray[np.float32]:
    if not result.HasField("embedding"):
        raise RuntimeError(f"a text was refused: {result.error.message}")
    return np.frombuffer(result.embedding.packed.data, "<f4")


class HttpCaller:
    """One connection that is kept. request: makes the body; read: takes the vectors out of the answer."""

    def __init__(
        self, address: str, path: str, request: Callable[[Sequence[str]], object], read: Callable[[bytes], object]
    ) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        self._request = request
        self._read = read

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=2**24)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        body = json.dumps(self._request(texts)).encode()
        self._writer.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status = await self._reader.readline()
        answer = await self._body()
        if b" 200 " not in status:
            raise RuntimeError(f"answered {status!r}: {answer[:500]!r}")
        vectors = np.asarray(self._read(answer), np.float32)
        if len(vectors) != len(texts):
            raise RuntimeError(f"{len(texts)} texts were answered with {len(vectors)} vectors")
        return vectors

    async def _body(self) -> bytes:
        length, chunked = 0, False
        while (line := (await self._reader.readline()).strip()) != b"":
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            chunked |= name == b"transfer-encoding" and b"chunked" in value
        if not chunked:
            return await self._reader.readexactly(length)
        chunks = []
        while size := int(await self._reader.readline(), 16):
            chunks.append(await self._reader.readexactly(size))
            await self._reader.readline()
        await self._reader.readline()
        return b"".join(chunks)


def _base64_vectors(answer: bytes) -> list[NDArray[np.float32]]:
    return [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in json.loads(answer)["data"]]


def caller(protocol: str, address: str, model: str) -> TriviumCaller | HttpCaller:
    """Returns a caller for `trivium`, `litserve`, `bentoml` or `infinity`."""
    match protocol:
        case "trivium":
            return TriviumCaller(address, model)
        case "litserve":
            return HttpCaller(
                address, "/predict", lambda texts: {"texts": texts}, lambda answer: json.loads(answer)["vectors"]
            )
        case "bentoml":
            return HttpCaller(address, "/encode", lambda texts: {"texts": texts}, json.loads)
        case "infinity":
            # base64 spares it and us the writing and reading of numbers as text.
            return HttpCaller(
                address,
                "/embeddings",
                lambda texts: {"model": model, "input": texts, "encoding_format": "base64"},
                _base64_vectors,
            )
    raise ValueError(f"unknown protocol {protocol!r}")
