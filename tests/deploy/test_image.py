"""The image: a linted Dockerfile that agrees with the manifests, and locked requirements that the tests run with."""

import re
import subprocess
from pathlib import PurePosixPath

from tests.deploy.dockerfile import DOCKERFILE, stages
from tests.deploy.manifests import ROOT, Overlay, pod


def pins(name: str) -> dict[str, set[str]]:
    """Versions by package; there are several where Python's version decides."""
    text = (ROOT / "requirements" / name).read_text()
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(["hadolint", "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hadolint_finds_what_is_wrong() -> None:
    wrong = "FROM python\nRUN cd /tmp && pip install click\nENTRYPOINT trivium serve\n"
    done = subprocess.run(["hadolint", "-"], input=wrong, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert {"DL3006", "DL3013", "DL3025"} <= set(re.findall(r"DL\d+", done.stdout))


def test_the_last_stage_is_small_and_has_no_root() -> None:
    last = stages()[-1]
    assert [step.word for step in last] == [
        *("FROM", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT")
    ]
    given = {step.word: step.rest for step in last}
    assert given["FROM"] == "python:3.11-slim-bookworm"
    assert given["STOPSIGNAL"] == "SIGTERM"
    # Without a shell in between, which would keep SIGTERM to itself.
    assert given["ENTRYPOINT"] == '["trivium", "serve"]'
    user, group = map(int, given["USER"].split(":"))
    for overlay in map(Overlay.build, ("dev", "production")):
        for kind, name in (("Deployment", "trivium-server"), ("Job", "trivium-models")):
            context = pod(overlay.the(kind, name))["securityContext"]
            assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (user, group, group)


def test_everything_is_installed_by_hash_or_made_here() -> None:
    commands = " && ".join(step.rest for stage in stages() for step in stage if step.word == "RUN")
    installs = re.findall(r"pip (?:install|wheel) [^&]*", commands)
    assert len(installs) == 4
    assert all("--require-hashes" in each or "--no-deps" in each for each in installs)


def test_what_is_copied_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for stage in stages()
        for step in stage
        if step.word == "COPY" and not step.rest.startswith("--from")
        for source in step.rest.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / PurePosixPath(path)).exists() for path in copied)


def test_the_image_has_the_versions_that_tests_run_with() -> None:
    tested = pins("dev.txt")
    for name in ("server.txt", "build.txt"):
        locked = pins(name)
        assert locked
        assert locked == {package: tested[package] for package in locked}


def test_nothing_for_tests_is_in_the_image() -> None:
    assert not {"pytest", "mypy", "ruff", "hatchling", "grpcio-tools"} & pins("server.txt").keys()
