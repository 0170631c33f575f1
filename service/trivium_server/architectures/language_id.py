"""Models that tell languages: tables in a folder of our own layout, see docs/models.md. No graph and no session."""

import json
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.text_capabilities import EncoderMeter, Outcome
from trivium_server.config import Config
from trivium_server.errors import TriviumError
from trivium_server.runtime.batch_forming import BatchPolicy
from trivium_server.runtime.batcher import Batcher, BatcherStats
from trivium_server.runtime.caller import Caller
from trivium_server.runtime.workload import Workload
from trivium_server.text.language_id import MAX_TEXT_BYTES, LanguageIdentifier, LanguageModel


class LanguageIdFolderError(Exception):
    """A file of the model folder is missing, malformed or contradicts another."""


LOAD_ERRORS = (LanguageIdFolderError,)
"""What `load` raises about a folder; the text says what is wrong with it."""

_ScalarT = TypeVar("_ScalarT", bound=np.generic)

_CONFIG = "language_id.json"
# About a millisecond at most, and a fifth of one for a sentence: not worth a hop to a thread and back.
_INLINE_TEXTS = 4
_INLINE_CHARACTERS = 2048
# In characters, about: some milliseconds a batch, so that a newcomer's texts wait no longer for their turn. There is no
# padding, so texts of all lengths go together.
_POLICY = BatchPolicy(budget_tokens=8 * MAX_TEXT_BYTES, max_padding=1.0, run_overhead_tokens=1024)


def load(folder: Path, config: Config, progress: Callable[[float], None]) -> "LanguageIdModel":
    """Maps a model folder into memory; what is not used is never read. progress: called with 0 to 1.

    Raises one of LOAD_ERRORS with what is wrong.
    """
    languages = _read_config(folder)
    # Checking reads all of it, which counts as memory in use from then on; so the lasting mapping is another one.
    _check(_model(folder, languages))
    progress(0.5)
    try:
        identifier = LanguageIdentifier(_model(folder, languages))
    except ValueError as error:
        raise LanguageIdFolderError(f"ngrams.npy: {error}") from error
    progress(1.0)
    return LanguageIdModel(folder.name, identifier, max_callers=config.encoding.max_callers)


class LanguageIdModel:
    """Implements text_capabilities.LanguageDetector and capabilities.ServedModel."""

    def __init__(self, name: str, identifier: LanguageIdentifier, *, max_callers: int) -> None:
        self.identifier = identifier
        self._batcher = Batcher[_Text, NDArray[np.float32]](
            lambda texts: list(identifier.probabilities([item.text for item in texts])),
            model=name,
            policy=_POLICY,
            num_runners=1,
            max_callers=max_callers,
        )
        # No graph, so no execution provider of ONNX Runtime.
        self.execution_provider = ""

    @property
    def language_codes(self) -> tuple[str, ...]:
        return self.identifier.languages

    @property
    def stats(self) -> BatcherStats:
        """For tests and telemetry: what waits and what runs."""
        return self._batcher.stats

    @property
    def workload(self) -> Workload:
        return self._batcher.workload

    async def warm_up(self) -> None:
        self.identifier.probabilities(["A sentence, to begin with."])
        self._batcher.start()

    async def close(self, grace_s: float) -> None:
        await self._batcher.close(grace_s)

    async def detect(
        self, texts: Sequence[str], *, deadline_s: float, meter: EncoderMeter
    ) -> Sequence[Outcome[NDArray[np.float32]]]:
        if len(texts) <= _INLINE_TEXTS and sum(map(len, texts)) <= _INLINE_CHARACTERS:
            begun = time.monotonic()
            rows = list(self.identifier.probabilities(texts))
            meter.inference_s = meter.compute_s = time.monotonic() - begun
            meter.input_characters += sum(map(len, texts))
            return rows
        with self._batcher.open(deadline_s) as caller:
            try:
                outcomes = await caller.all(map(_Text.cut, texts))
            finally:
                _note(meter, caller)
        meter.input_characters += sum(map(len, texts))
        return [_told(outcome) for outcome in outcomes]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Text:
    """As much of a text as may be read. Its length is in characters, which are known without encoding it."""

    text: str
    length: int

    @classmethod
    def cut(cls, text: str) -> "_Text":
        part = text[:MAX_TEXT_BYTES]
        return cls(part, max(1, len(part)))


def _note(meter: EncoderMeter, caller: Caller[_Text, NDArray[np.float32]]) -> None:
    stats = caller.stats
    meter.queue_s, meter.inference_s, meter.compute_s = stats.queue_s, stats.inference_s, stats.compute_s


def _told(outcome: NDArray[np.float32] | Exception) -> Outcome[NDArray[np.float32]]:
    """Lets through what the caller may hear of; anything else is a defect, and fails the whole call."""
    if isinstance(outcome, Exception) and not isinstance(outcome, TriviumError):
        raise outcome
    return outcome


def _read_config(folder: Path) -> tuple[str, ...]:
    """Returns the language of each column."""
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LanguageIdFolderError(f"{_CONFIG} is missing") from None
    except (RecursionError, ValueError) as error:
        raise LanguageIdFolderError(f"{_CONFIG}: {error}") from error
    languages = config.get("column_languages") if isinstance(config, dict) else None
    if not isinstance(languages, list) or not all(isinstance(code, str) and code for code in languages):
        raise LanguageIdFolderError(f"{_CONFIG}: column_languages must be a list of language codes")
    return tuple(languages)


def _model(folder: Path, languages: tuple[str, ...]) -> LanguageModel:
    """Maps the arrays into memory. Raises LanguageIdFolderError."""
    description = folder / "model.toml"
    listed = tomllib.loads(description.read_text(encoding="utf-8"))["files"] if description.exists() else None

    def mapped(name: str, dtype: type[_ScalarT]) -> NDArray[_ScalarT]:
        file = f"{name}.npy"
        # What model.toml does not list is not covered by the digest and is not read.
        if listed is not None and file not in listed:
            raise LanguageIdFolderError(f"model.toml: {file} is not among its files")
        try:
            array = np.load(folder / file, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise LanguageIdFolderError(f"{file} is missing") from None
        except (OSError, ValueError) as error:
            raise LanguageIdFolderError(f"{file} is not an array: {error}") from error
        if array.dtype != dtype:
            raise LanguageIdFolderError(f"{file} holds {array.dtype}; it must hold {np.dtype(dtype)}")
        return np.asarray(array)

    return LanguageModel(
        ngrams=mapped("ngrams", np.uint64),
        weights=mapped("weights", np.float16),
        prior=mapped("prior", np.float32),
        column_languages=languages,
    )


def _check(model: LanguageModel) -> None:
    """Raises LanguageIdFolderError where the arrays do not fit together."""
    num_ngrams, num_columns = model.ngrams.size, len(model.column_languages)
    for name, shape, expected in (
        ("ngrams", model.ngrams.shape, (num_ngrams,)),
        ("weights", model.weights.shape, (num_ngrams, num_columns)),
        ("prior", model.prior.shape, (num_columns,)),
    ):
        if shape != expected or 0 in shape:
            raise LanguageIdFolderError(
                f"{name}.npy has shape {shape}; with the other files it must be {expected}, and not empty"
            )
    if not (np.isfinite(model.weights).all() and np.isfinite(model.prior).all()):
        raise LanguageIdFolderError("weights.npy or prior.npy holds what is no finite number")
