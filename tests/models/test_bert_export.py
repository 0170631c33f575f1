"""The encoder's exporter on a tiny random BERT: parity with float64, batch invariance, and what it refuses."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.models.bert_reference import BertReference
from tests.models.encoder_runner import EncoderRunner
from tests.models.tiny_bert import HIDDEN, LAYERS, POSITIONS, WORDS, write_tiny_bert
from trivium_models.bert_source import Linear
from trivium_models.catalog import Precision
from trivium_models.encoder_export import export_bert
from trivium_models.errors import InvalidModelError
from trivium_models.graph_writer import GraphWriter
from trivium_models.row_quantized import (
    GELU_CODES,
    SYMMETRIC_CODES,
    Codes,
    IntegerProduct,
    quantize_columns,
)

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
LENGTHS = [2, 3, 7, 8, 9, 16, 31, POSITIONS]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny model exported in each precision."""
    root = tmp_path_factory.mktemp("bert")
    for precision in PRECISIONS:
        export_bert(write_tiny_bert(root / precision), root / precision, precision)
    return {precision: root / precision for precision in PRECISIONS}


def texts_of(lengths: list[int], seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [[2, *rng.integers(4, len(WORDS), length - 2).tolist(), 3] for length in lengths]


@pytest.mark.parametrize("length", LENGTHS)
def test_every_layer_equals_the_float64_reference(folders: dict[str, Path], length: int) -> None:
    folder = folders["fp32"]
    reference = BertReference(folder / "config.json", folder / "model.safetensors")
    (text,) = texts_of([length])
    got = EncoderRunner(folder / "model.onnx", num_layers=LAYERS).run([text])
    names = ["embeddings", *(f"layer.{index}" for index in range(LAYERS))]
    for name, want in zip(names, reference.states(text), strict=True):
        # Hidden states are of the order of 1; float32 keeps seven digits, and the layers lose one.
        np.testing.assert_allclose(got[name].reshape(length, HIDDEN), want, rtol=0, atol=5e-6, err_msg=name)
    np.testing.assert_array_equal(got["last_hidden_state"][0], got[names[-1]].reshape(length, HIDDEN))


def test_token_types_reach_the_embeddings(folders: dict[str, Path]) -> None:
    folder = folders["fp32"]
    reference = BertReference(folder / "config.json", folder / "model.safetensors")
    (text,), types = texts_of([6]), [0, 0, 0, 1, 1, 1]
    got = EncoderRunner(folder / "model.onnx").hidden([text], types=types)[0]
    np.testing.assert_allclose(got, reference.states(text, types)[-1], rtol=0, atol=5e-6)


def test_int8_stays_near_float32(folders: dict[str, Path]) -> None:
    exact, rounded = (EncoderRunner(folders[precision] / "model.onnx") for precision in PRECISIONS)
    texts = texts_of(LENGTHS * 4)
    cosines = (exact.sentences(texts) * rounded.sentences(texts)).sum(axis=1)
    assert cosines.min() > 0.998
    assert cosines.max() < 1.0 - 1e-7, "the int8 graph computes in float32"


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("padding", [0, 1, 7, 24])
def test_batched_equals_single_to_the_last_bit(folders: dict[str, Path], precision: str, padding: int) -> None:
    runner = EncoderRunner(folders[precision] / "model.onnx")
    texts = texts_of([*LENGTHS, 5, 2, 12], seed=padding)
    padding = min(padding, POSITIONS - max(map(len, texts[1:-4])))
    texts = [text for text in texts if len(text) + padding <= POSITIONS]
    singles = [runner.hidden([text])[0] for text in texts]
    for batch_len in (2, 3, len(texts)):
        for start in range(0, len(texts), batch_len):
            batch = texts[start : start + batch_len]
            # What stands in the padding must not matter.
            for got, want in zip(
                runner.hidden(batch, padding=padding, pad_id=9), singles[start : start + batch_len], strict=True
            ):
                np.testing.assert_array_equal(got, want)


def test_integer_products_do_not_saturate() -> None:
    # The largest bytes that there can be in a row and a column; some kernels cut such sums off at 16 bits.
    rows, weights = np.full((3, 64), 5.0, dtype=np.float32), np.full((64, 32), 2.0, dtype=np.float32)
    graph, bias = GraphWriter(), np.arange(32, dtype=np.float32)
    IntegerProduct(graph)("product", "rows", Linear(weights=weights, bias=bias), SYMMETRIC_CODES)
    names = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None]) for name in ("rows", "product")]
    made = helper.make_graph(graph.nodes, "product", names[:1], names[1:], list(graph.initializers.values()))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString()
    got = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(["product"], {"rows": rows})[0]
    np.testing.assert_allclose(got, rows @ weights + bias, rtol=1e-6)


@pytest.mark.parametrize("codes", [SYMMETRIC_CODES, GELU_CODES])
def test_codes_cover_their_range(codes: Codes) -> None:
    lowest = -0.17 if codes.one_sided else -3.0
    row = np.linspace(lowest, 3.0, 1001)
    scale = max(3.0 / codes.num_steps, codes.smallest_scale)
    bytes_ = np.rint(row / scale) + codes.zero
    assert bytes_.min() >= 0
    assert bytes_.max() <= 255
    assert np.abs((bytes_ - codes.zero) * scale - row).max() <= scale / 2 + 1e-12


def test_columns_round_to_half_a_step() -> None:
    weights = np.random.default_rng(1).normal(size=(30, 7)).astype(np.float32)
    weights[:, 3] = 0
    quants, scales = quantize_columns(weights)
    assert quants.dtype == np.int8
    restored = quants * scales
    assert (np.abs(restored - weights).max(axis=0) <= scales * 0.501).all()
    assert (restored[:, 3] == 0).all()


def test_prefixed_names_and_the_unused_pooler_are_read(tmp_path: Path, folders: dict[str, Path]) -> None:
    extra = {"pooler.dense.weight": np.zeros((HIDDEN, HIDDEN), np.float32), "pooler.dense.bias": _zeros()}
    export_bert(write_tiny_bert(tmp_path, prefix="bert.", extra=extra), tmp_path, "fp32")
    assert (tmp_path / "model.onnx").read_bytes() == (folders["fp32"] / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("config", "without", "extra", "words"),
    [
        ({"model_type": "mpnet"}, (), {}, "model_type is 'mpnet'"),
        ({"hidden_act": "relu"}, (), {}, "hidden_act is 'relu'"),
        ({"position_embedding_type": "relative_key"}, (), {}, "position_embedding_type"),
        ({"num_attention_heads": 5}, (), {}, "no multiple of num_attention_heads"),
        ({"num_hidden_layers": 3}, (), {}, "encoder.layer.2.attention.self.query.weight is missing"),
        ({"num_hidden_layers": 1}, (), {}, "has no place in the encoder"),
        ({"hidden_size": 0}, (), {}, "hidden_size must be a positive whole number"),
        ({"hidden_size": True}, (), {}, "hidden_size must be a positive whole number"),
        ({"layer_norm_eps": "small"}, (), {}, "layer_norm_eps must be a finite number"),
        ({"vocab_size": 7}, (), {}, "config.json says (7, 48)"),
        ({}, ("embeddings.LayerNorm.bias",), {}, "embeddings.LayerNorm.bias is missing"),
        ({}, (), {"classifier.weight": np.zeros((2, HIDDEN), np.float32)}, "classifier.weight has no place"),
        ({}, (), {"embeddings.LayerNorm.bias": np.zeros(HIDDEN, np.int32)}, "is int32"),
    ],
)
def test_unsupported_model_is_refused(
    tmp_path: Path,
    config: dict[str, object],
    without: tuple[str, ...],
    extra: dict[str, NDArray[np.float32]],
    words: str,
) -> None:
    weights = write_tiny_bert(tmp_path, config=config, without=without, extra=extra)
    with pytest.raises(InvalidModelError) as caught:
        export_bert(weights, tmp_path, "fp32")
    assert words in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff" * 64])
def test_damaged_weights_are_refused(tmp_path: Path, damage: bytes) -> None:
    weights = write_tiny_bert(tmp_path)
    weights.write_bytes(damage)
    with pytest.raises(InvalidModelError, match=r"not a complete safetensors file"):
        export_bert(weights, tmp_path, "fp32")


def test_cut_weights_are_refused(tmp_path: Path) -> None:
    weights = write_tiny_bert(tmp_path)
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InvalidModelError, match=r"not a complete safetensors file"):
        export_bert(weights, tmp_path, "fp32")


def _zeros() -> NDArray[np.float32]:
    return np.zeros(HIDDEN, np.float32)
