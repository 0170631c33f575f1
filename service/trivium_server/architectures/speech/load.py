"""Reads the folder of a model that hears or speaks, and makes the model that it holds.

config.json     what kind of model it is (`model_type`), and what there is to know of it
and the files that its kind wants: see the modules of _KINDS
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from trivium_server.architectures.folder_files import FolderFiles
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech import moonshine, synthesizer, voice_activity, whisper
from trivium_server.architectures.speech.moonshine import MoonshineModel
from trivium_server.architectures.speech.synthesizer import Synthesizer
from trivium_server.architectures.speech.voice_activity import VoiceActivityModel
from trivium_server.architectures.speech.whisper import WhisperModel
from trivium_server.config import Config
from trivium_server.runtime.session import SessionError

LOAD_ERRORS = (ModelFolderError, SessionError)
"""What `load` raises about a folder; the text says what is wrong with it."""

SpeechModel: TypeAlias = MoonshineModel | Synthesizer | VoiceActivityModel | WhisperModel

_Loader: TypeAlias = Callable[[FolderFiles, str, Config, Callable[[float], None]], SpeechModel]

# By `model_type`.
_KINDS: Mapping[str, _Loader] = {
    "hibari": synthesizer.load,
    "moonshine": moonshine.load,
    "silero_vad": voice_activity.load,
    "whisper": whisper.load,
}


def load(folder: Path, config: Config, progress: Callable[[float], None]) -> SpeechModel:
    """Loads a model folder; takes seconds, so call it off the event loop. progress: called with 0 to 1.

    Raises one of LOAD_ERRORS with what is wrong.
    """
    files = FolderFiles(folder)
    kind = files.table("config.json").text("model_type", "")
    loader = _KINDS.get(kind)
    if loader is None:
        raise ModelFolderError(
            f"config.json: model_type {kind!r} is none that hears or speaks; this server knows {', '.join(_KINDS)}"
        )
    return loader(files, folder.name, config, progress)
