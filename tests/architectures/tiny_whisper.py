"""A Whisper of a few numbers, in the folder layout of the real one.

It writes a word for each second of sound, from the first time to the last: `w0` to `w10` by how loud it is. Where a
second is silent it stops. What it writes next depends on the last token and on the sound alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.architectures.tiny_speech import write_json

# A word for each second and level: which second it is in is told by the token alone.
NUM_LEVELS, NUM_SECONDS = 11, 30
EOT = NUM_LEVELS * NUM_SECONDS
SOT, ENGLISH, GERMAN, TRANSLATE, TRANSCRIBE, PREVIOUS, NO_SPEECH, NO_TIMES = range(EOT + 1, EOT + 9)
FIRST_TIME = NO_TIMES + 1
STEPS_PER_S = 50
VOCABULARY = FIRST_TIME + NUM_SECONDS * STEPS_PER_S + 1


def write_whisper(folder: Path, *, is_multilingual: bool = True, has_aligner: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"model_type": "whisper"})
    generation: dict[str, object] = {
        "is_multilingual": is_multilingual,
        "decoder_start_token_id": SOT,
        "eos_token_id": EOT,
        "no_timestamps_token_id": NO_TIMES,
        "no_speech_token_id": NO_SPEECH,
        "prev_sot_token_id": PREVIOUS,
        "suppress_tokens": [],
        "begin_suppress_tokens": [EOT],
        "max_initial_timestamp_index": STEPS_PER_S,
        "max_length": 80,
    }
    if is_multilingual:
        generation["lang_to_id"] = {"<|de|>": GERMAN, "<|en|>": ENGLISH}
        generation["task_to_id"] = {"transcribe": TRANSCRIBE, "translate": TRANSLATE}
    write_json(folder / "generation_config.json", generation)
    write_json(folder / "preprocessor_config.json", {"feature_size": 80, "sampling_rate": 16000, "nb_max_frames": 3000})
    _tokenizer().save(str(folder / "tokenizer.json"))
    _save(_encoder(), folder / "encoder_model.onnx")
    _save(_decoder(), folder / "decoder_model.onnx")
    if has_aligner:
        _save(_aligner(), folder / "alignment_model.onnx")
    return folder


def _tokenizer() -> Tokenizer:
    """Words of the same level have tokens of their own for each second, which are written alike but for a mark."""
    names = {
        f"\u0120w{level}@{second}": second * NUM_LEVELS + level
        for second in range(NUM_SECONDS)
        for level in range(NUM_LEVELS)
    }
    tokenizer = Tokenizer(models.WordLevel(names, unk_token="\u0120w0@0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_next")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u0120", " "), decoders.Fuse()])
    return tokenizer


def _encoder() -> onnx.GraphProto:
    """The loudest band at each position of 20 ms."""
    nodes = [
        helper.make_node("ReduceMax", ["input_features", "one"], ["loudest"], keepdims=1),
        helper.make_node("AveragePool", ["loudest"], ["pairs"], kernel_shape=[2], strides=[2]),
        helper.make_node("Unsqueeze", ["pairs", "three"], ["present.0.encoder.key"]),
        helper.make_node("Identity", ["present.0.encoder.key"], ["present.0.encoder.value"]),
    ]
    return helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("input_features", TensorProto.FLOAT, ["batch", 80, "frames"])],
        [
            helper.make_tensor_value_info(f"present.0.encoder.{part}", TensorProto.FLOAT, ["batch", 1, "positions", 1])
            for part in ("key", "value")
        ],
        _constants(one=np.array([1]), three=np.array([3])),
    )


def _decoder() -> onnx.GraphProto:
    """What comes next: see the module."""
    make = helper.make_node
    nodes = [
        # Which second the next word would be of, and how loud that is.
        make("Less", ["input_ids", "eot"], ["is word"]),
        make("Div", ["input_ids", "num levels"], ["word second"]),
        make("Add", ["word second", "one"], ["next second"]),
        make("Where", ["is word", "next second", "zero"], ["second"]),
        make("Mul", ["second", "steps"], ["begin"]),
        make("Add", ["begin", "half"], ["middle"]),
        make("Squeeze", ["past_key_values.0.encoder.key", "head axes"], ["positions"]),
        make("Shape", ["positions"], ["shape"]),
        make("Gather", ["shape", "one"], ["num positions"]),
        make("Less", ["middle", "num positions"], ["is inside"]),
        make("Sub", ["num positions", "one"], ["last"]),
        make("Min", ["middle", "last"], ["place"]),
        make("GatherElements", ["positions", "place"], ["loudness there"], axis=1),
        make("Sub", ["loudness there", "half a unit"], ["above"]),
        make("Mul", ["above", "eight"], ["scaled"]),
        make("Clip", ["scaled", "none", "ten"], ["clipped"]),
        make("Round", ["clipped"], ["rounded"]),
        make("Cast", ["rounded"], ["level"], to=TensorProto.INT64),
        make("Greater", ["loudness there", "quiet"], ["is loud"]),
        make("And", ["is loud", "is inside"], ["is spoken"]),
        make("Mul", ["second", "num levels"], ["first word"]),
        make("Add", ["first word", "level"], ["word"]),
        make("Add", ["begin", "first time"], ["end time"]),
        # After a word: the next one, or the time. After the first time: a word, or the end. After another: the end.
        make("Where", ["is spoken", "word", "end time"], ["after word"]),
        make("Where", ["is spoken", "word", "eot"], ["after first"]),
        make("Equal", ["input_ids", "first time"], ["is first"]),
        make("Where", ["is first", "after first", "eot"], ["after time"]),
        make("GreaterOrEqual", ["input_ids", "first time"], ["is time"]),
        make("Where", ["is time", "after time", "first time"], ["after control"]),
        make("Where", ["is word", "after word", "after control"], ["next"]),
        make("OneHot", ["next", "vocabulary", "off on"], ["one hot"]),
        # Loud sound is German: only language detection asks for these two.
        make("ReduceMean", ["positions", "one"], ["loudness"], keepdims=1),
        make("Unsqueeze", ["loudness", "two"], ["spread loudness"]),
        make("Mul", ["spread loudness", "german"], ["tongue"]),
        make("Add", ["one hot", "tongue"], ["logits"]),
        # A past that grows with the tokens.
        make("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        make("Unsqueeze", ["floats", "outer axes"], ["fresh"]),
        make("Concat", ["past_key_values.0.decoder.key", "fresh"], ["present.0.decoder.key"], axis=2),
        make("Concat", ["past_key_values.0.decoder.value", "fresh"], ["present.0.decoder.value"], axis=2),
    ]
    german = np.zeros((1, 1, VOCABULARY), np.float32)
    german[0, 0, GERMAN] = 1.0
    floats = TensorProto.FLOAT
    return helper.make_graph(
        nodes,
        "decoder",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"]),
            *(
                helper.make_tensor_value_info(f"past_key_values.0.{side}.{part}", floats, ["batch", 1, length, 1])
                for side, length in (("decoder", "past"), ("encoder", "positions"))
                for part in ("key", "value")
            ),
        ],
        [
            helper.make_tensor_value_info("logits", floats, ["batch", "tokens", VOCABULARY]),
            *(
                helper.make_tensor_value_info(f"present.0.decoder.{part}", floats, ["batch", 1, "total", 1])
                for part in ("key", "value")
            ),
        ],
        _constants(
            **{
                "eot": np.array(EOT),
                "num levels": np.array(NUM_LEVELS),
                "zero": np.array(0),
                "one": np.array([1]),
                "two": np.array([2]),
                "steps": np.array(STEPS_PER_S),
                "half": np.array(STEPS_PER_S // 2),
                "head axes": np.array([1, 3]),
                "outer axes": np.array([1, 3]),
                "half a unit": np.array(0.5, np.float32),
                "eight": np.array(8, np.float32),
                "none": np.array(0, np.float32),
                "ten": np.array(10, np.float32),
                "quiet": np.array(0.3, np.float32),
                "first time": np.array(FIRST_TIME),
                "vocabulary": np.array(VOCABULARY),
                "off on": np.array([0, 20], np.float32),
                "german": german,
            }
        ),
    )


def _aligner() -> onnx.GraphProto:
    """Each token listens to the second of the word after it."""
    make = helper.make_node
    nodes = [
        make("Shape", ["past_key_values.0.encoder.key"], ["shape"]),
        make("Gather", ["shape", "two"], ["num positions"]),
        make("Range", ["zero", "num positions", "one"], ["all positions"]),
        make("Div", ["all positions", "steps"], ["seconds"]),
        make("Less", ["input_ids", "eot"], ["is word"]),
        make("Div", ["input_ids", "num levels"], ["word second"]),
        make("Add", ["word second", "one"], ["next second"]),
        make("Where", ["is word", "next second", "zero"], ["second"]),
        make("Unsqueeze", ["second", "inner axes"], ["row"]),
        make("Equal", ["row", "seconds"], ["listens"]),
        make("Cast", ["listens"], ["shares"], to=TensorProto.FLOAT),
        make("Add", ["shares", "little"], ["cross_attentions"]),
    ]
    floats = TensorProto.FLOAT
    return helper.make_graph(
        nodes,
        "aligner",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"]),
            helper.make_tensor_value_info("past_key_values.0.encoder.key", floats, ["batch", 1, "positions", 1]),
        ],
        [helper.make_tensor_value_info("cross_attentions", floats, ["batch", 1, "tokens", "positions"])],
        _constants(
            **{
                "zero": np.array(0),
                "one": np.array(1),
                "two": np.array(2),
                "steps": np.array(STEPS_PER_S),
                "eot": np.array(EOT),
                "num levels": np.array(NUM_LEVELS),
                "inner axes": np.array([1, 3]),
                "little": np.array(0.01, np.float32),
            }
        ),
    )


def _constants(**values: NDArray[np.generic]) -> Sequence[TensorProto]:
    named: Mapping[str, NDArray[np.generic]] = values
    return [numpy_helper.from_array(value, name) for name, value in named.items()]


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
