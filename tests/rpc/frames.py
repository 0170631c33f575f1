"""A gRPC client of plain HTTP/2 frames on a socket: it sees what a proxy sees, and when."""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ENHANCE_YOUR_CALM = 11
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of HTTP/2. Servers of grpc compress no text of ours in `payload`, but for bytes under `-bin`."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def ends_stream(self) -> bool:
        return bool(self.flags & _END_STREAM)


class Connection:
    """A connection of a client. Calls are numbered 1, 3, 5 …, as streams of HTTP/2 are."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._unread = b""
        self._frames: list[Frame] = []
        self._next_stream = 1
        self._num_pings = 0
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(SETTINGS, 0, 0, b""))

    def call(self, path: str, message: bytes, **metadata: str) -> int:
        """Begins a call with one request; returns its stream. Metadata is named with `_` for `-`."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "here", "te": "trailers"}
        fields |= {"content-type": "application/grpc"} | {key.replace("_", "-"): text for key, text in metadata.items()}
        block = b"".join(_literal(key, text) for key, text in fields.items())
        body = struct.pack(">BI", 0, len(message)) + message
        self._socket.sendall(_frame(HEADERS, _END_HEADERS, stream, block) + _frame(DATA, _END_STREAM, stream, body))
        return stream

    def ping(self) -> list[Frame]:
        """Sends a ping and waits for its answer; returns the frames of calls that came before it."""
        self._num_pings += 1
        payload = struct.pack(">Q", self._num_pings)
        self._socket.sendall(_frame(PING, 0, 0, payload))
        for frame in self._read():
            if frame.kind == PING and frame.payload == payload:
                break
            self._frames.append(frame)
        return [frame for frame in self._frames if frame.stream]

    def send_pings(self, count: int) -> None:
        """Sends pings at once, and waits for nothing."""
        self._socket.sendall(b"".join(_frame(PING, 0, 0, struct.pack(">Q", 2**63 + n)) for n in range(count)))

    def answer(self, stream: int) -> list[Frame]:
        """Waits for the end of a call; returns all frames of it."""
        while not any(frame.stream == stream and frame.ends_stream for frame in self._frames):
            self._frames.append(next(self._read()))
        return [frame for frame in self._frames if frame.stream == stream]

    def going_away(self) -> int:
        """Waits for GOAWAY; returns its error code."""
        for frame in self._read():
            if frame.kind == GOAWAY:
                return int(struct.unpack(">I", frame.payload[4:8])[0])
        raise AssertionError("the reader does not end")

    def _read(self) -> Iterator[Frame]:
        """Yields frames other than those that only keep the connection; raises ConnectionError at its end."""
        while True:
            head = self._take(9)
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            frame = Frame(kind, flags, stream, self._take(int.from_bytes(head[:3], "big")))
            if kind == SETTINGS and not flags & _ACK:
                self._socket.sendall(_frame(SETTINGS, _ACK, 0, b""))
            elif kind == PING and not flags & _ACK:
                self._socket.sendall(_frame(PING, _ACK, 0, frame.payload))
            elif kind not in {SETTINGS, WINDOW_UPDATE}:
                yield frame

    def _take(self, size: int) -> bytes:
        while len(self._unread) < size:
            more = self._socket.recv(65_536)
            if not more:
                raise ConnectionError("the server closed the connection")
            self._unread += more
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._socket.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(key: str, text: str) -> bytes:
    """A header field that is not indexed, of HPACK; key and text of less than 127 bytes."""
    return b"\0" + bytes([len(key)]) + key.encode() + bytes([len(text)]) + text.encode()
