"""Reads token streams of llama.cpp's HTTP server: one connection each, straight from the socket."""

import asyncio
import json
import time
from collections.abc import Sequence

from benchmarks.streams import Arrivals


async def read(
    port: int, ids: Sequence[int], num_tokens: int, events: list[tuple[float, int]], *, greedy: bool
) -> Arrivals:
    """Asks /completion for exactly num_tokens tokens and appends to `events` when they arrive.

    Raises RuntimeError when refused.
    """
    asked: dict[str, object] = {
        "prompt": list(ids),
        "n_predict": num_tokens,
        "ignore_eos": True,
        "stream": True,
        "cache_prompt": False,
        "temperature": 0.0 if greedy else 0.2,
        "top_p": 0.9,
        # Its other samplers stay as they are: top-k 40 makes its sampling cheaper. min-p off: ours is.
        "min_p": 0.0,
    }
    body = json.dumps(asked).encode()
    head = (
        f"POST /completion HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        sent = time.monotonic()
        writer.write(head.encode() + body)
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"llama.cpp answered {status!r}: {(await reader.read(500))!r}")
        await _read_events(reader, events)
        return Arrivals(sent_s=sent, events=events)
    finally:
        writer.close()


async def _read_events(reader: asyncio.StreamReader, events: list[tuple[float, int]]) -> None:
    while line := await reader.readline():
        # Everything else is HTTP's: headers, chunk sizes, empty lines.
        if line.startswith(b"data: {"):
            count = len(json.loads(line[6:]).get("tokens", ()))
            if count:
                events.append((time.monotonic(), count))
