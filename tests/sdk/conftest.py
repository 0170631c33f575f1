"""Both clients behind one face, so that every law is tested on both; and a server that fails as told."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import trivium
from tests.sdk.command import Command
from tests.sdk.faces import AsyncFace, Face, SyncFace
from tests.sdk.scripted import ScriptedServer, reply
from tests.serving import RunningServer
from trivium import RetryPolicy, _calls
from trivium.v1 import models_pb2

QUICK_RETRY = RetryPolicy(initial_backoff_s=0.01, max_backoff_s=0.02)


@pytest.fixture
def faults() -> Iterator[ScriptedServer]:
    """A server that fails, hangs and breaks off as the test tells it."""
    scripted = ScriptedServer()
    scripted.start()
    yield scripted
    scripted.stop()


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Face]]:
    """Makes clients of one kind or the other; they are closed after the test."""
    opened: list[Face] = []
    runner = asyncio.Runner()

    def make(target: str, **given: object) -> Face:
        settings: dict[str, Any] = {
            "default_model": "m",
            "retry": QUICK_RETRY,
        } | given  # any of the arguments of Client
        face: Face = (
            SyncFace(trivium.Client(target, **settings))
            if request.param == "sync"
            else AsyncFace(trivium.AsyncClient(target, **settings), runner)
        )
        opened.append(face)
        return face

    yield make
    for face in opened:
        face.close()
    runner.close()


@pytest.fixture
def command(tmp_path: Path, server: RunningServer) -> Command:
    """`trivium` with the real server."""
    return Command(tmp_path, server.address)


@pytest.fixture
def faulty(tmp_path: Path, faults: ScriptedServer) -> Command:
    """`trivium` with a server that has one model, `m`, and fails as the test tells it."""
    model = models_pb2.Model(
        name="m", state=models_pb2.MODEL_STATE_READY, capabilities=[models_pb2.CAPABILITY_GENERATE_TEXT]
    )
    faults.script(_calls.LIST_MODELS, reply(models_pb2.ListModelsResponse(models=[model])))
    return Command(tmp_path, faults.target)
