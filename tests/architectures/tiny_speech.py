"""Models that hear, of a few numbers, in the folder layouts of the real ones, and sound for them.

Sound is written as a row of levels, one for each tenth of a second. The detector takes what is loud for speech; the
recogniser writes down the level of each tenth of a second as a word, `w0` to `w10`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models

from trivium_server.architectures.speech_capabilities import SAMPLE_RATE_HZ

Floats = NDArray[np.float32]

STEP = SAMPLE_RATE_HZ // 10
BOS, EOS, FIRST_WORD = 1, 2, 3
WORDS = tuple(f"w{level}" for level in range(11))
MAX_SEGMENT_S = 4.0


def sound(levels: Sequence[float]) -> Floats:
    """A tenth of a second of each level, 0 to 1: a tone whose mean magnitude it is."""
    signs = np.where(np.arange(STEP) % 16 < 8, 1, -1)
    return np.concatenate([level * signs for level in levels]).astype(np.float32) if levels else np.zeros(0, np.float32)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def write_detector(folder: Path, *, config: Mapping[str, object] | None = None) -> Path:
    """A detector that hears speech from a mean magnitude of 0.05 on, that of the window before included by a quarter.

    Where magnitudes are multiples of 1/64 its numbers have no rounding that would depend on who shares a run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = {"model_type": "silero_vad", "sampling_rate": 16000, "window": 512, "context": 64}
    write_json(folder / "config.json", described if config is None else config)
    nodes = [
        helper.make_node("Slice", ["input", "from", "to", "axis"], ["window"]),
        helper.make_node("ReduceL1", ["window", "axis"], ["magnitude"], keepdims=1),
        helper.make_node("Div", ["magnitude", "length"], ["level"]),
        helper.make_node("ReduceMean", ["state", "ends"], ["before"], keepdims=0),
        helper.make_node("Unsqueeze", ["before", "axis"], ["last"]),
        helper.make_node("Mul", ["level", "much"], ["fresh"]),
        helper.make_node("Mul", ["last", "little"], ["old"]),
        helper.make_node("Add", ["fresh", "old"], ["sum"]),
        helper.make_node("Add", ["sum", "bias"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["logit"]),
        helper.make_node("Clip", ["logit", "zero", "full"], ["output"]),
        helper.make_node("Mul", ["state", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "level"], ["stateN"]),
    ]
    constants: Mapping[str, NDArray[np.generic]] = {
        "from": np.array([64]),
        "to": np.array([576]),
        "axis": np.array([1]),
        "ends": np.array([0, 2]),
        **{
            name: np.array(value, np.float32)
            for name, value in (
                ("length", 512),
                ("much", 0.75),
                ("little", 0.25),
                ("bias", 0.0125),
                ("steep", 8),
                ("full", 1),
                ("zero", 0),
            )
        },
    }
    graph = helper.make_graph(
        nodes,
        "detector",
        [
            helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 576]),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, "batch", 128]),
            helper.make_tensor_value_info("sr", TensorProto.INT64, []),
        ],
        [
            helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 1]),
            helper.make_tensor_value_info("stateN", TensorProto.FLOAT, [2, "batch", 128]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    _save(graph, folder / "model.onnx")
    return folder


def write_recognizer(folder: Path, *, config: Mapping[str, object] | None = None) -> Path:
    """A recogniser in Moonshine's layout."""
    folder.mkdir(parents=True, exist_ok=True)
    ours = {"max_segment_seconds": MAX_SEGMENT_S, "max_tokens_per_second": 12}
    write_json(folder / "config.json", config or {"model_type": "moonshine", "trivium": ours})
    write_json(
        folder / "generation_config.json", {"bos_token_id": BOS, "decoder_start_token_id": BOS, "eos_token_id": EOS}
    )
    names = ["<unk>", "<s>", "</s>", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    _save(_encoder(), folder / "encoder_model.onnx")
    _save(_decoder(len(names)), folder / "decoder_model_merged.onnx")
    return folder


def _encoder() -> onnx.GraphProto:
    """The level of each tenth of a second, as a frame of one number."""
    nodes = [
        helper.make_node("Abs", ["input_values"], ["magnitudes"]),
        helper.make_node("Unsqueeze", ["magnitudes", "one"], ["row"]),
        helper.make_node("AveragePool", ["row"], ["levels"], kernel_shape=[STEP], strides=[STEP]),
        helper.make_node("Transpose", ["levels"], ["last_hidden_state"], perm=[0, 2, 1]),
    ]
    return helper.make_graph(
        nodes,
        "encoder",
        [
            helper.make_tensor_value_info("input_values", TensorProto.FLOAT, ["batch", "samples"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "samples"]),
        ],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "frames", 1])],
        [numpy_helper.from_array(np.array([1]), "one")],
    )


def _decoder(vocab_len: int) -> onnx.GraphProto:
    """Writes the word of frame after frame. With the cache it knows the frames only from what it gave at first."""
    kv: list[int | str] = ["batch", 1, "frames", 1]
    past: list[int | str] = ["batch", 1, "past", 1]
    nodes = [
        # The frames: what is heard, or with the cache what was kept of it. Behind the last one stands the end.
        helper.make_node("Unsqueeze", ["encoder_hidden_states", "one"], ["heard"]),
        helper.make_node("Shape", ["past_key_values.0.decoder.key"], ["past shape"]),
        helper.make_node("Gather", ["past shape", "two"], ["position"]),
        helper.make_node("Concat", ["heard", "past_key_values.0.encoder.key"], ["both"], axis=2),
        helper.make_node("Shape", ["heard"], ["heard shape"]),
        helper.make_node("Gather", ["heard shape", "two"], ["num frames"]),
        helper.make_node("Cast", ["use_cache_branch"], ["cached"], to=TensorProto.INT64),
        helper.make_node("Mul", ["cached", "num frames"], ["skipped"]),
        helper.make_node("Add", ["skipped", "num frames"], ["last"]),
        helper.make_node("Slice", ["both", "skipped", "last", "two"], ["frames"]),
        helper.make_node("Concat", ["frames", "end frame"], ["ended frames"], axis=2),
        helper.make_node("Gather", ["ended frames", "position"], ["frame"], axis=2),
        # Its level in tenths, as the place of its word.
        helper.make_node("Mul", ["frame", "ten"], ["tenths"]),
        helper.make_node("Round", ["tenths"], ["level"]),
        helper.make_node("Cast", ["level"], ["word"], to=TensorProto.INT64),
        helper.make_node("Add", ["word", "first word"], ["token"]),
        helper.make_node("OneHot", ["token", "vocabulary", "off on"], ["one hot"]),
        helper.make_node("Reshape", ["one hot", "logits shape"], ["logits"]),
        helper.make_node("Concat", ["past_key_values.0.decoder.key", "step"], ["present.0.decoder.key"], axis=2),
        helper.make_node("Concat", ["past_key_values.0.decoder.value", "step"], ["present.0.decoder.value"], axis=2),
        # With the cache, what comes out here is of no use, as with the real one.
        helper.make_node("Cast", ["cached"], ["spoils"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["heard", "spoils"], ["present.0.encoder.key"]),
        helper.make_node("Add", ["heard", "spoils"], ["present.0.encoder.value"]),
    ]
    constants: Mapping[str, NDArray[np.generic]] = {
        "one": np.array([1]),
        "two": np.array([2]),
        "ten": np.array(10, np.float32),
        "first word": np.array(FIRST_WORD),
        "end frame": np.full((1, 1, 1, 1), (EOS - FIRST_WORD) / 10, np.float32),
        "vocabulary": np.array(vocab_len),
        "off on": np.array([0, 12], np.float32),
        "logits shape": np.array([1, 1, vocab_len]),
        "step": np.zeros((1, 1, 1, 1), np.float32),
    }
    floats = TensorProto.FLOAT
    return helper.make_graph(
        nodes,
        "decoder",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"]),
            helper.make_tensor_value_info("encoder_hidden_states", floats, ["batch", "frames", 1]),
            helper.make_tensor_value_info("encoder_attention_mask", TensorProto.INT64, ["batch", "samples"]),
            helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1]),
            *(
                helper.make_tensor_value_info(f"past_key_values.0.{side}.{part}", floats, shape)
                for side, shape in (("decoder", past), ("encoder", kv))
                for part in ("key", "value")
            ),
        ],
        [
            helper.make_tensor_value_info("logits", floats, ["batch", "tokens", vocab_len]),
            *(
                helper.make_tensor_value_info(f"present.0.{side}.{part}", floats, ["batch", 1, f"{side} len", 1])
                for side in ("decoder", "encoder")
                for part in ("key", "value")
            ),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
