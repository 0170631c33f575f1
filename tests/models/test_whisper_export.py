"""The export of Whisper: its graphs against plain numpy, and what its configurations say."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.models.graph_session import GraphSession
from tests.models.tiny_whisper import (
    ALIGNMENT_HEADS,
    ENGLISH_VOCAB_LEN,
    NUM_DECODER_LAYERS,
    NUM_HEADS,
    NUM_LETTERS,
    NUM_MELS,
    ct2_bytes,
    tiny_tensors,
    write_tiny_whisper,
)
from tests.models.whisper_reference import WhisperReference
from trivium_models.errors import InvalidModelError
from trivium_models.folder_check import check_folder
from trivium_models.speech.whisper_decoder_graph import build_aligner, build_decoder
from trivium_models.speech.whisper_export import export_whisper
from trivium_models.speech.whisper_products import FloatProduct, quantize_blocks
from trivium_models.speech.whisper_source import read_whisper

# float32 against float64, on values of about 1; the largest difference seen is 4e-6.
_TOLERANCE = 5e-5
_IDS = [NUM_LETTERS + 1, 3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]

Floats = NDArray[np.float32]


class Exported:
    """The folder of a tiny model, the sessions of its graphs, and those of the same graphs in float32."""

    def __init__(self, theirs: Path, folder: Path) -> None:
        export(theirs, folder)
        self.folder = folder
        self.reference = WhisperReference(theirs / "model.bin")
        self.encoder = GraphSession(folder / "encoder_model.onnx")
        self.served_decoder = GraphSession(folder / "decoder_model.onnx")
        self.served_aligner = GraphSession(folder / "alignment_model.onnx")
        model, heads = read_whisper(theirs / "model.bin"), tuple(sorted((at, head) for at, head in ALIGNMENT_HEADS))
        self.decoder = GraphSession(build_decoder(model, FloatProduct).SerializeToString())
        self.aligner = GraphSession(build_aligner(model, heads, FloatProduct).SerializeToString())

    def hear(self, features: Floats) -> dict[str, Floats]:
        """Keys and values for the decoder, by the names of its inputs."""
        heard = self.encoder.run(input_features=features)
        return {name.replace("present", "past_key_values"): values for name, values in heard.items()}

    def nothing(self, batch_len: int = 1) -> dict[str, Floats]:
        """The past before the first token."""
        shape = self.hear(features(2))["past_key_values.0.encoder.key"].shape
        empty = np.zeros((batch_len, NUM_HEADS, 0, shape[3]), np.float32)
        return {
            f"past_key_values.{index}.decoder.{part}": empty
            for index in range(NUM_DECODER_LAYERS)
            for part in ("key", "value")
        }

    def read(self, ids: list[list[int]], past: dict[str, Floats], heard: dict[str, Floats]) -> dict[str, Floats]:
        """The decoder's outputs."""
        return self.decoder.run(input_ids=np.array(ids), **past, **heard)


def features(num_frames: int, batch_len: int = 1) -> Floats:
    return np.random.default_rng(num_frames).normal(size=(batch_len, NUM_MELS, num_frames)).astype(np.float32)


def export(theirs: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(theirs / "tokenizer.json", folder / "tokenizer.json")
    export_whisper(theirs / "model.bin", theirs / "config.json", folder, "int8")


def later(outputs: dict[str, Floats]) -> dict[str, Floats]:
    return {name.replace("present", "past_key_values"): outputs[name] for name in outputs if name != "logits"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("whisper")
    write_tiny_whisper(folder / "theirs")
    return Exported(folder / "theirs", folder / "ours")


@pytest.mark.parametrize("num_frames", [2, 4, 22, 100])
def test_encoder_gives_keys_and_values_of_the_reference(exported: Exported, num_frames: int) -> None:
    heard = exported.hear(features(num_frames))
    states = exported.reference.hear(features(num_frames)[0].astype(np.float64))
    for index in range(NUM_DECODER_LAYERS):
        for part, wanted in zip(("key", "value"), exported.reference.cross_key_value(index, states), strict=True):
            found = heard[f"past_key_values.{index}.encoder.{part}"]
            np.testing.assert_allclose(found[0], wanted, rtol=0, atol=_TOLERANCE)


@pytest.mark.parametrize("lengths", [[12], [1] * 12, [4, 1, 1, 1, 5], [3, 9]], ids=str)
def test_logits_with_a_growing_past_are_those_of_the_whole_text(exported: Exported, lengths: list[int]) -> None:
    wanted, _ = exported.reference.read(_IDS, exported.reference.hear(features(30)[0].astype(np.float64)))
    heard, past, logits, at = exported.hear(features(30)), exported.nothing(), [], 0
    for length in lengths:
        outputs = exported.read([_IDS[at : at + length]], past, heard)
        past, at = later(outputs), at + length
        logits.append(outputs["logits"][0])
    np.testing.assert_allclose(np.concatenate(logits), wanted, rtol=0, atol=_TOLERANCE)


def test_batched_equals_single(exported: Exported) -> None:
    both, rows = features(30, batch_len=2), [_IDS[:5], _IDS[5:10]]
    together = exported.read(rows, exported.nothing(2), exported.hear(both))
    for index, ids in enumerate(rows):
        alone = exported.read([ids], exported.nothing(), exported.hear(both[index : index + 1]))
        np.testing.assert_allclose(together["logits"][index], alone["logits"][0], rtol=0, atol=_TOLERANCE)


def test_aligner_gives_the_shares_of_the_heads_in_order(exported: Exported) -> None:
    heard = exported.hear(features(30))
    _, shares = exported.reference.read(_IDS, exported.reference.hear(features(30)[0].astype(np.float64)))
    # The layer above the last of these heads is left out, and so are the values of that one.
    assert exported.aligner.inputs == [
        "input_ids",
        "past_key_values.0.encoder.key",
        "past_key_values.0.encoder.value",
        "past_key_values.1.encoder.key",
    ]
    given = {name: heard[name] for name in exported.aligner.inputs[1:]}
    found = exported.aligner.run(input_ids=np.array([_IDS]), **given)["cross_attentions"]
    wanted = np.stack([shares[layer][head] for layer, head in sorted(ALIGNMENT_HEADS)])
    np.testing.assert_allclose(found[0], wanted, rtol=0, atol=_TOLERANCE)
    generation = json.loads((exported.folder / "generation_config.json").read_text())
    assert generation["alignment_heads"] == sorted(ALIGNMENT_HEADS)


def test_served_graphs_keep_to_the_float_ones(exported: Exported) -> None:
    heard, past = exported.hear(features(30)), exported.nothing()
    assert exported.served_decoder.inputs == exported.decoder.inputs
    served = exported.served_decoder.run(input_ids=np.array([_IDS]), **past, **heard)["logits"]
    exact = exported.read([_IDS], past, heard)["logits"]
    cosine = np.vdot(served, exact) / (np.linalg.norm(served) * np.linalg.norm(exact))
    assert cosine > 0.999
    given = {name: heard[name] for name in exported.served_aligner.inputs[1:]}
    shares = exported.served_aligner.run(input_ids=np.array([_IDS]), **given)["cross_attentions"]
    wanted = exported.aligner.run(input_ids=np.array([_IDS]), **given)["cross_attentions"]
    np.testing.assert_allclose(shares, wanted, rtol=0, atol=_TOLERANCE)


def test_rounding_to_bytes_is_within_half_a_step() -> None:
    entries = np.random.default_rng(3).normal(size=(5, 64)).astype(np.float32)
    entries[2, 32:] = 0
    quantized = quantize_blocks(entries)
    steps = np.repeat(quantized.scales, 32, axis=1)
    assert (np.abs(quantized.dequantized() - entries) <= 0.5001 * steps).all()
    assert quantized.quants.min() >= 1


def test_folder_is_one_that_recognizes_speech(exported: Exported) -> None:
    facts = check_folder(exported.folder)
    assert (facts.architecture, facts.task) == ("speech", "recognize_speech")


def test_english_model_has_neither_languages_nor_tasks(exported: Exported) -> None:
    generation = json.loads((exported.folder / "generation_config.json").read_text())
    assert not generation["is_multilingual"]
    assert "lang_to_id" not in generation
    assert generation["suppress_tokens"] == [1, 2]
    assert generation["begin_suppress_tokens"] == [3]
    assert generation["no_timestamps_token_id"] == ENGLISH_VOCAB_LEN - 1502


def test_multilingual_model_names_its_languages(tmp_path: Path) -> None:
    write_tiny_whisper(tmp_path / "theirs", vocab_len=51865)
    export(tmp_path / "theirs", tmp_path / "ours")
    generation = json.loads((tmp_path / "ours" / "generation_config.json").read_text())
    start = generation["decoder_start_token_id"]
    assert generation["is_multilingual"]
    assert generation["lang_to_id"] == {"<|en|>": start + 1, "<|de|>": start + 2}
    assert generation["task_to_id"] == {"transcribe": start + 4, "translate": start + 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder/activation": np.array(0, np.int8)}, "decoder/activation is 0; only 3 is supported"),
        ({"decoder/num_heads": np.array(4, np.int16)}, "num_heads must divide 32, the same in encoder and decoder"),
        ({"decoder/num_heads": np.array(0, np.int16)}, "num_heads must divide 32, the same in encoder and decoder"),
        ({"decoder/extra": np.zeros(2, np.float16)}, "tensor decoder/extra has no place in the graph"),
        ({"encoder/conv1/weight": np.zeros((32, 0, 3), np.float16)}, "encoder/conv1/weight has shape"),
        ({"encoder/layer_1/ffn/linear_0/weight": np.zeros((64, 32), np.int8)}, "is int8 with shape"),
        ({"decoder/layer_0/ffn/linear_0/bias": np.full(64, np.nan, np.float16)}, "holds a value that is not finite"),
    ],
    ids=str,
)
def test_weights_that_the_graph_cannot_hold_are_refused(
    tmp_path: Path, change: dict[str, NDArray[np.generic]], message: str
) -> None:
    write_tiny_whisper(tmp_path / "theirs")
    (tmp_path / "theirs" / "model.bin").write_bytes(ct2_bytes(tiny_tensors() | change))
    with pytest.raises(InvalidModelError, match=message):
        export(tmp_path / "theirs", tmp_path / "ours")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alignment_heads": []}, "alignment_heads must be a list of pairs"),
        ({"alignment_heads": [[3, 0]]}, r"alignment_heads holds \[3, 0\], which is no head"),
        ({"alignment_heads": [[0, 0, 0]]}, "which is no head"),
        ({"suppress_ids": [ENGLISH_VOCAB_LEN]}, "suppress_ids must be a list of tokens"),
        ({"suppress_ids_begin": "220"}, "suppress_ids_begin must be a list of tokens"),
    ],
    ids=str,
)
def test_configurations_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write_tiny_whisper(tmp_path / "theirs")
    config = tmp_path / "theirs" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(InvalidModelError, match=message):
        export(tmp_path / "theirs", tmp_path / "ours")


def test_tokenizer_of_other_weights_is_refused(tmp_path: Path) -> None:
    write_tiny_whisper(tmp_path / "theirs")
    (tmp_path / "theirs" / "model.bin").write_bytes(ct2_bytes(tiny_tensors(ENGLISH_VOCAB_LEN - 1)))
    with pytest.raises(InvalidModelError, match="no room for timestamps"):
        export(tmp_path / "theirs", tmp_path / "ours")
