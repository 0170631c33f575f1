"""The smallest HTTP server that a scraper and a probe need: GET, one request for each connection, all of it bounded."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

_logger = logging.getLogger("trivium.server")

_MAX_HEAD_BYTES = 8192
_MAX_CONNECTIONS = 32
# For the whole of a connection: a scraper takes milliseconds, and one that does not read is cut.
_MAX_S = 10.0
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a path answers."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"


Route = Callable[[], Answer]
"""Makes an answer. Called on the event loop: must be quick."""


class HttpListener:
    """Serves routes, by path, on the event loop. Nothing that a client does harms anything but its own connection."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listens, and returns the port: a free one for 0. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_HEAD_BYTES)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    async def close(self) -> None:
        """Stops listening and cuts what is open."""
        if self._server is not None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            async with asyncio.timeout(_MAX_S):
                await self._answer(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass  # It sent too little, or took too little, or is gone.
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(_END_OF_HEAD)
        except asyncio.LimitOverrunError:
            answer, method = _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), b""
        else:
            method, path = _request(head)
            answer = self._route(method, path)
        fields = (
            f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            *(["Allow: GET, HEAD"] if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else []),
            "Cache-Control: no-store",
            "Connection: close",
        )
        writer.write("\r\n".join(fields).encode() + _END_OF_HEAD + (b"" if method == b"HEAD" else answer.body))
        writer.write_eof()
        await writer.drain()
        # Closed with something unread, the connection would be reset, and the answer lost on its way.
        while await reader.read(_MAX_HEAD_BYTES):
            pass

    def _route(self, method: bytes, path: bytes) -> Answer:
        if not path:
            return _plain(HTTPStatus.BAD_REQUEST)
        route = self._routes.get(path.partition(b"?")[0].decode("latin-1"))
        if route is None:
            return _plain(HTTPStatus.NOT_FOUND)
        if method not in {b"GET", b"HEAD"}:
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            return route()
        except Exception:
            _logger.exception("the answer to %s met a defect", path.decode("latin-1")[:64])
            return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def _request(head: bytes) -> tuple[bytes, bytes]:
    """Returns method and path; the path is empty where it is no HTTP request."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    is_request = len(words) == len((b"method", b"path", b"version")) and words[2].startswith(b"HTTP/1.")
    return (words[0], words[1]) if is_request else (b"", b"")


def _plain(status: HTTPStatus) -> Answer:
    return Answer(body=f"{status.phrase}\n".encode(), status=status)
