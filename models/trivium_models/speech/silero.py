"""Completes the folder of Silero VAD, which gives the probability that a window of sound holds speech.

The graph is as published: input, 64 samples of the window before and then 512 new ones at 16 kHz, state and sr in,
output and stateN out; rows of a batch are streams of their own. Source: Silero Team, Silero VAD 6 (MIT).
"""

import shutil
from pathlib import Path

from trivium_models.json_file import write_json
from trivium_models.speech.speech_folder import CONFIG_NAME, GRAPH_NAME, check_voice_activity
from trivium_models.vision.graph_names import read_onnx

_SAMPLING_RATE = 16000
_WINDOW_LEN, _CONTEXT_LEN = 512, 64


def export_silero(weights: Path, folder: Path) -> None:
    """Writes model.onnx and config.json into a folder. Raises InvalidModelError."""
    graph = read_onnx(weights).graph
    check_voice_activity(weights.name, [value.name for value in graph.input], [value.name for value in graph.output])
    shutil.copyfile(weights, folder / GRAPH_NAME)
    write_json(
        folder / CONFIG_NAME,
        {
            "model_type": "silero_vad",
            "sampling_rate": _SAMPLING_RATE,
            "window": _WINDOW_LEN,
            "context": _CONTEXT_LEN,
        },
    )
