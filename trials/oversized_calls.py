"""Sends what is too large, so often a second, and prints as JSON how many ended with which gRPC status.

    python -m trials.oversized_calls metadata 127.0.0.1:50051 --per-second 2 --seconds 60

huge: messages of 64 MB. beyond: of 4 MiB and one byte. metadata: headers of 20 KiB, in frames made by hand, because
gRPC's own clients keep such a call to themselves.
"""

import argparse
import json
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable

import grpc

from trivium.v1 import embedding_pb2 as pb

KINDS = ("huge", "beyond", "metadata")
LIMIT_BYTES = 4 * 1024 * 1024

_METHOD = "/trivium.v1.EmbeddingService/Embed"
_TIMEOUT_S = 20.0
_METADATA_LEN = 20 * 1024
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _CONTINUATION = 0, 1, 4, 9
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_MAX_FRAME = 16 * 1024


def _message(num_bytes: int) -> bytes:
    """Returns an EmbedRequest of this size."""

    def of(text_len: int) -> bytes:
        items = [pb.EmbedItem(text="x" * text_len)]
        return pb.EmbedRequest(config=pb.EmbedConfig(model="all-minilm-l6-v2-int8"), items=items).SerializeToString()

    overhead = len(of(num_bytes)) - num_bytes
    message = of(num_bytes - overhead)
    assert len(message) == num_bytes
    return message


def _large_message(channel: grpc.Channel, message: bytes) -> str:
    try:
        channel.unary_unary(_METHOD, bytes, bytes)(message, timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        name: str = error.code().name
        return name
    return "OK"


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _text(text: str) -> bytes:
    """As HPACK writes a string, without its Huffman code: the length in 7 bits, and what is over in more bytes."""
    size = len(text)
    if size < 127:
        return bytes([size]) + text.encode()
    length, rest = bytearray([127]), size - 127
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes(length) + bytes([rest]) + text.encode()


def _large_metadata(address: tuple[str, int]) -> str:
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": _METHOD,
        ":authority": "oversized",
        "content-type": "application/grpc",
        "te": "trailers",
        "x-large": "x" * _METADATA_LEN,
    }
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
    message = b"\0\0\0\0\0"
    frames = (
        _frame(_SETTINGS, _ACK, 0)
        + _frame(_HEADERS, 0, 1, block[:_MAX_FRAME])
        + _frame(_CONTINUATION, _END_HEADERS, 1, block[_MAX_FRAME:])
        + _frame(_DATA, _END_STREAM, 1, message)
    )
    with socket.create_connection(address, timeout=_TIMEOUT_S) as connection:
        connection.sendall(_PREFACE + _frame(_SETTINGS, 0, 0))
        # The server's settings say what it takes; it holds a client to them once this has acknowledged them.
        connection.recv(65536)
        connection.sendall(frames)
        answer = b""
        name = b"grpc-status"
        # The first answer on a connection spells its headers out: name, length and value.
        while name not in answer or len(answer) < answer.index(name) + len(name) + 3:
            got = connection.recv(65536)
            if not got:
                return "no answer"
            answer += got
    start = answer.index(name) + len(name)
    size = answer[start]
    number = int(answer[start + 1 : start + 1 + size])
    return str({code.value[0]: code.name for code in grpc.StatusCode}[number])


def send(kind: str, target: str, per_second: float, seconds: float) -> Counter[str]:
    """Does what KINDS names, one call after another."""
    host, _, port = target.rpartition(":")
    options = (("grpc.max_send_message_length", -1),)
    with grpc.insecure_channel(target, options=options) as channel:
        one: Callable[[], str]
        if kind == "metadata":

            def one() -> str:
                return _large_metadata((host, int(port)))
        else:
            message = _message(64_000_000 if kind == "huge" else LIMIT_BYTES + 1)

            def one() -> str:
                return _large_message(channel, message)

        statuses: Counter[str] = Counter()
        begun_s = time.monotonic()
        for number in range(round(per_second * seconds)):
            time.sleep(max(0.0, begun_s + number / per_second - time.monotonic()))
            if time.monotonic() > begun_s + 2 * seconds:
                break
            statuses[one()] += 1
        return statuses


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m trials.oversized_calls", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("target", metavar="HOST:PORT")
    parser.add_argument("--per-second", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    print(json.dumps(send(given.kind, given.target, given.per_second, given.seconds)))


if __name__ == "__main__":
    main()
