"""Who takes part in the measurement of embeddings: servers with a client in another process, and the bare limit."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc

from benchmarks.contenders import PEERS_PYTHON
from benchmarks.embed_bare import Burst
from benchmarks.embed_callers import caller
from benchmarks.embed_client import Done, Work
from benchmarks.embed_processes import ServerTree
from benchmarks.machine import REPOSITORY
from benchmarks.processes import ServerProcess, free_port
from benchmarks.prompts import store

INFINITY = REPOSITORY / ".venv-peers" / "infinity" / "bin" / "infinity_emb"
_IMPORTS = {"PYTHONPATH": str(REPOSITORY)}
_READY_S = 240.0


class Served:
    """A server that embeds. name: its family, and after a comma its variant. start first; close at the end.

    streams: whether it takes bulk work on one stream.
    """

    process: ServerTree

    def __init__(
        self,
        name: str,
        protocol: str,
        model: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """command: `{port}` and `{address}` in it are filled in. protocol: as embed_callers knows it."""
        self.name = name
        self.streams = protocol == "trivium"
        self._protocol = protocol
        self._model = model
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._command = [str(word).format(port=port, address=self.address) for word in command]
        self._env = env

    def start(self) -> None:
        """Starts it and returns when it embeds. Raises RuntimeError when it does not within four minutes."""
        self.process = ServerTree(self._command, env=self._env)
        try:
            self._wait()
        except BaseException:
            self.process.stop()
            raise

    def close(self) -> None:
        self.process.stop()

    def client(self) -> "Client":
        """Returns a new client of it."""
        return Client(self._protocol, self.address, self._model)

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            self.process.require_alive()
            with contextlib.suppress(OSError, RuntimeError, asyncio.IncompleteReadError, grpc.aio.AioRpcError):
                asyncio.run(self._try())
                return
            time.sleep(0.2)
        raise RuntimeError(f"{self.name} did not become ready:\n{self.process.log_tail()}")

    async def _try(self) -> None:
        one = caller(self._protocol, self.address, self._model)
        await one.open()
        try:
            await one.embed(["Are you there?"])
        finally:
            await one.close()


class Client:
    """A process with clients of one server. prepare, then go, then result; or `do` for all three."""

    def __init__(self, protocol: str, address: str, model: str) -> None:
        self.process = ServerProcess(
            [sys.executable, "-m", "benchmarks.embed_client", protocol, address, model], pipes=True
        )

    def prepare(self, work: Work) -> None:
        """Returns when its callers are connected and warm."""
        print(json.dumps(work), file=self.process.stdin, flush=True)
        if self._read() != "ready":
            raise RuntimeError(f"a client failed:\n{self.process.log_tail()}")

    def go(self) -> None:
        print(file=self.process.stdin, flush=True)

    def result(self) -> Done:
        done: Done = json.loads(self._read())
        return done

    def do(self, work: Work) -> Done:
        self.prepare(work)
        self.go()
        return self.result()

    def close(self) -> None:
        self.process.stop()

    def _read(self) -> str:
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"a client ended:\n{self.process.log_tail()}")
        return line


class Bare:
    """The limit; see embed_bare. It takes a burst at once."""

    name = "bare loop"
    process: ServerProcess

    def __init__(self, model: str, *, threads: int) -> None:
        self.threads = threads
        self._command = [
            sys.executable,
            "-m",
            "benchmarks.embed_bare",
            str(folder_of(model)),
            "--threads",
            str(threads),
        ]

    def start(self) -> None:
        self.process = ServerProcess(self._command, pipes=True)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the bare loop did not start:\n{self.process.log_tail()}")

    def close(self) -> None:
        self.process.stop()

    def burst(self, texts: Sequence[str], *, budget: int, workers: int) -> Burst:
        answer: Burst = json.loads(self._ask({"texts": list(texts), "budget": budget, "workers": workers}))
        return answer

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """Returns what the graph gives for each text alone."""
        vectors: list[list[float]] = json.loads(self._ask({"texts": list(texts), "vectors": True}))["vectors"]
        return vectors

    def _ask(self, message: dict[str, object]) -> str:
        print(json.dumps(message), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bare loop ended:\n{self.process.log_tail()}")
        return line


def trivium(model: str, *, threads: int) -> Served:
    """Our server as `trivium serve` runs it, with its own defaults but for the threads."""
    command = [sys.executable, "-m", "trivium_server", "--listen", "{address}", "--model", model]
    command += ["--models-dir", str(store()), "--threads", str(threads)]
    return Served("trivium", "trivium", model, command)


def peers(model: str, *, threads: int) -> list[Served]:
    """LitServe and BentoML on the same graph, as one process with all threads and as one for each processor.

    And infinity-emb where it is installed, on the weights that the graph was made from, in float32.
    """
    found = []
    for workers in dict.fromkeys((1, threads)):
        share = threads // workers
        variant = f"{workers} x {share}"
        folder = folder_of(model)
        litserve: list[str | Path] = [PEERS_PYTHON, "-m", "benchmarks.peers.embed_litserve", folder, "--port", "{port}"]
        litserve += ["--workers", str(workers), "--threads", str(share)]
        found.append(Served(f"LitServe, {variant}", "litserve", model, litserve, env=_IMPORTS))
        bentoml: list[str | Path] = [PEERS_PYTHON, "-m", "bentoml", "serve", "benchmarks.peers.embed_bentoml:Encoder"]
        bentoml += ["--host", "127.0.0.1", "--port", "{port}"]
        bentoml += ["--working-dir", REPOSITORY]
        settings = {"MODEL_FOLDER": str(folder), "WORKERS": str(workers), "THREADS": str(share)}
        settings |= _IMPORTS | {"BENTOML_DO_NOT_TRACK": "True"}
        found.append(Served(f"BentoML, {variant}", "bentoml", model, bentoml, env=settings))
    if INFINITY.exists():
        found.append(_infinity(threads=threads))
    return found


def _infinity(*, threads: int) -> Served:
    from benchmarks.embed_weights import torch_folder

    folder = torch_folder()
    command: list[str | Path] = [
        INFINITY,
        "v2",
        "--model-id",
        folder,
        "--engine",
        "torch",
        "--device",
        "cpu",
        "--dtype",
        "float32",
    ]
    command += ["--host", "127.0.0.1", "--port", "{port}", "--served-model-name", "encoder", "--no-bettertransformer"]
    env = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": str(threads)}
    return Served("infinity, torch", "infinity", "encoder", command, env=env)


def folder_of(model: str) -> Path:
    """Where a model is. Ends the program with what to do when it is not there."""
    folder = store() / model
    if not (folder / "model.toml").exists():
        raise SystemExit(f"benchmarks: {model} is not in the store; get it with `trivium models pull {model}`")
    return folder
