"""The Dockerfile's steps, carried out here, give a server that needs no root and writes nothing to what it is made of.

There is no container engine where tests run; dockerfile.py says what stands for what.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.dockerfile import Replay, environment, is_ignored, stages
from tests.deploy.manifests import ROOT
from tests.serving import wait_until
from tools.stack.settings import free_ports
from trivium_models.store import Store

pytestmark = pytest.mark.long

MODEL = "langid-140"
# Nearly all of it: numpy, OpenCV, ONNX Runtime, tokenizers and gRPC.
MOST_MB = 600


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """What stands for `/`, with the first stage in it, and /models; not below pytest's own folder, which is private."""
    folder = Path(tempfile.mkdtemp(prefix="trivium-image-"))
    folder.chmod(0o755)
    try:
        [build, last] = stages()
        Replay(folder).carry_out(build)
        [copied] = [step.rest for step in last if step.word == "COPY"]
        # A virtual environment works only where it was made.
        assert copied == "--from=build /opt/trivium /opt/trivium"
        shutil.copytree(Store().pull(MODEL).folder, folder / "models" / MODEL)
        # As read-only as the root of a container.
        subprocess.run(["chmod", "-R", "a+rX,a-w", folder / "opt", folder / "models"], check=True)
        yield folder
    finally:
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        shutil.rmtree(folder)


def content(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*")}


def answer(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return str(response.read().decode())
    except (urllib.error.URLError, ConnectionError) as error:
        return str(error)


def powerless(user: int, group: int) -> list[str]:
    """What a command begins with, so that it runs as that user without any capability.

    Where root's Python is for root alone it stays root, and may do no more than the owner of a file may. Who is not
    root can become nobody else, and need not.
    """
    if os.geteuid() != 0:
        return []
    python = Path(sys.executable).resolve()
    is_public = all(folder.stat().st_mode & 0o001 for folder in python.parents)
    identity = [f"--reuid={user}", f"--regid={group}", "--clear-groups"] if is_public else []
    return ["setpriv", "--inh-caps=-all", "--bounding-set=-all", *identity]


def test_the_image_serves_and_drains(root: Path, tmp_path: Path) -> None:
    last = stages()[-1]
    given = {step.word: step.rest for step in last}
    user, group = map(int, given["USER"].split(":"))
    scratch = Path(tempfile.mkdtemp(dir=root))
    scratch.chmod(0o777)
    variables = {name: value.replace("/opt/", f"{root}/opt/") for name, value in environment(last).items()}
    variables |= {"HOME": str(scratch), "TMPDIR": str(scratch), "TRIVIUM_MODELS_DIR": str(root / "models")}
    variables["PATH"] = variables["PATH"].replace("$PATH", "/usr/bin:/bin")
    [port] = free_ports(1)
    variables |= {"TRIVIUM_SERVER_LISTEN": "127.0.0.1:0", "TRIVIUM_SERVER_METRICS_LISTEN": f"127.0.0.1:{port}"}
    before = content(root / "opt")
    with (tmp_path / "log").open("w+") as log:
        server = subprocess.Popen(
            [*powerless(user, group), *json.loads(given["ENTRYPOINT"])],
            cwd="/",
            env=variables,
            stdout=log,
            stderr=log,
        )
        try:
            ready = wait_until(lambda: answer(f"http://127.0.0.1:{port}/readyz") == "ready\n", 120)
            assert ready, (tmp_path / "log").read_text()
            verify = [*powerless(user, group), "trivium", "models", "verify", MODEL]
            assert subprocess.run(verify, cwd="/", env=variables, check=False).returncode == 0
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
        finally:
            server.kill()
            server.wait()
    assert content(root / "opt") == before
    assert not list(scratch.iterdir())


def test_the_image_is_no_larger_than_it_needs_to_be(root: Path) -> None:
    sizes = [path.lstat().st_size for path in (root / "opt/trivium").rglob("*")]
    assert sum(sizes) < MOST_MB * 1_000_000
    packages = {
        path.name.lower() for path in next((root / "opt/trivium/lib").iterdir()).joinpath("site-packages").iterdir()
    }
    assert "trivium_server" in packages
    assert not packages & {"hatchling", "pytest", "ruff", "mypy"}


def test_the_build_sees_only_what_it_needs() -> None:
    for path in ("README.md", ".git/config", "requirements/dev.txt", "service/.env", "service/x/__pycache__/a.pyc"):
        assert is_ignored(ROOT / path)
    for path in ("requirements/server.txt", "service/trivium_server/app.py", "clients/python/README.md"):
        assert not is_ignored(ROOT / path)
