"""Streams whose server is killed, with two real servers: what can be made again goes on at the one that is left."""

import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.faces import Face
from tests.server.processes import ServerProcess
from tests.serving import MODEL, wait_until
from trivium import errors

Connect = Callable[..., Face]
NUM_TOKENS = 120
NUM_BEFORE_KILL = 9
ASKED: dict[str, Any] = {  # any of the arguments of text.stream
    "model": MODEL,
    "max_output_tokens": NUM_TOKENS,
    "min_output_tokens": NUM_TOKENS,
    "include_token_ids": True,
}
PROMPT = "Tell me a story of a café."


@pytest.fixture(scope="module")
def survivor(model_store: Path) -> Iterator[ServerProcess]:
    with ServerProcess(model_store, "--model", MODEL) as server:
        server.wait_for(r" ready  ")
        yield server


@pytest.fixture
def victim(model_store: Path) -> Iterator[ServerProcess]:
    with ServerProcess(model_store, "--model", MODEL) as server:
        server.wait_for(r" ready  ")
        yield server


@pytest.fixture
def face(connect: Connect, victim: ServerProcess, survivor: ServerProcess) -> Face:
    """A client of both servers, which goes to the victim as long as it lives."""
    return connect(f"ipv4:{victim.address},{survivor.address}", tls=False)


def read_and_kill(face: Face, stream: Any, victim: ServerProcess) -> list[Any]:  # a stream of either client
    """Reads a stream to its end, and ends the server that answers in the middle. Returns what it yielded."""
    numbers = itertools.count(1)

    def take(delta: object) -> object:
        if next(numbers) == NUM_BEFORE_KILL:
            victim.signal(signal.SIGKILL)
        return delta

    async def read() -> list[Any]:
        return [take(delta) async for delta in stream]

    return list(face.run(read())) if face.is_async else [take(delta) for delta in stream]


def generations(server: ServerProcess, request_id: str) -> list[str]:
    """What a server's log says of the generations of a request."""
    return [line for line in server.lines if f"StreamGenerate  status=OK  request_id={request_id}  " in line]


@pytest.mark.parametrize("num_candidates", [1, 2])
def test_seeded_stream_goes_on_at_another_server(
    face: Face, connect: Connect, victim: ServerProcess, survivor: ServerProcess, num_candidates: int
) -> None:
    asked = ASKED | {"seed": 5, "candidate_count": num_candidates}
    whole, unbroken = connect(survivor.address).events("text.stream", PROMPT, **asked)
    request_id = f"broken-{face.is_async}-{num_candidates}"
    stream = face.open("text.stream", PROMPT, request_id=request_id, **asked)
    deltas = read_and_kill(face, stream, victim)
    assert victim.exit_code() == -signal.SIGKILL
    assert not generations(victim, request_id)
    assert wait_until(lambda: len(generations(survivor, request_id)) == 1)
    assert stream.result.candidates == unbroken.result.candidates
    assert stream.result.usage.output_tokens == unbroken.result.usage.output_tokens
    for index in range(num_candidates):
        told = "".join(delta.text for delta in deltas if delta.candidate_index == index)
        assert told == "".join(delta.text for delta in whole if delta.candidate_index == index)
    assert sum(delta.token_count for delta in deltas) == num_candidates * NUM_TOKENS


def test_stream_of_chance_is_lost(face: Face, victim: ServerProcess) -> None:
    # Of one token to choose from each is the same again, but that is not what a client looks at.
    stream = face.open("text.stream", PROMPT, temperature=1.0, top_k=1, **ASKED)
    with pytest.raises(errors.ConnectionLost):
        read_and_kill(face, stream, victim)
    assert stream.partial_text
