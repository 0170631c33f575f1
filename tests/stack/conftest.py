"""The stack that tests call, kill and restart: three replicas, a real Envoy."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from deploy.envoy.options import Address, Bootstrap, UpstreamTls
from deploy.envoy.render import render
from tools.stack.running import RunningStack
from tools.stack.settings import envoy_binary
from trivium_models.store import Store

EMBEDDER, GENERATOR = "all-minilm-l6-v2", "smollm2-135m-instruct"
ORIGIN = "http://localhost:8000"
StartEnvoy = Callable[[Bootstrap], None]


@pytest.fixture(scope="session")
def models() -> None:
    """The models of the stack are in the default store."""
    for model in (EMBEDDER, GENERATOR):
        Store().pull(model)


@pytest.fixture(scope="session")
def stack(models: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Three replicas behind Envoy, all serving when the first test begins."""
    with RunningStack(tmp_path_factory.mktemp("stack"), "--origin", ORIGIN) as running:
        running.wait_until_serving()
        yield running


@pytest.fixture
def whole_stack(stack: RunningStack) -> RunningStack:
    """The same, with all replicas serving again after what an earlier test did."""
    stack.wait_until_serving()
    return stack


@pytest.fixture
def web(stack: RunningStack) -> str:
    """host:port of the plaintext listener."""
    return stack.text("web_target").removeprefix("http://")


@pytest.fixture
def web_channel(web: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(web) as channel:
        yield channel


@pytest.fixture
def tls_channel(stack: RunningStack) -> Iterator[grpc.Channel]:
    root = Path(stack.text("root_certificate")).read_bytes()
    target = stack.text("tls_target").removeprefix("https://")
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(root)) as channel:
        yield channel


@pytest.fixture
def start_envoy(tmp_path: Path) -> Iterator[StartEnvoy]:
    """Starts further Envoys, until the end of the test; returns when they listen."""
    with ExitStack() as running:

        def start(bootstrap: Bootstrap) -> None:
            running.enter_context(_envoy(bootstrap, tmp_path))

        yield start


@contextmanager
def _envoy(bootstrap: Bootstrap, folder: Path) -> Iterator[None]:
    config = folder / f"{bootstrap.admin_port}.yaml"
    config.write_text(render(bootstrap))
    command = [str(envoy_binary()), "--config-path", str(config), "--concurrency", "1", "--disable-hot-restart"]
    with (folder / f"{bootstrap.admin_port}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for listener in bootstrap.listeners:
            _wait_until_open(listener.address, process)
        yield
    finally:
        process.kill()
        process.wait(10)


def _wait_until_open(address: Address, process: "subprocess.Popen[bytes]") -> None:
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        assert process.poll() is None, "Envoy ended"
        with socket.socket() as probe:
            if probe.connect_ex((address.host, address.port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"Envoy does not listen on {address}")


def replica_addresses(stack: RunningStack) -> tuple[Address, ...]:
    return tuple(Address.parse(str(replica["address"])) for replica in stack.replicas)


def replica_tls(stack: RunningStack) -> UpstreamTls:
    """How Envoys that tests start reach the replicas of the stack."""
    return UpstreamTls(
        ca=str(stack.folder / "root.pem"),
        name="trivium.test",
        certificate=str(stack.folder / "client.pem"),
        private_key=str(stack.folder / "client_key.pem"),
    )
