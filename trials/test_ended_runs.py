"""R7: a run of a model ends soon after its caller has left, or has run out of time, and the thread does other work."""

import asyncio
import contextlib
import io
import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import trivium
from tests.photos import photo
from tests.recordings import load_speech
from tools.stack.settings import free_ports
from trials.fleet import Replica
from trials.results import keep
from trials.watched_server import FILE, WITHOUT, Note, read_notes
from trivium_models.store import Store

VOICE_ACTIVITY = "silero-vad"  # finds where somebody speaks, for those that recognise speech
NUM_AT_ONCE = 4
SETTINGS = {"TRIVIUM_IMAGES_RUNNERS": str(NUM_AT_ONCE), "TRIVIUM_ENCODING_BATCH_TOKENS": "1024"}
NUM_ENDS = 50
NUM_CONTROL_ENDS = 6
MAX_BACK_S = 0.05
SEED = 7
_REFERENCES = 3
_REFERENCE_S = 4.0

# Makes a call, or several at once, of the model with this time limit, None for no limit.
OneCall = Callable[[trivium.AsyncClient, float | None], Awaitable[object]]


def _calls() -> Mapping[str, OneCall]:
    """Calls that make long runs."""
    tokens = trivium.TokenPrompt([100] * 256)  # what is read in one run when nobody else decodes
    words = ["reliability " * 600] * NUM_AT_ONCE
    street, page = photo("china.jpg").read_bytes(), _page()
    sound = _wav()
    return {
        "smollm2-135m-instruct": lambda client, limit_s: client.text.generate(
            tokens, model="smollm2-135m-instruct", max_output_tokens=1, timeout_s=limit_s
        ),
        "all-minilm-l6-v2": lambda client, limit_s: client.embed(
            words, model="all-minilm-l6-v2", truncation="keep_start", timeout_s=limit_s
        ),
        # Its runs are short: so many at once, on fewer cores, are long.
        "nanodet-coco": lambda client, limit_s: asyncio.gather(
            *(client.vision.detect(street, model="nanodet-coco", timeout_s=limit_s) for _ in range(NUM_AT_ONCE)),
            return_exceptions=True,
        ),
        "pp-ocrv6-small": lambda client, limit_s: client.vision.read_text(
            page, model="pp-ocrv6-small", timeout_s=limit_s
        ),
        "whisper-base": lambda client, limit_s: client.speech.transcribe(
            sound, model="whisper-base", language="en", timeout_s=limit_s
        ),
        "moonshine-tiny-en": lambda client, limit_s: client.speech.transcribe(
            sound, model="moonshine-tiny-en", timeout_s=limit_s
        ),
    }


def _page() -> bytes:
    image = Image.open(photo("page.png")).convert("RGB")
    file = io.BytesIO()
    image.resize((4 * image.width, 4 * image.height)).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _wav() -> bytes:
    """Three who speak at once, so that nowhere is a pause at which the sound could be cut."""
    file = io.BytesIO()
    speech = load_speech("two_cities.wav")
    together = (speech + np.roll(speech, 5 * 16000) + np.roll(speech, 11 * 16000)) / 3
    soundfile.write(file, together[: 25 * 16000], 16000, format="WAV")
    return file.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of one model. usual_s: how long the run takes that nobody ends.

    back: from RunToken.end within a run to its return, in seconds.
    """

    usual_s: float
    back: Sequence[float]

    @property
    def is_soon(self) -> bool:
        return quantile(self.back, 0.95) <= MAX_BACK_S

    def __str__(self) -> str:
        if not self.back:
            return "no run was ended"
        told = (statistics.median(self.back), quantile(self.back, 0.95), max(self.back))
        return " / ".join(f"{1000 * seconds:.0f}" for seconds in told)


def quantile(values: Sequence[float], share: float) -> float:
    return float(np.quantile(values, share, method="higher")) if values else math.inf


def p99(found: Mapping[str, Ended]) -> float:
    """Over the runs of all models: those of one are too few to tell, and its longest node may take nearly as long."""
    return quantile([back for ended in found.values() for back in ended.back], 0.99)


async def longest_run(client: trivium.AsyncClient, one: OneCall, file: Path) -> tuple[float, float]:
    """Returns when the first long run of a call begins, in seconds after the call, and how long it takes."""
    found: list[tuple[float, float]] = []
    for _ in range(_REFERENCES):
        begun_s = time.monotonic()
        call = asyncio.ensure_future(one(client, None))
        await asyncio.wait([call], timeout=_REFERENCE_S)  # its first runs are all that matters
        await _leave(call)
        runs = [run for run in _runs(read_notes(file, since_s=begun_s)) if run.how == "done"]
        longest_s = max(run.took_s for run in runs)
        first = min((run for run in runs if run.took_s > longest_s / 2), key=lambda run: run.begun_s)
        found.append((first.begun_s - begun_s, first.took_s))
    begins, took = zip(*found, strict=True)
    return min(begins), min(took)


async def end_runs(target: str, name: str, one: OneCall, file: Path, num_ends: int, *, waits: bool) -> Ended:
    """Leaves calls of a model within its first long run, every second one by its deadline.

    waits: until a run that goes on is over, before the next call.
    """
    rng = random.Random(f"{SEED} {name}")
    async with trivium.AsyncClient(target, retry=trivium.RetryPolicy(max_attempts=1)) as client:
        begins_s, usual_s = await longest_run(client, one, file)
        begun_s = time.monotonic()
        for number in range(num_ends):
            # A prompt that cannot be read before its deadline is not begun, so deadlines are never early.
            is_deadline = number % 2 == 1
            after_s = begins_s + usual_s * (rng.uniform(0.6, 0.9) if is_deadline else rng.uniform(0.1, 0.6))
            call = asyncio.ensure_future(one(client, after_s if is_deadline else None))
            await asyncio.wait([call], timeout=after_s if not is_deadline else None)
            await _leave(call)
            await asyncio.sleep(2 * usual_s if waits else 0.02)
    await asyncio.sleep(0.2)
    notes = read_notes(file, since_s=begun_s)
    return Ended(usual_s=usual_s, back=_back(notes))


async def _leave(call: "asyncio.Future[object]") -> None:
    call.cancel()
    with contextlib.suppress(trivium.TriviumError, asyncio.CancelledError):
        await call


def _runs(notes: Sequence[Note]) -> list[Note]:
    return [note for note in notes if note.kind == "run"]


def _back(notes: Sequence[Note]) -> list[float]:
    """Seconds from the first end of each run that was ended while it ran, to its return."""
    ends = [note for note in notes if note.kind == "end"]
    back = []
    for run in _runs(notes):
        within = [end.begun_s for end in ends if end.about == run.about and run.begun_s <= end.begun_s <= run.ended_s]
        if within:
            back.append(run.ended_s - min(within))
    return back


def end_runs_of_each(folder: Path, num_ends: int, *, without: str = "") -> dict[str, Ended]:
    """Runs a server and ends runs of one model after the other."""
    calls = _calls()
    names = [*calls, VOICE_ACTIVITY]
    for name in names:
        store = Store().pull(name).folder.parent
    file = folder / "notes"
    settings = SETTINGS | {"TRIVIUM_MODELS_LOAD": ",".join(names), FILE: str(file), WITHOUT: without}
    server = Replica("trials.watched_server", free_ports(1)[0], store, folder, settings)
    server.start()
    found: dict[str, Ended] = {}
    try:
        with trivium.Client(server.target) as client:
            for name in names:
                client.wait_ready(120, model=name)
        for name, one in calls.items():
            found[name] = asyncio.run(end_runs(server.target, name, one, file, num_ends, waits=bool(without)))
            ended = found[name]
            print(f"{name}: {len(ended.back)} runs of {ended.usual_s:.3f} s, back in {ended} ms")
        assert server.stop()[0] == 0, server.last_words
    finally:
        server.close()
    return found


@pytest.mark.timeout(600)
def test_a_run_that_nobody_waits_for_ends_at_its_next_node(tmp_path: Path) -> None:
    found = end_runs_of_each(tmp_path, NUM_ENDS)
    is_met = all(len(ended.back) >= NUM_ENDS / 2 for ended in found.values())
    is_soon = p99(found) <= MAX_BACK_S
    keep(
        "R7",
        passed=is_met and is_soon,
        load=f"one call at a time, of nanodet-coco {NUM_AT_ONCE}; a run that nobody ends takes "
        + ", ".join(f"{name} {1000 * ended.usual_s:.0f} ms" for name, ended in found.items()),
        faults=f"{NUM_ENDS} calls of each model left within that run, half of them by their deadline, which ended "
        + ", ".join(f"{name} {len(ended.back)}" for name, ended in found.items())
        + " runs",
        outcome=f"{sum(len(ended.back) for ended in found.values())} runs are back within {1000 * p99(found):.0f} ms "
        "(p99) of the end of their tokens; median / p95 / slowest in ms: "
        + ", ".join(f"{name} {ended}" for name, ended in found.items()),
    )
    assert is_met, "the calls were left within a run"
    assert is_soon


@pytest.mark.timeout(600)
def test_control_runs_that_are_not_ended_go_on(tmp_path: Path) -> None:
    """The control: where RunToken.end does nothing, the runs of every model go on to their own end."""
    found = end_runs_of_each(tmp_path, NUM_CONTROL_ENDS, without="end")
    assert all(ended.back for ended in found.values())
    assert p99(found) > MAX_BACK_S
    assert [name for name, ended in found.items() if ended.is_soon] == []
