"""Completes the folder of hibari, which turns phonemes into a voice.

For a row of phonemes the graph gives the parts of a spectrum for each frame of 12.5 ms; the sound is made of them by a
pulse train, noise and an inverse STFT. What is added here is how many frames each phoneme takes, which the published
graph computes and keeps to itself. A second graph spells words that no lexicon has. Source: hibari-tts (Apache-2.0),
distilled from Kokoro-82M.
"""

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from trivium_models.errors import InvalidModelError
from trivium_models.json_file import read_json, write_json
from trivium_models.speech.speech_folder import CONFIG_NAME, DURATIONS, GRAPH_NAME, SPECTRUM
from trivium_models.vision.graph_names import read_onnx, set_dims

_SAMPLING_RATE = 24000
_N_FFT, _HOP_LEN = 1200, 300
_NUM_BINS = _N_FFT // 2 + 1
# It thinks in steps of 25 ms until the end.
_FRAMES_PER_STEP = 2
# Stands before the first phoneme and after the last one.
_PAD_ID = 0
# Sentences that it learnt from are no longer; longer ones are cut at a comma.
_MAX_PHONEMES = 400
_VOICES = [{"name": "heart", "language": "en-US", "gender": "female"}]


def export_hibari(weights: Path, vocab: Path, folder: Path) -> None:
    """Writes model.onnx and config.json into a folder. vocab: ids of phonemes, vocab.json. Raises InvalidModelError."""
    model = read_onnx(weights)
    graph = model.graph
    if [value.name for value in graph.input] != ["ids", "speed"] or [v.name for v in graph.output] != list(SPECTRUM):
        raise InvalidModelError(f"{weights.name} is not hibari: it has other inputs and outputs")
    phonemes = _read_vocab(vocab, _num_phonemes(model, weights.name))
    _give_durations(model, weights.name)
    for value in graph.output:
        if value.name in SPECTRUM:
            set_dims(value, [1, "frames"] if value.name == "f0" else [1, _NUM_BINS, "frames"])
    set_dims(graph.input[0], [1, "phonemes"])
    (folder / GRAPH_NAME).write_bytes(model.SerializeToString(deterministic=True))
    write_json(
        folder / CONFIG_NAME,
        {
            "model_type": "hibari",
            "sampling_rate": _SAMPLING_RATE,
            "n_fft": _N_FFT,
            "hop": _HOP_LEN,
            "pad_id": _PAD_ID,
            "max_phonemes": _MAX_PHONEMES,
            "voices": _VOICES,
            "vocab": phonemes,
        },
    )


def _give_durations(model: ModelProto, where: str) -> None:
    """Makes an output, one row, of what is summed up to find out which step belongs to which phoneme."""
    sums = [node for node in model.graph.node if node.op_type == "CumSum"]
    if len(sums) != 1:
        raise InvalidModelError(f"{where} is not hibari: durations are summed up in {len(sums)} places, not in one")
    # One row, as the other outputs have it: a factor of that shape makes one of what has none.
    factor = numpy_helper.from_array(np.array([[_FRAMES_PER_STEP]], np.int64), f"{DURATIONS}/frames_per_step")
    model.graph.initializer.append(factor)
    model.graph.node.append(helper.make_node("Mul", [sums[0].input[0], factor.name], [DURATIONS]))
    model.graph.output.append(helper.make_tensor_value_info(DURATIONS, TensorProto.INT64, [1, "phonemes"]))


def _num_phonemes(model: ModelProto, where: str) -> int:
    """How many ids it knows: rows of the table that ids are looked up in."""
    tables = {node.input[0] for node in model.graph.node if node.op_type == "Gather" and node.input[1] == "ids"}
    rows = {numpy_helper.to_array(one).shape[0] for one in model.graph.initializer if one.name in tables}
    if len(rows) != 1:
        raise InvalidModelError(f"{where} is not hibari: it looks ids up in {len(rows)} kinds of tables, not in one")
    return int(rows.pop())


def _read_vocab(path: Path, num_phonemes: int) -> dict[str, int]:
    vocab = read_json(path)
    ids = vocab if isinstance(vocab, dict) else {}
    if not ids or not all(type(one) is int and 0 < one < num_phonemes for one in ids.values()):
        raise InvalidModelError(f"{path.name} does not give each phoneme an id from 1 to {num_phonemes - 1}")
    return ids
