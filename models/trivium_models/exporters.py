"""Which exporter makes a model folder of weights, by the role that the catalogue gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from trivium_models.catalog import Precision, WeightsRole
from trivium_models.encoder_export import ENCODER_GRAPH, export_bert
from trivium_models.errors import InvalidModelError
from trivium_models.genai_folder import EXACT_GRAPH, SERVING_GRAPH, export_gguf
from trivium_models.language_id import export_language_id
from trivium_models.manifest import Card
from trivium_models.speech.hibari import export_hibari
from trivium_models.speech.moonshine import export_moonshine
from trivium_models.speech.silero import export_silero
from trivium_models.speech.whisper_export import export_whisper
from trivium_models.vision.centerface import export_centerface
from trivium_models.vision.efficientnet_export import export_efficientnet
from trivium_models.vision.image_layout import GRAPH_NAME
from trivium_models.vision.nanodet import export_nanodet
from trivium_models.vision.picodet import export_picodet
from trivium_models.vision.pp_ocr import export_pp_ocr


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """What a model is made of: verified files, and what the catalogue says.

    parts: files beside the weights that the exporter reads, by their names in the package. precision: see CatalogEntry.
    on_layer: called with how many layers of how many are exported.
    """

    card: Card
    weights: Path
    parts: Mapping[str, Path]
    precision: Precision | None
    on_layer: Callable[[int, int], None]

    def part(self, name: str) -> Path:
        """The part of that name; InvalidModelError when the catalogue lists none."""
        if name not in self.parts:
            raise InvalidModelError(f"{self.card.name}: the catalogue lists no part {name}")
        return self.parts[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphs:
    """The graphs of a folder that have a name in its model.toml."""

    default: str | None
    exact: str | None = None


# Writes a model into a folder that holds the files of the catalogue entry already. Raises InvalidModelError.
Exporter = Callable[[Ingredients, Path], Graphs]


def _generator(given: Ingredients, folder: Path) -> Graphs:
    export_gguf(given.weights, folder, on_layer=given.on_layer)
    return Graphs(default=SERVING_GRAPH, exact=EXACT_GRAPH)


def _encoder(given: Ingredients, folder: Path) -> Graphs:
    assert given.precision is not None, "the catalogue has one for these weights"
    export_bert(given.weights, folder, given.precision, on_layer=given.on_layer)
    return Graphs(default=ENCODER_GRAPH)


def _language_id(given: Ingredients, folder: Path) -> Graphs:
    if export_language_id(given.weights, folder) != given.card.language_codes:
        raise InvalidModelError(f"{given.card.name}: language_codes of the catalogue are not those of the model")
    return Graphs(default=None)


def _classifier(given: Ingredients, folder: Path) -> Graphs:
    export_efficientnet(given.weights, given.part("imagenet1k_label_to_names.json"), folder)
    return Graphs(default=GRAPH_NAME)


def _nanodet(given: Ingredients, folder: Path) -> Graphs:
    export_nanodet(given.weights, given.parts, folder)
    return Graphs(default=GRAPH_NAME)


def _centerface(given: Ingredients, folder: Path) -> Graphs:
    export_centerface(given.weights, folder)
    return Graphs(default=GRAPH_NAME)


def _picodet(given: Ingredients, folder: Path) -> Graphs:
    export_picodet(given.weights, folder)
    return Graphs(default=GRAPH_NAME)


def _text_reader(given: Ingredients, folder: Path) -> Graphs:
    export_pp_ocr(given.weights, folder)
    return Graphs(default=None)


def _moonshine(given: Ingredients, folder: Path) -> Graphs:
    export_moonshine(given.weights, given.part("tokenizer.bin"), folder)
    return Graphs(default=None)


def _whisper(given: Ingredients, folder: Path) -> Graphs:
    assert given.precision is not None, "the catalogue has one for these weights"
    config = given.part("config.json")
    export_whisper(given.weights, config, folder, given.precision, on_layer=given.on_layer)
    return Graphs(default=None)


def _silero_vad(given: Ingredients, folder: Path) -> Graphs:
    export_silero(given.weights, folder)
    return Graphs(default=GRAPH_NAME)


def _hibari(given: Ingredients, folder: Path) -> Graphs:
    export_hibari(given.weights, given.part("vocab.json"), folder)
    return Graphs(default=None)


EXPORTERS: Mapping[WeightsRole, Exporter] = {
    "gguf": _generator,
    "safetensors": _encoder,
    "langid": _language_id,
    "efficientnet_lite0": _classifier,
    "nanodet": _nanodet,
    "centerface": _centerface,
    "picodet": _picodet,
    "pp_ocr": _text_reader,
    "moonshine": _moonshine,
    "whisper": _whisper,
    "silero_vad": _silero_vad,
    "hibari": _hibari,
}
