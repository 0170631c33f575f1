"""The contenders: each a process that continues prompts, and a client in this one that notes when tokens arrive."""

import contextlib
import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks import grpc_client
from benchmarks.grpc_client import Sampling
from benchmarks.load import Address, Answer, Client, load_generator
from benchmarks.machine import REPOSITORY
from benchmarks.processes import ServerProcess, free_port
from benchmarks.prompts import MODEL, model_folder, store
from benchmarks.streams import Arrivals
from trivium.v1 import generation_pb2 as pb

PEERS_PYTHON = REPOSITORY / ".venv-peers" / "bin" / "python"
_READY_S = 60.0
_GENERATION_SERVICE = "trivium.v1.TextGenerationService"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One prompt, to be continued by exactly num_tokens tokens."""

    ids: Sequence[int]
    num_tokens: int
    sampling: Sampling


class Contender(ABC):
    """Something that generates. start before anything else; stop its process at the end, whatever happened."""

    name: str
    process: ServerProcess

    def __init__(self, transport: str, path: str) -> None:
        self._port = free_port()
        self._to = Address(transport=transport, target=self.address, path=path)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._port}"

    @abstractmethod
    def start(self) -> None:
        """Starts the process and returns when it is ready to generate."""

    @abstractmethod
    def request(self, ask: Ask) -> bytes:
        """What is sent for it."""

    @abstractmethod
    def count_tokens(self, message: bytes) -> int:
        """How many tokens a message of the answer carries."""

    def run(self, clients: Sequence[Sequence[Ask]], *, gap_s: float = 0.0, last_after: int = 0) -> list[list[Arrivals]]:
        """Runs clients that ask one thing after the other, and returns when each answer's tokens arrived. Blocks.

        gap_s: between the starts of two clients. last_after: the last one waits until each other has had so many
        messages; 0 does not.
        """
        asked = [
            Client(
                requests=[self.request(ask) for ask in asks],
                delay_s=index * gap_s,
                after_messages=last_after if index == len(clients) - 1 else 0,
            )
            for index, asks in enumerate(clients)
        ]
        return [[self._arrivals(answer) for answer in answers] for answers in load_generator().run(self._to, asked)]

    def _arrivals(self, answer: Answer) -> Arrivals:
        counted = [(at_s, self.count_tokens(message)) for at_s, message in answer.messages]
        return Arrivals(sent_s=answer.sent_s, events=[(at_s, count) for at_s, count in counted if count])


class _OverGrpc(Contender):
    """A server with our StreamGenerate."""

    def __init__(self) -> None:
        super().__init__("grpc", "/trivium.v1.TextGenerationService/StreamGenerate")

    def request(self, ask: Ask) -> bytes:
        return grpc_client.request(MODEL, ask.ids, ask.num_tokens, ask.sampling).SerializeToString()

    def count_tokens(self, message: bytes) -> int:
        return pb.StreamGenerateResponse.FromString(message).delta.token_count


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
            str(self._port),
            "--mode",
            self._mode,
        ]
        command += ["--threads", str(self._threads)]
        self.process = ServerProcess(command, env={"PYTHONPATH": str(REPOSITORY / "clients" / "python")})
        wait_ready_line(self.process)


class LlamaCpp(Contender):
    """llama.cpp's HTTP server."""

    def __init__(self, gguf: Path, *, threads: int, flash_attention: bool) -> None:
        super().__init__("sse", "/completion")
        self.name = f"llama.cpp, flash {'on' if flash_attention else 'off'}"
        self._gguf = gguf
        self._threads = threads
        self._flash = flash_attention

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

    def request(self, ask: Ask) -> bytes:
        asked: dict[str, object] = {
            "prompt": list(ask.ids),
            "n_predict": ask.num_tokens,
            "ignore_eos": True,
            "stream": True,
            "cache_prompt": False,
            "temperature": 0.0 if ask.sampling is Sampling.GREEDY else 0.2,
            "top_p": 0.9,
            # Its other samplers stay as they are: top-k 40 makes its sampling cheaper. min-p off: ours is.
            "min_p": 0.0,
        }
        return json.dumps(asked).encode()

    def count_tokens(self, message: bytes) -> int:
        # What ends a stream is no JSON.
        return len(json.loads(message).get("tokens", ())) if message.startswith(b"{") else 0


class Bare:
    """The loop without a server. It takes a burst at once, and has no clients."""

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

    def burst(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[Arrivals]:
        """Continues all prompts together; blocks."""
        print(json.dumps({"prompts": prompts, "num_tokens": num_tokens}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bare loop ended:\n{self.process.log_tail()}")
        return [Arrivals(sent_s=row["sent_s"], events=row["events"]) for row in json.loads(line)]


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
