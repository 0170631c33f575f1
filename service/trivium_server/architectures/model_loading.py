"""Turns a model folder into a model: verifies its files, loads it as its family does, and words what goes wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trivium_server.architectures.capabilities import ServedModel
from trivium_server.architectures.model_folder import ModelFolder, ModelFolderError, read_folder
from trivium_server.config import Config
from trivium_server.errors import ModelFailed, TriviumError

Progress = Callable[[float], None]
Loader = Callable[[Path, Config, Progress], ServedModel]

LOADED_PERCENT = 90
_VERIFIED_PERCENT = 30


@dataclass(frozen=True, slots=True)
class Family:
    """How a family's models are loaded, and the errors whose text tells an operator what is wrong with a folder."""

    load: Loader
    errors: tuple[type[Exception], ...] = ()


def load_folder(
    path: Path,
    families: Mapping[str, Family],
    config: Config,
    progress: Progress,
) -> tuple[ModelFolder, ServedModel]:
    """Reads a folder as it is now, verifies it and loads it. Blocks; for a thread.

    progress: called with the percent done, up to LOADED_PERCENT; what it raises ends the loading. Raises
    ModelFolderError, or what the family raises.
    """
    folder = read_folder(path)
    folder.verify(lambda share: progress(_VERIFIED_PERCENT * share))
    if folder.family not in families:
        known = ", ".join(sorted(families))
        raise ModelFolderError(f"model.toml: unknown family {folder.family!r}; this server knows {known}")
    span = LOADED_PERCENT - _VERIFIED_PERCENT
    family = families[folder.family]
    return folder, family.load(path, config, lambda share: progress(_VERIFIED_PERCENT + span * share))


def told_cause(error: Exception, families: Mapping[str, Family]) -> str | None:
    """Returns what an operator is told of an error of loading; None for a defect of the server."""
    if isinstance(error, ModelFailed):
        return error.metadata.get("cause", error.message)
    told = (
        TriviumError,
        ModelFolderError,
        ValueError,
        OSError,
        *(each for f in families.values() for each in f.errors),
    )
    return str(error) if isinstance(error, told) else None


def without_paths(text: str, folder: Path) -> str:
    """Returns the text with paths relative to the model's folder: clients learn nothing of the server's disk."""
    for path in (folder, folder.resolve(), folder.parent, folder.parent.resolve()):
        if path.name:  # the root of the disk is in no way secret
            text = text.replace(f"{path}/", "").replace(str(path), path.name)
    return text
