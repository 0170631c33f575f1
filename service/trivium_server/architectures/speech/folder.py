"""What folders of models that hear have in common."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from trivium_server.architectures.folder_files import FolderFiles
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech.session import open_session
from trivium_server.config import Config
from trivium_server.runtime.session import Session, missing_names

_TOKENIZER_FILE = "tokenizer.json"
# ONNX Runtime's own format stands first: such a folder has no other.
_ENDINGS = (".ort", ".onnx")


def open_tokenizer(files: FolderFiles) -> Tokenizer:
    """Reads tokenizer.json. Raises ModelFolderError."""
    path = files.path(_TOKENIZER_FILE)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ModelFolderError(f"{_TOKENIZER_FILE}: {error}") from error


def open_graph(
    files: FolderFiles, stem: str, config: Config, *, inputs: Sequence[str], outputs: Sequence[str]
) -> Session:
    """Loads the graph of that name, which must have these inputs and outputs. Raises ModelFolderError, SessionError."""
    name = next((stem + ending for ending in _ENDINGS if files.has(stem + ending)), stem + _ENDINGS[-1])
    session = open_session(files.path(name), config)
    missing = [*missing_names(session.inputs, inputs), *missing_names(session.outputs, outputs)]
    if missing:
        raise ModelFolderError(f"{name}: has no {', '.join(missing)}")
    return session


def language_codes(files: FolderFiles) -> tuple[str, ...]:
    """Returns the languages that model.toml names, at least one. Raises ModelFolderError."""
    return files.description.texts("language_codes") or ("en",)
