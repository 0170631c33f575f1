"""The line between a client and the scripted server: a TCP proxy that can be cut, and that can reset a stream."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

__all__ = ["Wire"]

_PREFACE_LEN = 24
_FRAME_HEADER_LEN = 9
_DATA, _HEADERS, _RST_STREAM, _GOAWAY = 0, 1, 3, 7
_END_STREAM, _END_HEADERS = 1, 4
_CANCEL = 8
_LONGEST_START_S = 10.0
_STATUS_INDEX, _CONTENT_TYPE_INDEX = b"\x08", b"\x0f\x10"  # entries 8 and 31 of HPACK's static table
_PAGE = b"<html><body>There is no server behind this proxy.</body></html>"


class Wire:
    """Passes connections on to a port of this machine. Thread-safe; close() breaks all of them.

    is_plain: what passes is HTTP/2, whose frames are told apart; else TLS, in which no stream can be reset.
    """

    def __init__(self, *, is_plain: bool) -> None:
        self._is_plain = is_plain
        self._lock = threading.Lock()
        self._connections: dict[int, _Connection] = {}
        self._port = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.num_connections = 0

    @property
    def target(self) -> str:
        """Where clients connect to."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def open(self, port: int) -> None:
        """Begins to pass connections on."""
        self._port = port
        threading.Thread(target=self._accept, name="conformance-wire", daemon=True).start()

    def cut(self, peer: str) -> None:
        """Breaks the connection that the server knows as `peer`, at both ends."""
        self._connection(peer).close()

    def reset_stream(self, peer: str, error_code: int) -> None:
        """Ends the latest stream of a connection with RST_STREAM, at both ends. The connection stays."""
        self._connection(peer).reset_stream(error_code)

    def answer_with_page(self, peer: str, status: int) -> None:
        """Answers the latest stream of a connection with this status of HTTP and a page, in the server's place."""
        self._connection(peer).answer_with_page(status)

    def send_away(self, peer: str) -> None:
        """Tells a client with GOAWAY that none of its streams on a connection was looked at."""
        self._connection(peer).send_away()

    def close(self) -> None:
        """Breaks everything. May be called twice."""
        self._listener.close()
        with self._lock:
            connections = list(self._connections.values())
        for connection in connections:
            connection.close()

    def _connection(self, peer: str) -> "_Connection":
        with self._lock:
            return self._connections[int(peer.rpartition(":")[2])]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._port))
            except OSError:  # the server has gone already
                client.close()
                continue
            connection = _Connection(client, server, is_plain=self._is_plain)
            with self._lock:
                self.num_connections += 1
                self._connections[server.getsockname()[1]] = connection
            connection.start()


class _Connection:
    """A client's connection and the one to the server that it is passed on to."""

    def __init__(self, client: socket.socket, server: socket.socket, *, is_plain: bool) -> None:
        self._up = _Direction(client, server, preface_len=_PREFACE_LEN if is_plain else None)
        self._down = _Direction(server, client, preface_len=0 if is_plain else None)

    def start(self) -> None:
        for direction in (self._up, self._down):
            threading.Thread(target=direction.run, name="conformance-wire", daemon=True).start()

    def reset_stream(self, error_code: int) -> None:
        frame = _frame(_RST_STREAM, 0, self._up.latest_stream, struct.pack("!I", error_code))
        self._down.insert(frame)
        self._up.send(frame)

    def answer_with_page(self, status: int) -> None:
        stream = self._up.latest_stream
        headers = _literal_header(_STATUS_INDEX, str(status)) + _literal_header(_CONTENT_TYPE_INDEX, "text/html")
        self._down.insert(_frame(_HEADERS, _END_HEADERS, stream, headers) + _frame(_DATA, _END_STREAM, stream, _PAGE))
        self._up.send(_frame(_RST_STREAM, 0, stream, struct.pack("!I", _CANCEL)))

    def send_away(self) -> None:
        self._down.insert(_frame(_GOAWAY, 0, 0, struct.pack("!II", 0, 0)))

    def close(self) -> None:
        for direction in (self._up, self._down):
            direction.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!BHBBI", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _literal_header(name_index: bytes, value: str) -> bytes:
    """A header of HPACK that changes no table: its name from the static one, its value as it is."""
    return name_index + bytes([len(value)]) + value.encode()


class _Direction:
    """Carries bytes one way, frame by frame where preface_len says how many bytes come before the first frame."""

    def __init__(self, source: socket.socket, sink: socket.socket, *, preface_len: int | None) -> None:
        self._source = source
        self._sink = sink
        self._preface_len = preface_len
        self._lock = threading.Lock()
        self._has_begun = threading.Event()
        self.latest_stream = 0
        for end in (source, sink):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        try:
            for piece in self._pieces():
                self.send(piece)
                self._has_begun.set()
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()

    def send(self, piece: bytes) -> None:
        with self._lock:
            self._sink.sendall(piece)

    def insert(self, frames: bytes) -> None:
        """Sends what the other end did not say, after its first frame: SETTINGS, before which nothing may come."""
        self._has_begun.wait(_LONGEST_START_S)
        self.send(frames)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it is closed already
            self._source.shutdown(socket.SHUT_RDWR)
        self._source.close()

    def _pieces(self) -> Iterator[bytes]:
        """Reads whole frames, or whatever comes where there are none."""
        if self._preface_len is None:
            while received := self._source.recv(65536):
                yield received
            return
        if self._preface_len:
            yield self._exactly(self._preface_len)
        while header := self._exactly(_FRAME_HEADER_LEN):
            high, low, kind, _, stream = struct.unpack("!BHBBI", header)
            if kind == _HEADERS:
                self.latest_stream = stream & 0x7FFFFFFF
            yield header + self._exactly(high << 16 | low)

    def _exactly(self, count: int) -> bytes:
        """Reads so many bytes, fewer at the end of the connection."""
        received = bytearray()
        while len(received) < count and (piece := self._source.recv(count - len(received))):
            received += piece
        return bytes(received)
