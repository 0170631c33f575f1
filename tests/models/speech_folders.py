"""Folders of models that hear and speak, with graphs of nothing but names."""

import json
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort
from tokenizers import Tokenizer, models

from tests.models.zero_graph import Shapes, write_graph

PAST = [f"{side}.{part}" for side in ("decoder", "encoder") for part in ("key", "value")]
KEY_VALUES: Shapes = {f"past_key_values.0.{name}": ["batch", 2, "past", 4] for name in PAST}
PRESENT: Shapes = {f"present.0.{name}": ["batch", 2, "now", 4] for name in PAST}
Graphs = dict[str, tuple[Shapes, Shapes]]

MOONSHINE: Graphs = {
    "encoder_model": ({"input_values": ["batch", "samples"]}, {"last_hidden_state": ["batch", "frames", 8]}),
    "decoder_model_merged": (
        {"input_ids": None, "encoder_hidden_states": None, "use_cache_branch": [1], **KEY_VALUES},
        {"logits": ["batch", "tokens", 16], **PRESENT},
    ),
}
WHISPER: Graphs = {
    "encoder_model": (
        {"input_features": ["batch", 80, 3000]},
        {f"present.0.encoder.{part}": None for part in ("key", "value")},
    ),
    "decoder_model": (
        {"input_ids": None, **KEY_VALUES},
        {"logits": None, **{f"present.0.decoder.{part}": None for part in ("key", "value")}},
    ),
}
SILERO: Graphs = {"model": ({"input": None, "state": None, "sr": None}, {"output": None, "stateN": None})}
HIBARI: Graphs = {
    "model": (
        {"ids": [1, "phonemes"], "speed": [1]},
        dict.fromkeys(("lh", "theta", "ln", "lr", "phi", "f0", "durations")),
    ),
    "oov": ({"chars": [1, "letters"]}, {"ids": [1, "slots"]}),
}
VOICE = {"name": "heart", "language": "en-US", "gender": "female"}
CONFIGS: Mapping[str, dict[str, object]] = {
    "moonshine": {"trivium": {"max_segment_seconds": 10, "max_tokens_per_second": 6.5}},
    "whisper": {},
    "silero_vad": {"sampling_rate": 16000, "window": 512, "context": 64},
    "hibari": {
        "sampling_rate": 24000,
        "n_fft": 1200,
        "hop": 300,
        "max_phonemes": 400,
        "vocab": {"a": 1},
        "voices": [VOICE],
    },
}
GRAPHS: Mapping[str, Graphs] = {"moonshine": MOONSHINE, "whisper": WHISPER, "silero_vad": SILERO, "hibari": HIBARI}
TASKS = {
    "moonshine": "recognize_speech",
    "whisper": "recognize_speech",
    "silero_vad": "detect_voice_activity",
    "hibari": "synthesize_speech",
}
FILES: Mapping[str, object] = {
    "generation_config.json": {"decoder_start_token_id": 1, "eos_token_id": 2},
    "preprocessor_config.json": {
        "feature_size": 80,
        "n_fft": 400,
        "hop_length": 160,
        "sampling_rate": 16000,
        "chunk_length": 30,
    },
    "oov.json": {"in": ["a"], "out": ["b"], "maxlen": 24},
}


def write_ort(path: Path, inputs: Shapes, outputs: Shapes) -> None:
    """The graph of write_graph in ONNX Runtime's own format."""
    graph = path.with_suffix(".tmp")
    write_graph(graph, inputs, outputs)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    graph.unlink()


def write_folder(
    folder: Path,
    kind: str,
    *,
    config: Mapping[str, object] | None = None,
    files: Mapping[str, object] | None = None,
    graphs: Graphs | None = None,
    without: str = "",
    place: str = "{}.onnx",
) -> Path:
    """A folder of that kind. config, files: what is other in it than it should be."""
    folder.mkdir()
    for name, (inputs, outputs) in (GRAPHS[kind] | (graphs or {})).items():
        if place.format(name) != without:
            write = write_ort if place.endswith(".ort") else write_graph
            write(folder / place.format(name), inputs, outputs)
    contents = {"config.json": {"model_type": kind, **CONFIGS[kind], **(config or {})}, **FILES, **(files or {})}
    for name, content in contents.items():
        if name != without:
            (folder / name).write_text(json.dumps(content))
    if without != "tokenizer.json":
        Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(folder / "tokenizer.json"))
    return folder
