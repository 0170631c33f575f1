"""Who takes part in the measurements of speech: our server, the same work without one, and libraries."""

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.contenders import wait_serving
from benchmarks.machine import REPOSITORY
from benchmarks.processes import ServerProcess, free_port
from benchmarks.prompts import store
from benchmarks.speech_weights import ctranslate2_folder

PEERS_PYTHON = REPOSITORY / ".venv-peers" / "speech" / "bin" / "python"
PEERS = ("faster-whisper", "ctranslate2", "moonshine-voice")
SCORERS = ("jiwer", "whisper-normalizer")

DETECTOR = "silero-vad"
MOONSHINE, WHISPER, VOICE = "moonshine-tiny-en", "whisper-tiny-en", "hibari-heart"


class Served:
    """Our server as `trivium serve` runs it, with its own defaults but for the threads. start first, close at the end.

    threads: runs of each model at the same time, of one thread each, and recordings that are decoded.
    """

    name = "trivium"
    process: ServerProcess

    def __init__(self, models: Sequence[str], *, threads: int) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._models = models
        self._threads = str(threads)

    def start(self) -> None:
        """Returns when all models are ready. Raises RuntimeError when they do not become so."""
        require_models(self._models)
        command = [sys.executable, "-m", "trivium_server", "--listen", self.address, "--models-dir", str(store())]
        command += ["--threads", self._threads, *(word for name in self._models for word in ("--model", name))]
        env = {f"TRIVIUM_SPEECH_{setting}": self._threads for setting in ("RUNNERS", "DECODERS")}
        self.process = ServerProcess(command, env=env)
        for name in self._models:
            wait_serving(self.process, self.address, service=f"model/{name}")

    def close(self) -> None:
        self.process.stop()


class Loop:
    """A process that is asked in JSON, a line for each burst, and answers in JSON."""

    process: ServerProcess

    def __init__(self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._command = command
        self._env = env

    def start(self) -> None:
        """Returns when it says that it has loaded what it needs. Raises RuntimeError, with its log, when it ends."""
        self.process = ServerProcess(self._command, env=self._env, pipes=True)
        try:
            self._line()
        except BaseException:
            self.process.stop()
            raise

    def close(self) -> None:
        self.process.stop()

    def ask(self, burst: Mapping[str, object]) -> dict[str, object]:
        """Blocks until it is done. Raises RuntimeError, with its log, when it ends."""
        print(json.dumps(burst), file=self.process.stdin, flush=True)
        answer: dict[str, object] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended:\n{self.process.log_tail()}")
        return line.strip()


def bare(models: Sequence[str]) -> Loop:
    """The limit; see speech_bare."""
    require_models(models)
    return Loop("bare models", [sys.executable, "-m", "benchmarks.speech_bare", store(), *models])


def moonshine_voice() -> Loop:
    return Loop("moonshine-voice", [PEERS_PYTHON, _peer("speech_moonshine")])


def faster_whisper(*, threads: int, compute_type: str = "float32") -> Loop:
    """On the weights that whisper-tiny-en was made from.

    CTranslate2 multiplies float32 by MKL here, as it does by itself on Intel's processors: on others it is several
    times slower without (measured: 7 s, not 1.4 s, for 7 s of speech). int8 is the other way round.
    """
    command = [PEERS_PYTHON, _peer("speech_faster_whisper"), ctranslate2_folder()]
    options = ["--threads", str(threads), "--compute-type", compute_type]
    env = {"HF_HUB_OFFLINE": "1"} | ({"CT2_USE_MKL": "1"} if compute_type == "float32" else {})
    return Loop(f"faster-whisper, {compute_type}", [*command, *options], env=env)


def word_counter() -> Loop:
    """Counts wrong words; see peers/word_errors.py."""
    return Loop("jiwer", [PEERS_PYTHON, _peer("word_errors")])


def require_models(models: Sequence[str]) -> None:
    """Ends the program with what to do when a model is not there."""
    for name in models:
        if not (store() / name / "model.toml").exists():
            raise SystemExit(f"benchmarks: {name} is not in the store; get it with `trivium models pull {name}`")


def require_peers() -> None:
    """Ends the program with what to do when the peers of speech are not installed."""
    if not PEERS_PYTHON.exists():
        raise SystemExit("benchmarks: the peers of speech are not installed; run benchmarks/install_peers.sh")


@contextlib.contextmanager
def started(*contenders: Served | Loop) -> Iterator[None]:
    """Starts all, stops them until they are awake, and ends them after the block."""
    with contextlib.ExitStack() as stack:
        for contender in contenders:
            contender.start()
            stack.callback(contender.close)
            contender.process.pause()
        yield


@contextlib.contextmanager
def awake(contender: Served | Loop) -> Iterator[None]:
    """Lets a stopped contender run for as long as the block does."""
    contender.process.resume()
    try:
        yield
    finally:
        contender.process.require_alive()
        contender.process.pause()


def _peer(name: str) -> Path:
    return Path(__file__).parent / "peers" / f"{name}.py"
