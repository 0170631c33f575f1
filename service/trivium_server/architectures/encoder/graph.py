"""Runs texts of different lengths through an encoder's graph in one batch, and takes each one's part of the output."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.errors import TriviumError, UnsupportedFeature
from trivium_server.numerics import NotFiniteError
from trivium_server.runtime.session import Session, SessionError
from trivium_server.text.encoder_tokenizer import TokenizedText

_logger = logging.getLogger("trivium.models")

_REQUIRED = ("input_ids", "attention_mask")
_TYPES = "token_type_ids"
_INTEGERS = (np.dtype(np.int64), np.dtype(np.int32))
_FLOATS = (np.dtype(np.float32), np.dtype(np.float16))
# A short text and a longer one, to see whether a graph does what it declares.
_TRIAL_LENGTHS = (1, 3)

Result = TypeVar("Result")
_Made_co = TypeVar("_Made_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """An output of a graph: one row for each text, or for each of its tokens; width is the length of a row."""

    name: str
    is_per_token: bool
    width: int


@dataclass(slots=True)
class EncoderItem(Generic[_Made_co]):
    """A text on its way through a graph, or what went wrong with it before.

    finish: makes the result of the text's own part of the output, shape (width,) or (tokens, width). On a runner's
    thread; may raise NotFiniteError. on_read: called there when the text has a result.
    """

    tokens: TokenizedText | TriviumError
    output: Output
    finish: Callable[[NDArray[np.float32], TokenizedText], _Made_co]
    on_read: Callable[[], None] = lambda: None

    @property
    def length(self) -> int:
        return 1 if isinstance(self.tokens, TriviumError) else len(self.tokens.ids)


class EncoderGraph:
    """A session with what it takes to fill its inputs. Runs may be concurrent."""

    def __init__(self, session: Session, *, file: str, pad_id: int) -> None:
        """file: the graph's name, for errors. Raises ModelFolderError for inputs that the server does not make."""
        self._session = session
        self._file = file
        self._pad_id = pad_id
        inputs = session.inputs
        missing = [name for name in _REQUIRED if name not in inputs]
        if missing:
            raise ModelFolderError(f"{file}: has no input {missing[0]}")
        for name, spec in inputs.items():
            if name not in (*_REQUIRED, _TYPES):
                raise ModelFolderError(f"{file}: has an input {name}, which is not supported; export it without")
            if spec.dtype not in _INTEGERS or len(spec.shape) != len(("batch", "sequence")):
                raise ModelFolderError(f"{file}: input {name} must be of whole numbers, (batch, sequence)")
        self.outputs = frozenset(session.outputs)

    def trial(self, name: str, *, is_per_token: bool) -> Output:
        """Runs two made-up texts and says what an output is like. Raises ModelFolderError."""
        spec = self._session.outputs[name]
        if spec.dtype not in _FLOATS:
            raise ModelFolderError(f"{self._file}: output {name} must be of floats")
        try:
            array = self.rehearse(_TRIAL_LENGTHS, [name])[0]
        except SessionError as error:
            raise ModelFolderError(f"{self._file}: cannot be run: {error}") from error
        num_texts = len(_TRIAL_LENGTHS)
        wanted = (num_texts, max(_TRIAL_LENGTHS)) if is_per_token else (num_texts,)
        if array.shape[:-1] != wanted:
            axes = "(batch, sequence, n)" if is_per_token else "(batch, n)"
            raise ModelFolderError(f"{self._file}: output {name} must have the shape {axes}")
        return Output(name=name, is_per_token=is_per_token, width=array.shape[-1])

    def rehearse(self, lengths: Sequence[int], names: Sequence[str]) -> list[NDArray[np.float32]]:
        """Runs texts of padding only, as many tokens long, and returns these outputs. Raises SessionError."""
        texts = [TokenizedText([self._pad_id] * length, [0] * length, truncated=False) for length in lengths]
        return self._outputs(texts, names)

    def run(self, items: Sequence[EncoderItem[Result]]) -> list[Result | TriviumError]:
        """Returns what becomes of each item, in their order. A text that the graph cannot run on fails alone."""
        ready = [(item, item.tokens) for item in items if isinstance(item.tokens, TokenizedText)]
        results = iter(self._results(ready))
        return [item.tokens if isinstance(item.tokens, TriviumError) else next(results) for item in items]

    def _results(self, ready: Sequence[tuple[EncoderItem[Result], TokenizedText]]) -> list[Result | TriviumError]:
        results: list[Result | TriviumError] = []
        if not ready:
            return results
        names = list(dict.fromkeys(item.output.name for item, _ in ready))
        try:
            arrays = dict(zip(names, self._outputs([tokens for _, tokens in ready], names), strict=True))
        except SessionError as error:
            if len(ready) > 1:
                for each in ready:
                    results.extend(self._results([each]))
                return results
            _logger.warning("%s cannot be run on a text of %d tokens: %s", self._file, ready[0][0].length, error)
            return [UnsupportedFeature("text", "the model cannot be run on it")]
        for row, (item, tokens) in enumerate(ready):
            results.append(_finished(item, tokens, arrays[item.output.name][row]))
        return results

    def _outputs(self, texts: Sequence[TokenizedText], names: Sequence[str]) -> list[NDArray[np.float32]]:
        shape = (len(texts), max(len(tokens.ids) for tokens in texts))
        ids, mask, types = np.full(shape, self._pad_id, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for row, tokens in enumerate(texts):
            count = len(tokens.ids)
            ids[row, :count] = tokens.ids
            types[row, :count] = tokens.type_ids
            mask[row, :count] = 1
        given = {"input_ids": ids, "attention_mask": mask, _TYPES: types}
        inputs = {name: given[name].astype(spec.dtype, copy=False) for name, spec in self._session.inputs.items()}
        return [array.astype(np.float32, copy=False) for array in self._session.run(inputs, names)]


def _finished(item: EncoderItem[Result], tokens: TokenizedText, output: NDArray[np.float32]) -> Result | TriviumError:
    own = output[: len(tokens.ids)] if item.output.is_per_token else output
    try:
        # Numbers that are none raise NotFiniteError below, not warnings.
        with np.errstate(all="ignore"):
            result = item.finish(own, tokens)
    except NotFiniteError:
        return UnsupportedFeature("text", "what the model makes of it is not finite")
    item.on_read()
    return result
