"""Reads the folder of a model that looks at images, in the Hugging Face ONNX layout, and makes the model that it holds.

config.json                 what kind of model it is, and its labels; under `trivium` what that layout has no key for
preprocessor_config.json    how images are made for it
model.onnx or onnx/model.onnx, or the graph that model.toml names
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from trivium_server.architectures.folder_files import FolderFiles, Table, graph_path
from trivium_server.architectures.image import text_reader
from trivium_server.architectures.image.base import ImageParts
from trivium_server.architectures.image.classifier import Classifier, Embedder, make_classifier
from trivium_server.architectures.image.detector import (
    Detector,
    is_detector,
    is_yolo,
    make_detector,
    yolo_preprocessor,
)
from trivium_server.architectures.image.faces import CENTERFACE, CenterFace, face_preprocessor, make_face_detector
from trivium_server.architectures.image.graph import ImageGraph, open_graph
from trivium_server.architectures.image.heads import is_detr
from trivium_server.architectures.image.preprocessor import PREPROCESSOR_FILE, Preprocessor, read_preprocessor
from trivium_server.architectures.image.text_folder import is_text_folder
from trivium_server.architectures.image.text_reader import PageReader
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.config import Config
from trivium_server.runtime.session import SessionError

LOAD_ERRORS = (ModelFolderError, SessionError)
"""What `load` raises about a folder; the text says what is wrong with it."""

ImageModel: TypeAlias = Classifier | Embedder | Detector | CenterFace | PageReader

_CONFIG_FILE = "config.json"
# A picture to try a graph with, where it takes any size.
_TRIAL_SIDE = 64


def load(folder: Path, config: Config, progress: Callable[[float], None]) -> ImageModel:
    """Loads a model folder; takes seconds, so call it off the event loop. progress: called with 0 to 1.

    Raises one of LOAD_ERRORS with what is wrong.
    """
    files = FolderFiles(folder)
    description = files.table(_CONFIG_FILE)
    if is_text_folder(description):
        return text_reader.load(folder, config, progress)
    ours = Table(f"{_CONFIG_FILE} trivium", description.table("trivium"))
    graph = open_graph(graph_path(files, config.runtime.precision), config)
    progress(0.7)
    model = _model(folder.name, files, description, ours, graph, config)
    progress(1.0)
    return model


def _model(
    name: str, files: FolderFiles, description: Table, ours: Table, graph: ImageGraph, config: Config
) -> Classifier | Embedder | Detector | CenterFace:
    preprocessor = _preprocessor(files, description, ours, graph)
    size = preprocessor.fit.plan(_TRIAL_SIDE, _TRIAL_SIDE).canvas
    trial = graph.trial(*size)
    parts = ImageParts(name=name, graph=graph, preprocessor=preprocessor, config=config.images)
    if is_detector(description) or is_detr(trial):
        return make_detector(parts, description, ours, trial, size)
    if description.text("model_type", "") == CENTERFACE:
        return make_face_detector(parts, ours, trial, size)
    return make_classifier(parts, description, trial)


def _preprocessor(files: FolderFiles, description: Table, ours: Table, graph: ImageGraph) -> Preprocessor:
    model_type = description.text("model_type", "")
    if model_type == CENTERFACE:
        return face_preprocessor(ours)
    if is_yolo(model_type) and not files.has(PREPROCESSOR_FILE):
        return yolo_preprocessor(ours, graph)
    return read_preprocessor(files, ours)
