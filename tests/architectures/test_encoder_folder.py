"""Folders of encoders as other programs write them, and folders that are not quite one."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.architectures.encoding import load, one, running, vectors
from tests.architectures.tiny_encoders import (
    HIDDEN,
    change_json,
    make_tokenizer,
    write_encoder,
    write_json,
    write_sentence_files,
)
from trivium_server.architectures import encoder
from trivium_server.architectures.encoder.embedding import SentenceEncoder, SparseEncoder
from trivium_server.architectures.encoder.heads import CrossEncoder, SequenceClassifier, TokenTagger
from trivium_server.config import Config, RuntimeConfig

CONFIG, MODULES, POOLING = "config.json", "modules.json", "1_Pooling/config.json"
PROMPTS = "config_sentence_transformers.json"


def test_graph_may_lie_in_its_own_folder(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder, other = write_encoder(tmp_path / "plain"), write_encoder(tmp_path / "optimum")
    (other / "onnx").mkdir()
    (other / "model.onnx").rename(other / "onnx" / "model.onnx")
    with running(loop, folder, SentenceEncoder) as model, running(loop, other, SentenceEncoder) as same:
        np.testing.assert_array_equal(vectors(loop.run(one(model, "the cat"))), vectors(loop.run(one(same, "the cat"))))


def test_graph_of_a_precision_is_that_of_the_description(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tiny")
    (folder / "model.onnx").rename(folder / "small.onnx")
    write_encoder(tmp_path / "other", head="both")
    shutil.copy(tmp_path / "other" / "model.onnx", folder / "exact.onnx")
    (folder / "model.toml").write_text('[graphs]\ndefault = "small.onnx"\nexact = "exact.onnx"\n')
    default = encoder.load(folder, Config(), lambda _: None)
    exact = encoder.load(folder, Config(runtime=RuntimeConfig(precision="exact")), lambda _: None)
    assert isinstance(default, SentenceEncoder)
    assert isinstance(exact, SentenceEncoder)


def test_what_the_description_does_not_list_is_not_read(tmp_path: Path, loop: asyncio.Runner) -> None:
    folder = write_encoder(tmp_path / "tiny")
    with running(loop, folder, SentenceEncoder) as model:
        mean = vectors(loop.run(one(model, "the cat")))
    write_sentence_files(folder, pooling="cls", max_length=10)
    listed = ("config.json", "tokenizer.json", "model.onnx")
    (folder / "model.toml").write_text("[files]\n" + "".join(f'"{name}" = {{}}\n' for name in listed))
    with running(loop, folder, SentenceEncoder) as model:
        np.testing.assert_array_equal(vectors(loop.run(one(model, "the cat"))), mean)
        assert model.max_input_tokens > 10


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, 40),
        ({"sentence_bert_config.json": {"max_seq_length": 20}}, 20),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, 40),
        ({"sentence_roberta_config.json": {"max_seq_length": 15}}, 15),
        ({"sentence_bert_config.json": {"max_seq_length": 4096}}, 40),
        ({"tokenizer_config.json": {"model_max_length": 1000000000000000019884624838656}}, 40),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, 40),
        ({"tokenizer_config.json": {"model_max_length": 12}}, 12),
    ],
)
def test_limit_is_the_least_that_a_file_says(files: dict[str, object], limit: int, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tiny")
    for name, value in files.items():
        write_json(folder / name, value)
    assert load(folder, SentenceEncoder).max_input_tokens == limit


@pytest.mark.parametrize(
    ("head", "labels", "architectures", "kind"),
    [
        ("states", (), ["BertForMaskedLM"], SentenceEncoder),
        ("states", (), [], SentenceEncoder),
        ("vocabulary", (), ["BertForMaskedLM"], SparseEncoder),
        ("sequence", ("LABEL_0",), ["BertForSequenceClassification"], CrossEncoder),
        ("sequence", ("a", "b"), ["BertForSequenceClassification"], SequenceClassifier),
        ("tokens", ("O", "X"), ["BertForTokenClassification"], TokenTagger),
    ],
)
def test_task_is_that_of_graph_and_config(
    head: str, labels: tuple[str, ...], architectures: list[str], kind: type[object], tmp_path: Path
) -> None:
    folder = write_encoder(tmp_path / "tiny", "bert", head, labels=labels)  # type: ignore[arg-type]  # one of Head
    change_json(folder / CONFIG, architectures=architectures)
    assert isinstance(encoder.load(folder, Config(), lambda _: None), kind)


def test_labels_have_names_without_a_list(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tiny", "bert", "sequence", labels=("a", "b", "c"))
    change_json(folder / CONFIG, id2label=None, num_labels=3)
    model = load(folder, SequenceClassifier)
    assert model.labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def change(name: str, **changes: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        if not (folder / name).exists():
            write_json(folder / name, {})
        change_json(folder / name, **changes)

    return apply


def replaced(name: str, content: str | bytes) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return apply


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def another_graph(name: str, dtype: int = TensorProto.FLOAT, inputs: tuple[str, ...] = ()) -> Callable[[Path], None]:
    """A graph with one output, a constant for each text."""

    def apply(folder: Path) -> None:
        node = helper.make_node("Cast", ["input_ids"], [name], to=dtype)
        given = [
            helper.make_tensor_value_info(each, TensorProto.INT64, ["batch", "sequence"])
            for each in inputs or ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info(name, dtype, None)
        graph = helper.make_graph([node], "other", given, [output])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.save(model, folder / "model.onnx")

    return apply


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (removed(CONFIG), r"config\.json is missing"),
        (removed("tokenizer.json"), r"tokenizer\.json is missing"),
        (removed("model.onnx"), r"model\.onnx or onnx/model\.onnx is missing"),
        (replaced(CONFIG, "{"), r"config\.json: is no JSON: "),
        (replaced(CONFIG, "[" * 100_000), r"config\.json: is no JSON: "),
        (replaced(CONFIG, "[]"), r"config\.json: must hold an object"),
        (replaced(CONFIG, b"\xff\xfe"), r"config\.json: is no UTF-8"),
        (replaced("tokenizer.json", "{}"), r"tokenizer\.json: "),
        (replaced("model.onnx", b"nothing"), r"model\.onnx: "),
        (replaced("model.toml", "= 3"), r"model\.toml: "),
        (replaced("model.toml", "graphs = 3"), r"model\.toml: graphs must be an object"),
        (replaced("model.toml", "[graphs]\ndefault = 'no.onnx'"), r"no\.onnx is missing"),
        (replaced("model.toml", "[graphs]\ndefault = '../no.onnx'"), r"'\.\./no\.onnx' points out of the folder"),
        (replaced("model.toml", "[files]\n'config.json' = {}"), r"model\.onnx"),
        (replaced("model.toml", "[limits]\nmax_input_tokens = 'x'"), r"\[limits\]: max_input_tokens must be a whole"),
        (change(CONFIG, max_position_embeddings=None), r"config\.json: max_position_embeddings is missing"),
        (change(CONFIG, max_position_embeddings=0), r"max_position_embeddings must be a whole number of at least 1"),
        (change(CONFIG, max_position_embeddings=float("nan")), r"max_position_embeddings must be a whole number"),
        (change(CONFIG, max_position_embeddings=2), r"config\.json: 2 tokens leave no room for text"),
        (change(CONFIG, max_position_embeddings=2, model_type="mpnet"), r"leaves no position for text"),
        (change(CONFIG, hidden_size=HIDDEN + 1), r"last_hidden_state has 12; config\.json says hidden_size 13"),
        (change(CONFIG, architectures="BertModel"), r"config\.json: architectures must be a list"),
        (change(CONFIG, architectures=[3]), r"config\.json: architectures must be a list of texts"),
        (change(CONFIG, id2label={"0": "a", "2": "b"}), r"config\.json: id2label must have a text for each of 0 to 1"),
        (change(CONFIG, pad_token_id="x"), r"config\.json: pad_token_id must be a whole number"),
        (change(CONFIG, problem_type="regression"), r"problem_type regression is served with one label only"),
        (change(CONFIG, matryoshka_dimensions=[0]), r"matryoshka_dimensions must be a list of whole numbers"),
        (change(CONFIG, matryoshka_dimensions=[HIDDEN + 1]), r"matryoshka_dimensions: 13 is more than the model has"),
        (replaced(MODULES, "{}"), r"modules\.json: must be a list of modules"),
        (replaced(MODULES, '[{"type": "a.Dense", "path": "2_Dense"}]'), r"modules\.json: Dense is only served in a"),
        (change(POOLING, pooling_mode_cls_token=True, pooling_mode_max_tokens=True), r"2 modes joined"),
        (change(POOLING, pooling_mode_cls_token="yes"), r"pooling_mode_cls_token must be true or false"),
        (change(POOLING, pooling_mode="attention"), r"1_Pooling/config\.json: pooling_mode must be one of mean, cls"),
        (change("sentence_bert_config.json", max_seq_length=0), r"max_seq_length must be a whole number"),
        (change("sentence_bert_config.json", do_lower_case=1), r"do_lower_case must be true or false"),
        (change(PROMPTS, prompts=["a"]), r"prompts must be an object"),
        (change(PROMPTS, prompts={"query": 3}), r"prompts must be texts by name"),
        (change(PROMPTS, prompts={}, default_prompt_name="q"), r"default_prompt_name is 'q', which is not among"),
        (change(PROMPTS, prompts={"query": "cat " * 40}), r"the prompt 'query' leaves no room for text"),
        (another_graph("last_hidden_state"), r"last_hidden_state must have the shape \(batch, sequence, n\)"),
        (another_graph("last_hidden_state", TensorProto.INT32), r"output last_hidden_state must be of floats"),
        (another_graph("something"), r"must have an output last_hidden_state or .*; it has something"),
        (another_graph("logits"), r"architectures must say what the logits of model\.onnx are.*it says BertModel"),
        (
            another_graph("last_hidden_state", inputs=("input_ids", "attention_mask", "position_ids")),
            r"model\.onnx: has an input position_ids, which is not supported",
        ),
        (another_graph("last_hidden_state", inputs=("input_ids",)), r"model\.onnx: has no input attention_mask"),
    ],
)
def test_damaged_folder_is_refused_with_its_reason(damage: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tiny", labels=("a", "b", "c"))
    damage(folder)
    with pytest.raises(encoder.LOAD_ERRORS, match=told):
        encoder.load(folder, Config(), lambda _: None)


@pytest.mark.parametrize(
    ("head", "labels", "damage", "told"),
    [
        ("tokens", ("A", "B"), change(CONFIG), r"id2label has no 'O'"),
        ("sequence", ("A", "B"), change(CONFIG, id2label={"0": "A"}), r"has 1 labels; model\.onnx has 2"),
        ("sequence", ("A", "B"), change(CONFIG, architectures=["XForTokenClassification"]), r"has no 'O'"),
        ("tokens", ("A", "O"), change(CONFIG, architectures=["XForMaskedLM"], id2label=None), ""),
        ("sequence", ("A",), change(CONFIG, max_position_embeddings=4), r"4 tokens leave no room"),
    ],
)
def test_damaged_head_is_refused_with_its_reason(
    head: str, labels: tuple[str, ...], damage: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    folder = write_encoder(tmp_path / "tiny", "bert", head, labels=labels)  # type: ignore[arg-type]  # one of Head
    damage(folder)
    if not told:
        # Nothing in the files says that these are no weights of tokens.
        assert isinstance(encoder.load(folder, Config(), lambda _: None), SparseEncoder)
        return
    with pytest.raises(encoder.LOAD_ERRORS, match=told):
        encoder.load(folder, Config(), lambda _: None)


def test_tagger_needs_words(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tiny", "xlm-roberta", "tokens", labels=("O", "X"))
    tokenizer = make_tokenizer("xlm-roberta")
    tokenizer.pre_tokenizer = None
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    with pytest.raises(encoder.LOAD_ERRORS, match=r"tokenizer\.json: has no pre_tokenizer"):
        encoder.load(folder, Config(), lambda _: None)


def test_splade_with_another_formula_is_refused(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "tiny", "bert", "vocabulary")
    modules = [{"type": "x.MLMTransformer", "path": ""}, {"type": "x.SpladePooling", "path": "1_SpladePooling"}]
    write_json(folder / MODULES, modules)
    write_json(folder / "1_SpladePooling" / "config.json", {"pooling_strategy": "max", "activation_function": "relu"})
    assert load(folder, SparseEncoder)
    change_json(folder / "1_SpladePooling" / "config.json", pooling_strategy="sum")
    with pytest.raises(encoder.LOAD_ERRORS, match=r"1_SpladePooling/config\.json: pooling_strategy must be 'max'"):
        load(folder, SparseEncoder)
