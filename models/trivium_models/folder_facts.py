"""What the check of a folder finds out about the model in it, and what all layouts have in common."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from trivium_models.errors import InvalidModelError
from trivium_models.manifest import Limits

TOKENIZER_NAME = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFacts:
    """What its own files say of a model: how to load it, what it does, its limits, and which graph to run, if any.

    graphs: those that a model of several graphs runs, where its folder may have them in other precisions as well.
    """

    architecture: str
    task: str
    default_graph: str | None
    limits: Limits
    graphs: tuple[str, ...] = ()


def require_there(folder: Path, name: str) -> None:
    """InvalidModelError unless the folder has that file."""
    if not (folder / name).is_file():
        raise InvalidModelError(f"{folder} is not a model folder: it has no {name}")


def check_tokenizer(folder: Path) -> None:
    """InvalidModelError unless the folder has a tokenizer.json that the tokenizers library reads."""
    require_there(folder, TOKENIZER_NAME)
    try:
        Tokenizer.from_file(str(folder / TOKENIZER_NAME))
    except Exception as error:  # the tokenizers library raises bare Exception for any malformed file
        raise InvalidModelError(f"{folder.name}/{TOKENIZER_NAME} is not a tokenizer: {error}") from error
