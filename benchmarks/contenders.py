"""The contenders: each a process that continues prompts, and a client in this one that notes when tokens arrive."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks import grpc_client, sse_client
from benchmarks.grpc_client import Sampling
from benchmarks.machine import REPOSITORY
from benchmarks.processes import ServerProcess, free_port
from benchmarks.prompts import MODEL, model_folder, store
from benchmarks.streams import Arrivals
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub

PEERS_PYTHON = REPOSITORY / ".venv-peers" / "bin" / "python"
Events = list[tuple[float, int]]
_READY_S = 60.0
_GENERATION_SERVICE = "trivium.v1.TextGenerationService"


class Contender(Protocol):
    """Something that generates. start before anything else; stop at the end, whatever happened."""

    name: str
    process: ServerProcess

    def start(self) -> None:
        """Starts the process and returns when it is ready to generate."""
        ...

    async def open(self) -> None:
        """Connects, on the event loop that will run the bursts."""
        ...

    async def close(self) -> None:
        """Disconnects and ends the process."""
        ...

    async def stream(self, ids: Sequence[int], num_tokens: int, sampling: Sampling, events: Events) -> Arrivals:
        """Continues one prompt by exactly num_tokens tokens and fills `events` meanwhile; may run concurrently."""
        ...


class _OverGrpc:
    """The client's side of a server with our StreamGenerate."""

    name: str
    process: ServerProcess

    def __init__(self) -> None:
        self.port = free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        self._channel = grpc_client.open_channel(self.address)
        self.stub = TextGenerationServiceStub(self._channel)

    async def disconnect(self) -> None:
        """Closes the channel and leaves the process running."""
        await self._channel.close(None)

    async def close(self) -> None:
        await self.disconnect()
        self.process.stop()

    async def stream(self, ids: Sequence[int], num_tokens: int, sampling: Sampling, events: Events) -> Arrivals:
        return await grpc_client.read(self.stub, grpc_client.request(MODEL, ids, num_tokens, sampling), events)


class Trivium(_OverGrpc):
    """Our server as `trivium serve` runs it, with its own defaults but for the threads."""

    def __init__(self, *, threads: int, module: str = "trivium_server") -> None:
        """module: what to run in its place, with the same arguments."""
        super().__init__()
        self.name = "trivium"
        self._threads = threads
        self._module = module

    def start(self) -> None:
        command = [sys.executable, "-m", self._module, "--listen", self.address, "--model", MODEL]
        command += ["--models-dir", str(store()), "--threads", str(self._threads)]
        self.process = ServerProcess(command)
        wait_serving(self.process, self.address)


class Genai(_OverGrpc):
    """onnxruntime-genai; see peers/genai_server.py for the modes."""

    def __init__(self, *, threads: int, mode: str) -> None:
        super().__init__()
        self.name = f"genai, {mode}"
        self._threads = threads
        self._mode = mode

    def start(self) -> None:
        script = Path(__file__).parent / "peers" / "genai_server.py"
        command: list[str | Path] = [
            PEERS_PYTHON,
            script,
            model_folder(),
            "--port",
            str(self.port),
            "--mode",
            self._mode,
        ]
        command += ["--threads", str(self._threads)]
        self.process = ServerProcess(command, env={"PYTHONPATH": str(REPOSITORY / "clients" / "python")})
        wait_ready_line(self.process)


class LlamaCpp:
    """llama.cpp's HTTP server."""

    process: ServerProcess

    def __init__(self, gguf: Path, *, threads: int, flash_attention: bool) -> None:
        self.name = f"llama.cpp, flash {'on' if flash_attention else 'off'}"
        self._gguf = gguf
        self._threads = threads
        self._flash = flash_attention
        self._port = free_port()

    def start(self) -> None:
        script = Path(__file__).parent / "peers" / "llama_cpp_server.py"
        command: list[str | Path] = [
            PEERS_PYTHON,
            script,
            self._gguf,
            "--port",
            str(self._port),
            "--threads",
            str(self._threads),
        ]
        command += ["--flash-attention", "on" if self._flash else "off"]
        self.process = ServerProcess(command)
        wait_ready_line(self.process)

    async def open(self) -> None:
        """Every stream connects anew."""

    async def close(self) -> None:
        self.process.stop()

    async def stream(self, ids: Sequence[int], num_tokens: int, sampling: Sampling, events: Events) -> Arrivals:
        return await sse_client.read(self._port, ids, num_tokens, events, greedy=sampling is Sampling.GREEDY)


class Bare:
    """The loop without a server. It takes a burst at once, so it has no `stream`."""

    process: ServerProcess

    def __init__(self, *, threads: int, spin_us: int | None = None) -> None:
        """spin_us: None leaves onnxruntime's default."""
        self.name = "bare loop" if spin_us is None else f"bare loop, spin {spin_us} us"
        self._command = [sys.executable, "-m", "benchmarks.bare_loop", str(model_folder() / "ragged.onnx")]
        self._command += ["--threads", str(threads), *([] if spin_us is None else ["--spin-us", str(spin_us)])]

    def start(self) -> None:
        self.process = ServerProcess(self._command, pipes=True)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the bare loop did not start:\n{self.process.log_tail()}")

    async def close(self) -> None:
        self.process.stop()

    def burst(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[Arrivals]:
        """Continues all prompts together; blocks."""
        print(json.dumps({"prompts": prompts, "num_tokens": num_tokens}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bare loop ended:\n{self.process.log_tail()}")
        return [Arrivals(sent_s=row["sent_s"], events=row["events"]) for row in json.loads(line)]


async def run_together(
    contender: Contender, prompts: Sequence[Sequence[int]], num_tokens: int, sampling: Sampling, gap_s: float = 0.0
) -> list[Arrivals]:
    """Streams all prompts at once, or each gap_s seconds after the one before."""

    async def one(index: int, ids: Sequence[int]) -> Arrivals:
        await asyncio.sleep(index * gap_s)
        return await contender.stream(ids, num_tokens, sampling, [])

    return list(await asyncio.gather(*(one(index, ids) for index, ids in enumerate(prompts))))


def wait_serving(process: ServerProcess, address: str, *, service: str = _GENERATION_SERVICE) -> None:
    """Returns when the server's health says that a service is there. Raises RuntimeError if it does not come up."""
    deadline = time.monotonic() + _READY_S
    asked = health_pb2.HealthCheckRequest(service=service)
    # A channel that failed to connect waits before it tries again, so that start-up times would be rounded up.
    names = ("initial", "min", "max")
    options = [("grpc.use_local_subchannel_pool", 1), *((f"grpc.{name}_reconnect_backoff_ms", 100) for name in names)]
    with _stopped_on_failure(process), grpc.insecure_channel(address, options) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline:
            process.require_alive()
            with contextlib.suppress(grpc.RpcError):  # not listening yet
                if health.Check(asked, timeout=1.0).status == health_pb2.HealthCheckResponse.SERVING:
                    return
            time.sleep(0.005)
        raise RuntimeError(f"the server at {address} did not become ready:\n{process.log_tail()}")


def wait_ready_line(process: ServerProcess) -> None:
    """Returns when the process has printed `ready`. Raises RuntimeError, with its log, if it does not."""
    deadline = time.monotonic() + _READY_S
    with _stopped_on_failure(process):
        while time.monotonic() < deadline:
            process.require_alive()
            if any(line.startswith("ready") for line in process.log_tail().splitlines()):
                return
            time.sleep(0.01)
        raise RuntimeError(f"a peer did not become ready:\n{process.log_tail()}")


@contextlib.contextmanager
def _stopped_on_failure(process: ServerProcess) -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.stop()
        raise


def require_peers() -> None:
    """Ends the program with what to do when the peers are not installed."""
    if not PEERS_PYTHON.exists():
        raise SystemExit("benchmarks: the peers are not installed; run benchmarks/install_peers.sh, or pass --no-peers")
