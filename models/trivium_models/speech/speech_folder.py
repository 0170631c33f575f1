"""Checks that a folder is a model that hears or speaks, and what it does.

config.json says of which kind it is, by model_type: moonshine and whisper recognise speech, silero_vad finds it, hibari
speaks. docs/models.md describes the layouts. Moonshine may come from a hub as well, with its graphs as
onnx/encoder_model.onnx and onnx/decoder_model_merged.onnx.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.folder_facts import FolderFacts, check_tokenizer, require_there
from trivium_models.graph_check import GraphHeader
from trivium_models.json_file import JsonFile
from trivium_models.manifest import Limits

CONFIG_NAME = "config.json"
GENERATION_NAME = "generation_config.json"
PREPROCESSOR_NAME = "preprocessor_config.json"
GRAPH_NAME = "model.onnx"
ENCODER_STEM, DECODER_STEM = "encoder_model", "decoder_model_merged"
WHISPER_ENCODER_NAME, WHISPER_DECODER_NAME = "encoder_model.onnx", "decoder_model.onnx"
OOV_GRAPH_NAME, OOV_NAME = "oov.onnx", "oov.json"
_MOONSHINE_PLACES = ("{}.ort", "{}.onnx", "onnx/{}.onnx")
# What a repository may have of a model of several graphs; GRAPH_NAME is there for other models too.
SPEECH_GRAPH_NAMES = (
    *(place.format(stem) for stem in (ENCODER_STEM, DECODER_STEM) for place in _MOONSHINE_PLACES),
    WHISPER_DECODER_NAME,
    OOV_GRAPH_NAME,
)
# What hibari gives: five parts of the spectrum, the pitch, and how many frames each phoneme takes.
SPECTRUM = ("lh", "theta", "ln", "lr", "phi", "f0")
DURATIONS = "durations"
_NO_LIMITS = Limits(context_length=0, max_input_tokens=0, max_output_tokens=0)

Headers = Mapping[str, GraphHeader]


def is_speech_folder(folder: Path) -> bool:
    """Whether config.json names one of the kinds; one that cannot be read names nothing."""
    if not (folder / CONFIG_NAME).is_file():
        return False
    try:
        return JsonFile.read(folder / CONFIG_NAME).text("model_type", "") in _CHECKS
    except InvalidModelError:
        return False


def check_speech_folder(folder: Path, headers: Headers) -> FolderFacts:
    """Checks configurations, tokenizer and graphs of a folder; runs nothing.

    headers: the graphs of the folder by their path in it. Raises InvalidModelError.
    """
    config = JsonFile.read(folder / CONFIG_NAME)
    return _CHECKS[config.text("model_type")](folder, config, headers)


def check_voice_activity(where: str, inputs: Collection[str], outputs: Collection[str]) -> None:
    """InvalidModelError unless a graph takes and gives what Silero VAD does."""
    _require(where, "takes", inputs, ("input", "state"))
    _require(where, "gives", outputs, ("output", "stateN"))


def _check_moonshine(folder: Path, config: JsonFile, headers: Headers) -> FolderFacts:
    encoder, decoder = (_find_graph(folder, stem, headers) for stem in (ENCODER_STEM, DECODER_STEM))
    _require(f"{folder.name}/{encoder}", "takes", headers[encoder].inputs, ("input_values",))
    _require(f"{folder.name}/{encoder}", "gives", headers[encoder].outputs, ("last_hidden_state",))
    past = ("past_key_values.0.decoder.key", "past_key_values.0.encoder.key")
    takes = ("input_ids", "encoder_hidden_states", "use_cache_branch", *past)
    _require(f"{folder.name}/{decoder}", "takes", headers[decoder].inputs, takes)
    gives = ("logits", *(name.replace("past_key_values", "present") for name in past))
    _require(f"{folder.name}/{decoder}", "gives", headers[decoder].outputs, gives)
    check_tokenizer(folder)
    _check_generation(folder)
    settings = config.table("trivium")
    for key in ("max_segment_seconds", "max_tokens_per_second"):
        if settings.number(key, 1.0) <= 0:
            raise InvalidModelError(f"{settings.name}: {key} must be more than nothing")
    return _facts("recognize_speech", graphs=(encoder, decoder))


def _check_whisper(folder: Path, _config: JsonFile, headers: Headers) -> FolderFacts:
    for name in (WHISPER_ENCODER_NAME, WHISPER_DECODER_NAME):
        if name not in headers:
            raise InvalidModelError(f"{folder.name} has no {name}")
    encoder, decoder = headers[WHISPER_ENCODER_NAME], headers[WHISPER_DECODER_NAME]
    present, past = ("present.0.encoder.key", "present.0.encoder.value"), "past_key_values.0"
    _require(f"{folder.name}/{WHISPER_ENCODER_NAME}", "takes", encoder.inputs, ("input_features",))
    _require(f"{folder.name}/{WHISPER_ENCODER_NAME}", "gives", encoder.outputs, present)
    takes = ("input_ids", f"{past}.decoder.key", f"{past}.encoder.key")
    _require(f"{folder.name}/{WHISPER_DECODER_NAME}", "takes", decoder.inputs, takes)
    _require(f"{folder.name}/{WHISPER_DECODER_NAME}", "gives", decoder.outputs, ("logits", "present.0.decoder.key"))
    check_tokenizer(folder)
    require_there(folder, GENERATION_NAME)
    preprocessor = JsonFile.read(folder / PREPROCESSOR_NAME)
    for key in ("feature_size", "n_fft", "hop_length", "sampling_rate", "chunk_length"):
        preprocessor.count(key)
    return _facts("recognize_speech")


def _check_silero(folder: Path, config: JsonFile, headers: Headers) -> FolderFacts:
    if GRAPH_NAME not in headers:
        raise InvalidModelError(f"{folder.name} has no {GRAPH_NAME}")
    check_voice_activity(f"{folder.name}/{GRAPH_NAME}", headers[GRAPH_NAME].inputs, headers[GRAPH_NAME].outputs)
    for key in ("sampling_rate", "window", "context"):
        config.count(key)
    return _facts("detect_voice_activity", default_graph=GRAPH_NAME)


def _check_hibari(folder: Path, config: JsonFile, headers: Headers) -> FolderFacts:
    for name in (GRAPH_NAME, OOV_GRAPH_NAME):
        if name not in headers:
            raise InvalidModelError(f"{folder.name} has no {name}")
    _require(f"{folder.name}/{GRAPH_NAME}", "takes", headers[GRAPH_NAME].inputs, ("ids", "speed"))
    _require(f"{folder.name}/{GRAPH_NAME}", "gives", headers[GRAPH_NAME].outputs, (*SPECTRUM, DURATIONS))
    _require(f"{folder.name}/{OOV_GRAPH_NAME}", "takes", headers[OOV_GRAPH_NAME].inputs, ("chars",))
    _require(f"{folder.name}/{OOV_GRAPH_NAME}", "gives", headers[OOV_GRAPH_NAME].outputs, ("ids",))
    letters = JsonFile.read(folder / OOV_NAME)
    letters.count("maxlen")
    if not letters.texts("in") or not letters.texts("out"):
        raise InvalidModelError(f"{folder.name}/{OOV_NAME} has no letters or no phonemes: in, out")
    for key in ("sampling_rate", "n_fft", "hop", "max_phonemes"):
        config.count(key)
    if config.size("vocab") == 0:
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME} has no vocab")
    voices = config.tables("voices")
    if not voices:
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME} has no voices")
    for voice in voices:
        for key in ("name", "language", "gender"):
            voice.text(key)
    return _facts("synthesize_speech")


def _check_generation(folder: Path) -> None:
    ids = JsonFile.read(folder / GENERATION_NAME)
    for key in ("decoder_start_token_id", "eos_token_id"):
        ids.count(key)


def _find_graph(folder: Path, stem: str, headers: Headers) -> str:
    names = [place.format(stem) for place in _MOONSHINE_PLACES]
    found = next((name for name in names if name in headers), None)
    if found is None:
        raise InvalidModelError(f"{folder.name} has no {' or '.join(names)}")
    return found


def _require(where: str, does: str, names: Collection[str], wanted: Collection[str]) -> None:
    if missing := [name for name in wanted if name not in names]:
        shown = ", ".join(list(names)[:6]) + ("…" if len(names) > 6 else "")
        raise InvalidModelError(f"{where} {does} {shown or 'nothing'}, but not {missing[0]}")


def _facts(task: str, *, default_graph: str | None = None, graphs: tuple[str, ...] = ()) -> FolderFacts:
    return FolderFacts(architecture="speech", task=task, default_graph=default_graph, limits=_NO_LIMITS, graphs=graphs)


_CHECKS: Mapping[str, Callable[[Path, JsonFile, Headers], FolderFacts]] = {
    "moonshine": _check_moonshine,
    "whisper": _check_whisper,
    "silero_vad": _check_silero,
    "hibari": _check_hibari,
}
