"""Whisper's graphs: what hears, what writes, and what says to which part of the sound it listened.

Rows of a batch have the same number of frames, and texts of the same length. `Sounds` is what the encoder gives, keys
and values of each layer of the decoder by the name of its input, with one row for each sound.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.folder_files import FolderFiles
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech.folder import open_graph
from trivium_server.config import Config
from trivium_server.numerics import finite
from trivium_server.runtime.session import Session, missing_names

Floats = NDArray[np.float32]
Sounds: TypeAlias = Mapping[str, Floats]

_PAST, _PRESENT = "past_key_values.", "present."
_ALIGNER = "alignment_model"


class WhisperEncoder:
    """Runs may be concurrent."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.execution_provider = session.execution_provider
        self._outputs = [name for name in session.outputs if name.startswith(_PRESENT)]

    def hear(self, features: Floats) -> Sounds:
        """features: shape (1, mels, frames), frames even. Raises NotFiniteError and SessionError."""
        arrays = self._session.run({"input_features": features}, self._outputs)
        return {
            _PAST + name.removeprefix(_PRESENT): finite(array.astype(np.float32, copy=False))
            for name, array in zip(self._outputs, arrays, strict=True)
        }


class WhisperDecoder:
    """Runs may be concurrent."""

    def __init__(self, session: Session) -> None:
        """Raises ModelFolderError."""
        own = [name for name in session.inputs if name.startswith(_PAST) and ".decoder." in name]
        presents = [_PRESENT + name.removeprefix(_PAST) for name in own]
        missing = missing_names(session.outputs, presents)
        if missing or not own:
            raise ModelFolderError(f"decoder_model: has no {', '.join(missing) or _PAST + '*'}")
        self._session = session
        self._outputs = ["logits", *presents]
        self._shapes: dict[str, tuple[int, int]] = {}
        for name in own:
            _, heads, _, size = session.inputs[name].shape
            if heads is None or size is None:
                raise ModelFolderError(
                    f"decoder_model: input {name} must have a fixed number of heads, of a fixed size"
                )
            self._shapes[name] = heads, size

    def begin(self, sounds: Sounds) -> "Writing":
        """Returns texts to be written, one for each sound, still empty."""
        num_rows = len(next(iter(sounds.values())))
        past = {name: np.zeros((num_rows, heads, 0, size), np.float32) for name, (heads, size) in self._shapes.items()}
        return Writing(self, sounds, past)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[Floats, dict[str, Floats]]:
        """Returns logits and what is to be remembered. Raises SessionError."""
        logits, *presents = self._session.run(inputs, self._outputs)
        past = {
            _PAST + name.removeprefix(_PRESENT): array.astype(np.float32, copy=False)
            for name, array in zip(self._outputs[1:], presents, strict=True)
        }
        return logits.astype(np.float32, copy=False), past


class Writing:
    """Texts that are being written, one for each row. For one thread."""

    def __init__(self, decoder: WhisperDecoder, sounds: Sounds, past: dict[str, Floats]) -> None:
        self._decoder = decoder
        self._sounds = sounds
        self._past = past

    def read(self, tokens: NDArray[np.int64]) -> Floats:
        """Adds tokens, shape (rows, n), and returns the logits after each, shape (rows, n, vocabulary).

        Raises SessionError.
        """
        logits, self._past = self._decoder.run({"input_ids": tokens, **self._sounds, **self._past})
        return logits

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows alone."""
        places = np.array(rows)
        self._sounds = {name: array[places] for name, array in self._sounds.items()}
        self._past = {name: array[places] for name, array in self._past.items()}


class WhisperAligner:
    """Runs may be concurrent."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sounds = [name for name in session.inputs if name.startswith(_PAST)]

    def listen(self, tokens: Sequence[int], sound: Sounds) -> Floats:
        """Returns the shares of attention of some heads, shape (heads, tokens, positions of 20 ms).

        sound: of one row. Raises NotFiniteError and SessionError.
        """
        inputs = {name: sound[name] for name in self._sounds}
        (attention,) = self._session.run({"input_ids": np.array([tokens], np.int64), **inputs}, ["cross_attentions"])
        return finite(attention[0].astype(np.float32, copy=False))


def rows_of(sounds: Sequence[Sounds]) -> Sounds:
    """Puts sounds with the same number of frames together, in their order."""
    if len(sounds) == 1:
        return sounds[0]
    return {name: np.concatenate([sound[name] for sound in sounds]) for name in sounds[0]}


def open_encoder(files: FolderFiles, config: Config) -> WhisperEncoder:
    """Raises ModelFolderError and SessionError, as those below."""
    wanted = ["present.0.encoder.key", "present.0.encoder.value"]
    return WhisperEncoder(open_graph(files, "encoder_model", config, inputs=["input_features"], outputs=wanted))


def open_decoder(files: FolderFiles, config: Config) -> WhisperDecoder:
    wanted = ["input_ids", "past_key_values.0.encoder.key"]
    return WhisperDecoder(open_graph(files, "decoder_model", config, inputs=wanted, outputs=["logits"]))


def open_aligner(files: FolderFiles, config: Config) -> WhisperAligner | None:
    """Returns None for a folder that has none."""
    if not files.has(f"{_ALIGNER}.onnx"):
        return None
    session = open_graph(files, _ALIGNER, config, inputs=["input_ids"], outputs=["cross_attentions"])
    return WhisperAligner(session)
