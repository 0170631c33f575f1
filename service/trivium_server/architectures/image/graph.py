"""A graph that takes an image and puts out named arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.config import Config
from trivium_server.runtime.session import Session, SessionError, SessionOptions, TensorSpec

Floats: TypeAlias = NDArray[np.float32]

_MASK = "pixel_mask"
_FLOATS = (np.dtype(np.float32), np.dtype(np.float16))
_WHOLE = (np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.bool_))


class ImageGraph:
    """A session with what it takes to fill its inputs. Runs may be concurrent."""

    def __init__(self, session: Session, *, file: str) -> None:
        """file: the graph's name, for errors. Raises ModelFolderError for inputs that the server does not make."""
        self._session = session
        self.file = file
        self.execution_provider = session.execution_provider
        self._mask = session.inputs.get(_MASK)
        pictures = [spec for name, spec in session.inputs.items() if name != _MASK]
        if len(pictures) != 1:
            names = ", ".join(session.inputs) or "none"
            raise ModelFolderError(f"{file}: must have one input, an image, and may have {_MASK}; it has {names}")
        (self._picture,) = pictures
        _require_picture(self._picture, file)
        if self._mask is not None and (self._mask.dtype not in _WHOLE or len(self._mask.shape) != len("bhw")):
            raise ModelFolderError(f"{file}: input {_MASK} must be of whole numbers, (batch, height, width)")
        self._outputs = [name for name, spec in session.outputs.items() if spec.dtype in _FLOATS]

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Width and height of the input; None for one that may be any."""
        _, _, height, width = self._picture.shape
        return width, height

    def require_size(self, width: int, height: int) -> None:
        """Raises ModelFolderError where the graph takes another size than the folder says."""
        for stated, own, side in zip((width, height), self.size, ("width", "height"), strict=True):
            if own not in {None, stated}:
                raise ModelFolderError(
                    f"{self.file}: input {self._picture.name} has {side} {own}, but the folder says that images are "
                    f"made {width}x{height}"
                )

    def trial(self, width: int, height: int) -> Mapping[str, Floats]:
        """Runs a grey picture and returns all outputs of floats.

        Raises ModelFolderError, also where one is not finite.
        """
        self.require_size(width, height)
        try:
            outputs = self.run(np.zeros((1, 3, height, width), np.float32), self._outputs)
        except SessionError as error:
            raise ModelFolderError(f"{self.file}: cannot be run on an image of {width}x{height}: {error}") from error
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                raise ModelFolderError(f"{self.file}: output {name} is not finite on a plain grey image")
        return outputs

    def run(self, pixels: Floats, names: Sequence[str]) -> Mapping[str, Floats]:
        """Returns these outputs, as float32. pixels: shape (1, 3, height, width). Raises SessionError."""
        inputs: dict[str, NDArray[np.generic]] = {self._picture.name: pixels.astype(self._picture.dtype, copy=False)}
        if self._mask is not None:
            # All of the input is picture. A graph may have fixed the size of the mask, which it stretches then.
            _, height, width = self._mask.shape
            shape = (1, height or pixels.shape[2], width or pixels.shape[3])
            inputs[_MASK] = np.ones(shape, self._mask.dtype)
        arrays = self._session.run(inputs, names)
        return {name: array.astype(np.float32, copy=False) for name, array in zip(names, arrays, strict=True)}


def open_graph(path: Path, config: Config) -> ImageGraph:
    """Loads a graph, for runs of one thread each. Raises SessionError and ModelFolderError."""
    # Cores are kept busy by as many runs; more threads in a run would only wait for each other.
    options = SessionOptions(
        intra_op_threads=1, spin_duration_us=0, execution_providers=config.runtime.execution_providers
    )
    return ImageGraph(Session(path, options), file=path.name)


def _require_picture(spec: TensorSpec, file: str) -> None:
    name = f"{file}: input {spec.name}"
    if spec.dtype not in _FLOATS:
        raise ModelFolderError(f"{name} must be of floats")
    if len(spec.shape) != len("bchw") or spec.shape[1] not in {3, None}:
        raise ModelFolderError(f"{name} must have the shape (batch, 3, height, width)")
    if spec.shape[0] not in {1, None}:
        raise ModelFolderError(
            f"{name} has a fixed batch of {spec.shape[0]}; export it for a batch of 1 or of any size"
        )
