"""The Dockerfile as steps, and a way to carry them out without containers: in a folder that stands for `/`.

It is no build: the machine's own Python and Debian stand for the base image, and no stage has a file system of its own.
Tried is what the repository says: which files are copied, what is installed, and that the result works.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.manifests import ROOT

DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction, such as RUN, and its arguments; lines that continue are joined."""

    word: str
    rest: str


def stages() -> list[list[Step]]:
    """The steps of each stage, FROM first."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    found: list[list[Step]] = []
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append(Step(word, rest.strip()))
    return found


def environment(steps: list[Step]) -> dict[str, str]:
    """What ENV sets."""
    return dict(pair.partition("=")[::2] for step in steps if step.word == "ENV" for pair in step.rest.split())


def is_ignored(path: Path) -> bool:
    """Whether .dockerignore keeps a file of the repository from the build. The last line that fits decides."""
    relative = path.relative_to(ROOT)
    names = [str(each) for each in (relative, *relative.parents)][:-1]  # without "."
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = re.compile(_as_regex(line.removeprefix("!")))
        if line and not line.startswith("#") and any(map(pattern.fullmatch, names)):
            ignored = not line.startswith("!")
    return ignored


def _as_regex(pattern: str) -> str:
    """Of Docker's patterns those with `*`, `**/` and `[...]`."""
    parts = re.split(r"(\*\*/|\*|\[[^]]*\])", pattern)
    special = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return "".join(special.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts)


class Replay:
    """Carries out the steps of the first stage below a folder, which must have no space in its path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._place = root
        self._variables: dict[str, str] = {}
        programs = root / "usr/local/bin"
        programs.mkdir(parents=True)
        (programs / "python").symlink_to(getattr(sys, "_base_executable", sys.executable))

    def carry_out(self, steps: list[Step]) -> None:
        """Raises AssertionError with what a command printed when it failed."""
        for step in steps:
            if step.word == "RUN":
                self._run(step.rest)
            elif step.word == "COPY":
                self._copy(step.rest)
            elif step.word == "WORKDIR":
                self._place = self.root / step.rest.lstrip("/")
                self._place.mkdir(parents=True)
            elif step.word == "ENV":
                self._variables |= environment([step])
            else:
                assert step.word == "FROM", f"{step.word} is not understood here"

    def at(self, text: str) -> str:
        """The text with its absolute paths below the folder."""
        return re.sub(r"(?<![\w./])/(?=[a-z])", f"{self.root}/", text)

    def _run(self, command: str) -> None:
        # A cache changes nothing, since every file is checked by its hash, and saves half a minute.
        variables = self._variables | {"PIP_NO_CACHE_DIR": "0", "PATH": f"{self.root}/usr/local/bin:/usr/bin:/bin"}
        done = subprocess.run(
            ["/bin/sh", "-c", self.at(command)],
            cwd=self._place,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _copy(self, arguments: str) -> None:
        *sources, target = arguments.split()
        for source in sources:
            # A folder's contents are copied, a file into the folder that ends with a slash.
            into = self._place / target / (Path(source).name if target.endswith("/") else "")
            for file in _files(ROOT / source):
                place = into / file.relative_to(ROOT / source) if file != ROOT / source else into
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, place)


def _files(source: Path) -> Iterator[Path]:
    found = [source] if source.is_file() else [file for file in source.rglob("*") if file.is_file()]
    assert found, f"there is no {source}"
    return (file for file in found if not is_ignored(file))
