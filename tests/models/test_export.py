"""The exporter on tiny files of every format: weights are kept exactly, and the graphs compute what the model says."""

import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from numpy.typing import NDArray

from tests.models.graph_runner import GraphRunner
from tests.models.llama_reference import LlamaReference
from tests.models.onnx_weights import OnnxWeights
from tests.models.tiny_llama import HEAD_LEN, HEADS, KV_HEADS, LAYERS, write_tiny_gguf
from trivium_models.folder_check import check_folder
from trivium_models.genai_folder import export_gguf

Floats = NDArray[np.float32]
PROMPT = [1, 40, 41, 42, 2, 100, 101, 7, 8, 9, 10]
KINDS = [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1, Kind.Q5_0]
# Mixed formats: q, k and v cannot share one kernel call then.
MIXED = {"blk.0.attn_k.weight": Kind.Q4_0, "blk.1.attn_v.weight": Kind.F16, "token_embd.weight": Kind.Q4_1}


def export(folder: Path, gguf: Path) -> Path:
    folder.mkdir()
    export_gguf(gguf, folder)
    return folder


def half_split(matrix: Floats, num_heads: int) -> Floats:
    """Row order of the original checkpoint from GGUF's interleaved order, spelled out by index."""
    rows = []
    for head in range(num_heads):
        pairs = range(HEAD_LEN // 2)
        rows += [head * HEAD_LEN + 2 * pair for pair in pairs] + [head * HEAD_LEN + 2 * pair + 1 for pair in pairs]
    return np.asarray(matrix[rows])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_weight_equals_the_dequantised_file(tmp_path: Path, kind: Kind, tied: bool) -> None:
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", kind=kind, tied=tied)
    folder = export(tmp_path / "model", gguf)
    want = LlamaReference(gguf).weights
    for graph in ("model.onnx", "ragged.onnx", "ragged_exact.onnx"):
        got = OnnxWeights(folder / graph)
        # Q4_1 is stored as d*(q-8) + (m+8d), which rounds once more than d*q + m.
        tolerance = 2e-7 if kind == Kind.Q4_1 else 0.0

        def same(actual: Floats, expected: Floats, tolerance: float = tolerance) -> None:
            np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)

        same(got.table(), want["token_embd.weight"])
        same(got.linear("logits"), want["token_embd.weight" if tied else "output.weight"])
        same(got.vector("final"), want["output_norm.weight"])
        for index in range(LAYERS):
            at, name = f"layer.{index}", f"blk.{index}"
            query = half_split(want[f"{name}.attn_q.weight"], HEADS)
            key = half_split(want[f"{name}.attn_k.weight"], KV_HEADS)
            same(got.linear(f"{at}/q"), np.concatenate([query, key, want[f"{name}.attn_v.weight"]]))
            parts = {"attention_output": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}
            for ours, theirs in parts.items():
                same(got.linear(f"{at}/{ours}"), want[f"{name}.{theirs}.weight"])
            same(got.vector(f"{at}/attention_norm"), want[f"{name}.attn_norm.weight"])
            same(got.vector(f"{at}/ffn_norm"), want[f"{name}.ffn_norm.weight"])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", [*KINDS, None], ids=lambda kind: kind.name if kind else "mixed")
def test_exact_graph_computes_the_reference(tmp_path: Path, kind: Kind | None, tied: bool) -> None:
    mixed = MIXED if kind is None else None
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", kind=kind or Kind.Q8_0, kinds=mixed, tied=tied)
    folder = export(tmp_path / "model", gguf)
    reference, runner = LlamaReference(gguf), GraphRunner(folder, "ragged_exact.onnx", capacity=32)
    want = reference.forward(PROMPT)
    np.testing.assert_allclose(runner.forward(PROMPT), want, rtol=0, atol=2e-5)
    np.testing.assert_allclose(runner.forward([5]), reference.forward([5]), rtol=0, atol=2e-5)


@pytest.mark.parametrize("graph", ["model.onnx", "ragged.onnx"])
@pytest.mark.parametrize("kind", [Kind.F16, Kind.Q8_0, Kind.Q4_0, Kind.Q4_1], ids=lambda kind: kind.name)
def test_fast_graphs_stay_near_the_reference(tmp_path: Path, kind: Kind, graph: str) -> None:
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", kind=kind)
    got = GraphRunner(export(tmp_path / "model", gguf), graph, capacity=32).forward(PROMPT)
    want = LlamaReference(gguf).forward(PROMPT)
    # int8 activations in blocks of 32 cost 1 to 2 parts in 100 of the logits' own spread.
    assert np.sqrt(np.square(got - want).mean()) < 0.03 * want.std()


def test_prompt_in_pieces_equals_prompt_at_once(tmp_path: Path) -> None:
    folder = export(tmp_path / "model", write_tiny_gguf(tmp_path / "tiny.gguf", kind=Kind.Q4_1))
    runner = GraphRunner(folder, "ragged_exact.onnx", capacity=32)
    whole = runner.forward(PROMPT)
    runner.restart()
    pieces = [runner.forward(PROMPT[start : start + 3]) for start in range(0, len(PROMPT), 3)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=1e-5)


def test_reference_with_cache_equals_reference_without(tmp_path: Path) -> None:
    reference = LlamaReference(write_tiny_gguf(tmp_path / "tiny.gguf"))
    whole = reference.forward(PROMPT)
    reference.restart()
    steps = [reference.forward([token]) for token in PROMPT]
    np.testing.assert_allclose(np.concatenate(steps), whole, rtol=0, atol=1e-5)


def test_graphs_share_one_weights_file_and_a_tied_table_is_stored_once(tmp_path: Path) -> None:
    sizes = {}
    for tied in (False, True):
        gguf = write_tiny_gguf(tmp_path / f"{tied}.gguf", kind=Kind.Q8_0, tied=tied)
        folder = export(tmp_path / f"model-{tied}", gguf)
        sizes[tied] = (folder / "model.onnx.data").stat().st_size
        weights = OnnxWeights(folder / "ragged.onnx")
        places = {
            name: {entry.key: entry.value for entry in weights.initializers[name].external_data}
            for name in ("embedding.table", "head.quants" if not tied else "embedding.quants")
        }
        table, head = places.values()
        assert {table["location"], head["location"]} == {"model.onnx.data"}
        assert (table["offset"] == head["offset"]) is tied
    assert sizes[True] < sizes[False]


def test_folder_is_complete_and_says_what_the_model_needs(tmp_path: Path) -> None:
    folder = export(tmp_path / "model", write_tiny_gguf(tmp_path / "tiny.gguf"))
    assert check_folder(folder).default_graph == "model.onnx"
    config = json.loads((folder / "genai_config.json").read_text())
    assert config["model"]["eos_token_id"] == [2, 0]
    assert (config["model"]["bos_token_id"], config["model"]["context_length"]) == (1, 128)
    assert config["model"]["decoder"]["head_size"] == HEAD_LEN
    assert config["search"]["past_present_share_buffer"] is True
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    assert tokenizer["eos_token"] == "<|im_end|>"
    assert "<|im_start|>" in tokenizer["chat_template"]


def test_export_is_reproducible(tmp_path: Path) -> None:
    gguf = write_tiny_gguf(tmp_path / "tiny.gguf", kind=Kind.Q4_1)
    first, second = export(tmp_path / "one", gguf), export(tmp_path / "two", gguf)
    for path in sorted(first.iterdir()):
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name
