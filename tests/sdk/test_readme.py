"""The Python that the READMEs show does what they say, with the models of `make serve`."""

import ast
import asyncio
import inspect
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import trivium
from examples.pictures import pictures
from examples.recordings import recordings
from tests.serving import RunningServer
from trivium_models.store import Store

ROOT = Path(__file__).parents[2]
SAMPLE_RATE_HZ = 16000


@pytest.fixture(scope="module")
def default_models() -> list[str]:
    """Those that the Makefile serves."""
    found = re.search(r"^MODELS := ((?:.*\\\n)*.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found
    return found[1].replace("\\\n", " ").split()


@pytest.fixture(scope="module")
def everything(default_models: list[str]) -> Iterator[RunningServer]:
    folders = [Store().pull(name).folder for name in default_models]
    with RunningServer(folders[0].parent, models__load=",".join(default_models)) as running:
        yield running


@pytest.fixture
def desk(everything: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """What the snippets take for granted: a client, files in the working directory, and things with a telling name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIVIUM_TARGET", everything.address)
    photos = pictures()
    shutil.copy(photos["astronaut"], "photo.jpg")
    shutil.copy(photos["page"], "scan.png")
    shutil.copy(next(iter(recordings().values())), "talk.mp3")
    silence = np.zeros(SAMPLE_RATE_HZ // 10, np.int16)
    with trivium.Client(default_model=None) as client:
        yield {
            "trivium": trivium,
            "client": client,
            "lines": [f"Line {number}." for number in range(100)],
            "documents": ["Paris is in France.", "Tokyo is the capital of Japan."],
            "camera": [Path("photo.jpg").read_bytes()] * 2,
            "microphone": itertools.repeat(silence, 10),
            "store": dict[int, object]().__setitem__,
            "play": len,
        }


def snippets(readme: str) -> list[str]:
    """The Python in a file."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / readme).read_text(), re.MULTILINE | re.DOTALL)


def run(code: str, names: dict[str, object]) -> None:
    """Executes a snippet, which may await at its top level."""
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(compiled, names)
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)


def test_the_projects_readme(desk: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = snippets("README.md")
    run(code, desk)
    vectors = desk["vectors"]
    assert isinstance(vectors, np.ndarray)
    assert vectors.shape == (2, 384)
    assert "parcel arrives" in capsys.readouterr().out.lower()
    assert Path("drawn.png").stat().st_size > 0


def test_the_clients_readme(desk: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    found = snippets("clients/python/README.md")
    assert len(found) == 5
    client = desk["client"]
    for code in found:
        run(code, desk)
        desk["client"] = client  # a snippet's own is closed
    printed = capsys.readouterr().out
    assert "tokens" in printed
    assert Path("morning.wav").stat().st_size > 0
    assert Path("drawn.png").stat().st_size > 0


def test_go_in_the_projects_readme_is_what_its_sdk_runs() -> None:
    shown, tried = (
        re.findall(r"^```go\n(.*?)^```$", (ROOT / readme).read_text(), re.MULTILINE | re.DOTALL)[0].split("\n")
        for readme in ("README.md", "clients/go/README.md")
    )
    assert {line.strip() for line in shown} <= {line.strip() for line in tried}
