"""Runs a folder of Moonshine the plain way: greedy, one segment at a time."""

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

_HEADS, _HEAD_LEN, _NUM_LAYERS = 8, 36, 6


def _open(graph: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


class Moonshine:
    """A model folder, opened."""

    def __init__(self, folder: Path) -> None:
        self._encoder, self._decoder = _open(folder / "encoder_model.ort"), _open(folder / "decoder_model_merged.ort")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        ids = json.loads((folder / "generation_config.json").read_text())
        self._start, self._end = ids["decoder_start_token_id"], ids["eos_token_id"]
        settings = json.loads((folder / "config.json").read_text())["trivium"]
        self._tokens_per_s = settings["max_tokens_per_second"] / settings["sampling_rate"]

    def transcribe(self, samples: NDArray[np.float32]) -> str:
        """The text of one segment at 16 kHz."""
        mask = np.ones((1, len(samples)), np.int64)
        (hidden,) = self._encoder.run(None, {"input_values": samples[None], "attention_mask": mask})
        empty = np.zeros((1, _HEADS, 0, _HEAD_LEN), np.float32)
        past = {
            f"past_key_values.{layer}.{side}.{part}": empty
            for layer in range(_NUM_LAYERS)
            for side in ("decoder", "encoder")
            for part in ("key", "value")
        }
        names = [output.name for output in self._decoder.get_outputs()]
        token, found = self._start, []
        for step in range(int(len(samples) * self._tokens_per_s) + 2):
            given = {
                "input_ids": np.array([[token]]),
                "encoder_hidden_states": hidden,
                # Over samples, though its dimension has the name of frames.
                "encoder_attention_mask": mask,
                "use_cache_branch": np.array([step > 0]),
            }
            results = dict(zip(names, self._decoder.run(names, given | past), strict=True))
            token = int(results["logits"][0, -1].argmax())
            if token == self._end:
                break
            found.append(token)
            for name in past:
                # The encoder's are right in the first step only.
                if step == 0 or ".decoder." in name:
                    past[name] = results[name.replace("past_key_values", "present")]
        return str(self.tokenizer.decode(found))
