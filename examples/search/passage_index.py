"""Passages and their vectors: an index file of usearch, and beside it a note of what is in it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

from examples.search.factbook import Passage


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that was found. similarity: the cosine to the query, -1 to 1."""

    passage: Passage
    similarity: float


class PassageIndex:
    """The vectors of a corpus's passages, in their order; the first len(index) of them are in it.

    One program at a time may change it. What was saved survives a kill at any moment.
    """

    def __init__(self, folder: Path, passages: Sequence[Passage], about: dict[str, str], index: Index | None) -> None:
        """For `open`."""
        self._folder = folder
        self._about = about
        self._index = index
        self.passages = passages

    @classmethod
    def open(cls, folder: Path, *, model_digest: str, passages: Sequence[Passage]) -> "PassageIndex":
        """Opens what is in the folder, if it is of this model and these passages; else begins with nothing.

        Nothing is written before `save`, which replaces an index of something else.
        """
        texts = "\0".join(passage.titled for passage in passages)
        about = {"model": model_digest, "passages": sha256(texts.encode()).hexdigest()}
        note = folder / "about.json"
        if note.exists() and json.loads(note.read_text()) == about:
            return cls(folder, passages, about, Index.restore(folder / "passages.usearch"))
        return cls(folder, passages, about, None)

    def __len__(self) -> int:
        return 0 if self._index is None else len(self._index)

    def missing(self) -> Iterator[str]:
        """Yields what is to be embedded: the texts of the passages that are not in it yet."""
        for passage in self.passages[len(self) :]:
            yield passage.titled

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Adds the vectors of the next passages, shape (count, dimensions)."""
        if self._index is None:
            # usearch can store less than float32, which costs accuracy.
            self._index = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
        first = len(self._index)
        self._index.add(np.arange(first, first + len(vectors)), vectors)

    def save(self) -> None:
        """Writes everything to the folder; the old state or the new one is there, whatever happens."""
        if self._index is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        vectors, note = self._folder / "passages.usearch", self._folder / "about.json"
        if not note.exists() or json.loads(note.read_text()) != self._about:
            note.unlink(missing_ok=True)  # the old vectors are nobody's until the new ones are there
        part = vectors.with_suffix(".part")
        self._index.save(part)
        part.replace(vectors)
        part.write_text(json.dumps(self._about))
        part.replace(note)

    def nearest(self, vector: NDArray[np.float32], count: int) -> list[Hit]:
        """Returns the passages most like a query's vector, the best first. Raises RuntimeError when it is empty."""
        if self._index is None:
            raise RuntimeError("the index is empty")
        found = self._index.search(vector, count)
        return [
            Hit(passage=self.passages[int(key)], similarity=1.0 - float(distance))
            for key, distance in zip(found.keys, found.distances, strict=True)
        ]
