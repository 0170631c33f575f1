"""The server that tests of RPCs call, under the fixture names of pytest-grpc."""

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from hypothesis import settings

from tests.serving import MODEL, RunningServer
from trivium_models.store import Store

# A shell that runs this in the background has it ignore SIGINT, and programs inherit that; tests press Ctrl-C on
# theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure of ours; pytest-timeout ends what really hangs.
settings.register_profile("trivium", deadline=None)
settings.load_profile("trivium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts long files first, so that no worker begins one when the others are done."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def model_store() -> Path:
    """The default model store, with the default model in it."""
    return Store().pull(MODEL).folder.parent


@pytest.fixture(scope="session")
def server(model_store: Path) -> Iterator[RunningServer]:
    """A server with the default model, ready, shared by all tests."""
    with RunningServer(
        model_store, models__load=MODEL, generation__max_context_tokens=1024, generation__queue_size=64
    ) as running:
        yield running


@pytest.fixture(scope="module")
def grpc_addr(server: RunningServer) -> str:
    """pytest-grpc: where the server listens."""
    return server.address


@pytest.fixture(scope="module")
def grpc_server(server: RunningServer) -> RunningServer:
    """pytest-grpc: the running server. The plugin's own is a server of threads; ours is grpc.aio."""
    return server


@pytest.fixture(scope="module")
def grpc_channel(grpc_addr: str, grpc_server: RunningServer) -> Iterator[grpc.Channel]:
    """pytest-grpc: a channel to it."""
    with grpc.insecure_channel(grpc_addr) as channel:
        yield channel
