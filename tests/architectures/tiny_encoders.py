"""Text encoders of a few thousand random weights, in the folder layouts of BERT, MPNet and XLM-R."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

Style = Literal["bert", "mpnet", "xlm-roberta"]
Head = Literal["states", "sentence", "both", "sequence", "tokens", "vocabulary"]

HIDDEN = 12
POSITIONS = 40
WORDS = ("the", "cat", "sat", "on", "mat", "new", "york", "city", "ann", "lee", "works", "at", "acme", "query", "text")
PIECES = ("##s", "##ing", "##ed", "##ly")
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz:.,<>/[]")


@dataclass(frozen=True, slots=True)
class Special:
    """The special tokens of a style, at the beginning of its vocabulary."""

    begin: str
    pad: str
    end: str
    unknown: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.begin, self.pad, self.end, self.unknown)


SPECIAL: Mapping[Style, Special] = {
    "bert": Special("[CLS]", "[PAD]", "[SEP]", "[UNK]"),
    "mpnet": Special("<s>", "<pad>", "</s>", "[UNK]"),
    "xlm-roberta": Special("<s>", "<pad>", "</s>", "<unk>"),
}
ARCHITECTURES: Mapping[Head, str] = {
    "states": "Model",
    "sentence": "Model",
    "both": "Model",
    "sequence": "ForSequenceClassification",
    "tokens": "ForTokenClassification",
    "vocabulary": "ForMaskedLM",
}


def write_encoder(
    folder: Path, style: Style = "bert", head: Head = "states", *, labels: tuple[str, ...] = (), seed: int = 0
) -> Path:
    """Writes config.json, tokenizer.json and model.onnx, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(style)
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    config: dict[str, object] = {
        "architectures": [{"bert": "Bert", "mpnet": "MPNet", "xlm-roberta": "XLMRoberta"}[style] + ARCHITECTURES[head]],
        "model_type": style,
        "hidden_size": HIDDEN,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 1,
        "vocab_size": tokenizer.get_vocab_size(),
    }
    if labels:
        config["id2label"] = {str(index): label for index, label in enumerate(labels)}
    write_json(folder / "config.json", config)
    onnx.save(make_graph(style, head, tokenizer.get_vocab_size(), len(labels), seed), folder / "model.onnx")
    return folder


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def change_json(path: Path, **changes: object) -> None:
    write_json(path, json.loads(path.read_text()) | changes)


def write_sentence_files(folder: Path, *, pooling: str = "mean", normalize: bool = True, max_length: int = 0) -> None:
    """Writes what sentence-transformers does. pooling: as in the names of its flags."""
    names = ["Transformer", "Pooling", *["Normalize"] * normalize]
    modules = [
        {"idx": index, "path": f"{index}_{name}" if index else "", "type": f"sentence_transformers.models.{name}"}
        for index, name in enumerate(names)
    ]
    write_json(folder / "modules.json", modules)
    flags = {f"pooling_mode_{name}": name.startswith(pooling) for name in ("cls_token", "mean_tokens", "max_tokens")}
    write_json(folder / "1_Pooling" / "config.json", flags | {"pooling_mode_lasttoken": pooling == "lasttoken"})
    if max_length:
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})


def make_tokenizer(style: Style) -> Tokenizer:
    """A word of WORDS is a token, endings are tokens after it, and all else is spelled in letters."""
    special = SPECIAL[style]
    if style == "xlm-roberta":
        spelled = [f"\u2581{word}" for word in WORDS] + ["s", "ing", "ed", "ly", "\u2581", *LETTERS]
        scores = {piece: -float(3 + (len(piece) == 1) * 4) for piece in dict.fromkeys(spelled)}
        # As in XLM-R's own file: special tokens are pieces with the best score of all.
        vocabulary = [(name, 0.0) for name in special.names] + list(scores.items())
        tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
        )
    else:
        pieces = [*special.names, *WORDS, *PIECES, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
        ids = {piece: index for index, piece in enumerate(pieces)}
        tokenizer = Tokenizer(models.WordPiece(ids, unk_token=special.unknown))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special.names])
    begin, end = special.begin, special.end
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B:1 {end}:1" if style == "bert" else f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(name, index) for index, name in enumerate(special.names)],
    )
    # Files of sentence-transformers hold such settings of their last use, which must not matter.
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding(length=9)
    return tokenizer


def make_graph(style: Style, head: Head, vocabulary: int, num_labels: int, seed: int) -> onnx.ModelProto:
    """One layer: tanh(token @ A + mean of tokens @ B), so that what stands beside a token matters, and padding would.

    Positions of mpnet and xlm-roberta begin behind the padding's id, as theirs do.
    """
    rng = np.random.default_rng(seed)
    weights = {
        "words": rng.normal(size=(vocabulary, HIDDEN)),
        "positions": rng.normal(size=(POSITIONS, HIDDEN)),
        "types": rng.normal(size=(2, HIDDEN)),
        "own": rng.normal(size=(HIDDEN, HIDDEN)) / 3,
        "others": rng.normal(size=(HIDDEN, HIDDEN)) / 3,
        "labels": rng.normal(size=(HIDDEN, max(1, num_labels))),
    }
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["word_vectors"]),
        helper.make_node("CumSum", ["attention_mask", "axis_of_sum"], ["counted"]),
        helper.make_node("Mul", ["counted", "attention_mask"], ["places"]),
        helper.make_node("Add", ["places", "first_position"], ["all_places"]),
        helper.make_node("Max", ["all_places", "zero"], ["position_numbers"]),
        helper.make_node("Gather", ["positions", "position_numbers"], ["position_vectors"]),
        helper.make_node("Add", ["word_vectors", "position_vectors"], ["placed"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis_2"], ["mask_column"]),
        helper.make_node("ReduceSum", ["mask_column", "axis_1"], ["counts"]),
    ]
    inputs = ["input_ids", "attention_mask"]
    embedded = "placed"
    if style == "bert":
        inputs.append("token_type_ids")
        embedded = "typed"
        nodes += [
            helper.make_node("Gather", ["types", "token_type_ids"], ["type_vectors"]),
            helper.make_node("Add", ["placed", "type_vectors"], ["typed"]),
        ]
    nodes += [
        *_masked_mean(embedded, "mean"),
        helper.make_node("MatMul", [embedded, "own"], ["from_own"]),
        helper.make_node("MatMul", ["mean", "others"], ["from_others"]),
        helper.make_node("Add", ["from_own", "from_others"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["last_hidden_state"]),
    ]
    outputs: dict[str, list[int | str]] = {}
    if head in {"states", "both"}:
        outputs["last_hidden_state"] = ["batch", "sequence", HIDDEN]
    if head in {"sentence", "both"}:
        nodes += [
            *_masked_mean("last_hidden_state", "pooled"),
            helper.make_node("Squeeze", ["pooled", "axis_1"], ["sentence_embedding"]),
        ]
        outputs["sentence_embedding"] = ["batch", HIDDEN]
    if head == "sequence":
        nodes += [
            helper.make_node("Gather", ["last_hidden_state", "zero"], ["first"], axis=1),
            helper.make_node("MatMul", ["first", "labels"], ["logits"]),
        ]
        outputs["logits"] = ["batch", num_labels]
    if head == "tokens":
        nodes.append(helper.make_node("MatMul", ["last_hidden_state", "labels"], ["logits"]))
        outputs["logits"] = ["batch", "sequence", num_labels]
    if head == "vocabulary":
        nodes += [
            helper.make_node("Transpose", ["words"], ["to_words"]),
            helper.make_node("MatMul", ["last_hidden_state", "to_words"], ["logits"]),
        ]
        outputs["logits"] = ["batch", "sequence", vocabulary]
    constants: dict[str, NDArray[np.generic]] = {
        **{name: values.astype(np.float32) for name, values in weights.items()},
        "axis_1": np.array([1], np.int64),
        "axis_2": np.array([2], np.int64),
        "zero": np.array(0, np.int64),
        "axis_of_sum": np.array(1, np.int64),
        "first_position": np.array(-1 if style == "bert" else 1, np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _masked_mean(vectors: str, name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("Mul", [vectors, "mask_column"], [f"{name}_of"]),
        helper.make_node("ReduceSum", [f"{name}_of", "axis_1"], [f"{name}_sum"]),
        helper.make_node("Div", [f"{name}_sum", "counts"], [name]),
    ]
