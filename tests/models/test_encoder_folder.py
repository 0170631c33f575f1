"""Folders in the Hugging Face layout of text encoders: what is found out about them, and what is refused."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.models.tiny_bert import CONFIG, HIDDEN, POSITIONS, write_tiny_bert, write_tokenizer
from trivium_models.encoder_export import export_bert
from trivium_models.errors import InvalidModelError
from trivium_models.folder_check import check_folder
from trivium_models.store import Store

MEAN_POOLING = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def write_folder(
    folder: Path,
    *,
    config: Mapping[str, object] | None = None,
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    outputs: Sequence[str] = ("last_hidden_state",),
    graph: str = "model.onnx",
    others: Mapping[str, object] | None = None,
) -> Path:
    """A folder as an exporter leaves it, with a graph of nothing but the right names."""
    (folder / graph).parent.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    write_tokenizer(folder)
    for name, content in (others or {}).items():
        (folder / name).write_text(json.dumps(content))
    nodes = [helper.make_node("Cast", [inputs[0]], [name], to=TensorProto.FLOAT) for name in outputs]
    takes = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs]
    gives = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    made = helper.make_graph(nodes, "names", takes, gives)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / graph)
    return folder


def labels(count: int) -> dict[str, object]:
    return {"id2label": {str(index): f"LABEL_{index}" for index in range(count)}}


@pytest.mark.parametrize(
    ("config", "outputs", "task"),
    [
        ({}, ["last_hidden_state"], "embed_text"),
        ({}, ["last_hidden_state", "pooler_output"], "embed_text"),
        ({}, ["token_embeddings", "sentence_embedding"], "embed_text"),
        ({"architectures": ["MPNetForMaskedLM"], "model_type": "mpnet"}, ["last_hidden_state"], "embed_text"),
        ({"architectures": ["BertForSequenceClassification"], **labels(1)}, ["logits"], "rerank"),
        ({"architectures": ["XLMRobertaForSequenceClassification"], **labels(3)}, ["logits"], "classify_text"),
        ({"architectures": ["BertForSequenceClassification"]}, ["logits"], "classify_text"),
        ({"architectures": ["BertForSequenceClassification"], "num_labels": 1}, ["logits"], "rerank"),
        ({"architectures": ["BertForTokenClassification"], **labels(9)}, ["logits"], "extract_entities"),
    ],
)
@pytest.mark.parametrize("graph", ["model.onnx", "onnx/model.onnx"])
def test_task_follows_from_configuration_and_graph(
    tmp_path: Path, config: dict[str, object], outputs: list[str], task: str, graph: str
) -> None:
    facts = check_folder(write_folder(tmp_path / "theirs", config=config, outputs=outputs, graph=graph))
    assert (facts.architecture, facts.task, facts.default_graph) == ("encoder", task, graph)


@pytest.mark.parametrize(
    ("config", "others", "context_len", "max_input"),
    [
        ({}, {}, POSITIONS, POSITIONS),
        ({}, {"sentence_bert_config.json": {"max_seq_length": 16}}, POSITIONS, 16),
        ({}, {"sentence_bert_config.json": {"max_seq_length": None}}, POSITIONS, POSITIONS),
        ({}, {"tokenizer_config.json": {"model_max_length": 30}}, POSITIONS, 30),
        ({}, {"tokenizer_config.json": {"model_max_length": 1e30}}, POSITIONS, POSITIONS),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}, {}, 512, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, {}, 512, 512),
    ],
)
def test_limits_are_the_models_own(
    tmp_path: Path, config: dict[str, object], others: dict[str, object], context_len: int, max_input: int
) -> None:
    limits = check_folder(write_folder(tmp_path / "theirs", config=config, others=others)).limits
    assert (limits.context_length, limits.max_input_tokens, limits.max_output_tokens) == (context_len, max_input, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"outputs": ["logits"], "config": {"architectures": ["GPT2LMHeadModel"]}}, "GPT2LMHeadModel"),
        ({"outputs": ["logits"], "config": {"architectures": None}}, "nothing of the architecture"),
        ({"inputs": ["input_ids", "past_key_values.0.key"]}, "it has past_key_values.0.key as well"),
        ({"inputs": ["pixel_values"]}, "it has no input_ids"),
        ({"config": {"max_position_embeddings": None}}, "max_position_embeddings must be a positive whole number"),
        ({"config": {"model_type": "mpnet", "max_position_embeddings": 2}}, "leaves no position"),
        ({"config": {"architectures": "BertModel"}, "outputs": ["logits"]}, "architectures must be a list of strings"),
        ({"others": {"modules.json": [*MEAN_POOLING[:2], {"type": "sentence_transformers.models.Dense"}]}}, "'Dense'"),
        ({"others": {"modules.json": {"idx": 0}}}, "not a list of modules"),
        ({"others": {"tokenizer.json": {}}}, "is not a tokenizer"),
        ({"others": {"sentence_bert_config.json": {"max_seq_length": "long"}}}, "must be a finite number"),
    ],
)
def test_folder_that_is_no_encoder_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    folder = write_folder(tmp_path / "theirs", **changes)  # type: ignore[arg-type]  # a table of cases
    with pytest.raises(InvalidModelError) as caught:
        check_folder(folder)
    assert words in str(caught.value)


def test_folder_with_neither_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidModelError, match="is not a model folder"):
        check_folder(tmp_path)


def test_sentence_encoder_is_pulled_from_a_folder(tmp_path: Path) -> None:
    theirs = tmp_path / "their-encoder"
    write_tiny_bert(theirs).rename(tmp_path / "model.safetensors")
    export_bert(tmp_path / "model.safetensors", theirs, "fp32")
    (theirs / "onnx").mkdir()
    (theirs / "model.onnx").rename(theirs / "onnx" / "model.onnx")
    (theirs / "onnx" / "model_quantized.onnx").write_bytes((theirs / "onnx" / "model.onnx").read_bytes())
    (theirs / "modules.json").write_text(json.dumps(MEAN_POOLING))
    (theirs / "1_Pooling").mkdir()
    (theirs / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": HIDDEN}))
    store = Store(tmp_path / "store")
    installed = store.pull(str(theirs))
    assert installed.manifest is not None
    assert installed.manifest.card.task == "embed_text"
    assert installed.manifest.card.architecture == "encoder"
    assert installed.manifest.default_graph == "onnx/model.onnx"
    # Of several precisions side by side one is installed.
    assert {entry.path for entry in installed.manifest.files} == {
        "1_Pooling/config.json",
        "config.json",
        "modules.json",
        "onnx/model.onnx",
        "tokenizer.json",
    }
    assert store.verify("their-encoder").problems == ()
