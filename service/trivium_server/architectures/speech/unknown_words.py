"""Reads words that a lexicon does not have: a network spells each as phonemes."""

from functools import lru_cache
from itertools import groupby

import numpy as np

from trivium_server.architectures.folder_files import FolderFiles
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech.folder import open_graph
from trivium_server.config import Config
from trivium_server.runtime.session import Session

_GRAPH = "oov"
_FILE = "oov.json"

_INPUT = "chars"
_MAX_LEN = 64
# Names come again and again in a text. A run takes a millisecond.
_NUM_KEPT = 4096


class UnknownWords:
    """Returns the phonemes of a word, none for one of characters that it does not know. Calls may be concurrent."""

    def __init__(
        self, session: Session, *, characters: tuple[str, ...], phonemes: tuple[str, ...], max_len: int
    ) -> None:
        """characters, phonemes: those that the graph knows, by number, from 1. max_len: characters of a word."""
        self._session = session
        (self._output,) = session.outputs
        self._numbers = {character: number for number, character in enumerate(characters, 1)}
        self._phonemes = ("", *phonemes)
        self._max_len = max_len
        self._read = lru_cache(maxsize=_NUM_KEPT)(self._spell)

    def __call__(self, word: str) -> str:
        """Raises SessionError."""
        return self._read(word)

    def _spell(self, word: str) -> str:
        numbers = [self._numbers[character] for character in word if character in self._numbers][: self._max_len]
        if not numbers:
            return ""
        (spelled,) = self._session.run({_INPUT: np.array([numbers], np.int64)}, [self._output])
        # Connectionist temporal classification: repetitions are one, and 0 is none.
        return "".join(self._phonemes[number] for number, _ in groupby(spelled[0].astype(np.int64).tolist()))


def open_unknown_words(files: FolderFiles, config: Config) -> UnknownWords:
    """Raises SessionError and ModelFolderError."""
    table = files.table(_FILE)
    session = open_graph(files, _GRAPH, config, inputs=[_INPUT], outputs=[])
    if len(session.outputs) != 1:
        raise ModelFolderError(f"{_GRAPH}: must have one output; it has {', '.join(session.outputs)}")
    return UnknownWords(
        session,
        characters=table.texts("in"),
        phonemes=table.texts("out"),
        max_len=table.integer("maxlen", low=1, high=_MAX_LEN) or _MAX_LEN,
    )
