"""Checks that a folder is a text encoder in the Hugging Face ONNX layout, and finds out what it does.

The layout is that of the hub, of optimum and of sentence-transformers: config.json, tokenizer.json, and the graph as
model.onnx or onnx/model.onnx, of BERT, RoBERTa, MPNet and their kin. Sentence encoders may have sentence-transformers'
own files too: modules.json, 1_Pooling/config.json, sentence_bert_config.json.
"""

from collections.abc import Mapping
from pathlib import Path

from trivium_models.encoder_layout import CONFIG_NAME, GRAPH_NAMES
from trivium_models.errors import InvalidModelError
from trivium_models.folder_facts import FolderFacts, check_tokenizer
from trivium_models.graph_check import GraphHeader
from trivium_models.json_file import JsonFile, read_json
from trivium_models.manifest import Limits

_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids"})
_VECTORS = ("last_hidden_state", "token_embeddings", "sentence_embedding")
# These count positions from the padding token's id on, so as many fewer are left for text.
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"})
# What stands behind the encoder of a sentence-transformers model. Any other module has weights outside the graph.
_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})


def is_encoder_folder(folder: Path) -> bool:
    """Whether the folder has the files of this layout; it may still be no model that can be used."""
    return (folder / CONFIG_NAME).is_file() and any((folder / name).is_file() for name in GRAPH_NAMES)


def check_encoder(folder: Path, headers: Mapping[str, GraphHeader]) -> FolderFacts:
    """Checks configuration, tokenizer and graph of a folder; runs nothing.

    headers: the graphs of the folder by their path in it. Raises InvalidModelError.
    """
    graph = next(name for name in GRAPH_NAMES if name in headers)
    config = JsonFile.read(folder / CONFIG_NAME)
    check_tokenizer(folder)
    _check_modules(folder)
    return FolderFacts(
        architecture="encoder",
        task=_task(folder.name, config, graph, headers[graph]),
        default_graph=graph,
        limits=_limits(folder, config),
    )


def _task(folder: str, config: JsonFile, graph: str, header: GraphHeader) -> str:
    """The capability by its name in the contract, in lower case."""
    if "input_ids" not in header.inputs or (strange := sorted(set(header.inputs) - _INPUTS)):
        wrong = f"it has {strange[0]} as well" if "input_ids" in header.inputs else "it has no input_ids"
        raise InvalidModelError(
            f"{folder}/{graph} is not a text encoder, which takes {', '.join(sorted(_INPUTS))} or some of them: {wrong}"
        )
    if any(name in header.outputs for name in _VECTORS):
        return "embed_text"
    architectures = config.texts("architectures")
    if "logits" in header.outputs and any(name.endswith("ForTokenClassification") for name in architectures):
        return "extract_entities"
    if "logits" in header.outputs and any(name.endswith("ForSequenceClassification") for name in architectures):
        num_labels = config.size("id2label") or config.count("num_labels", 2)
        return "rerank" if num_labels == 1 else "classify_text"
    raise InvalidModelError(
        f"{folder}/{graph} gives {', '.join(header.outputs)} and {CONFIG_NAME} says "
        f"{', '.join(architectures) or 'nothing of the architecture'}; an encoder gives {' or '.join(_VECTORS)}, "
        "or logits for a classification"
    )


def _limits(folder: Path, config: JsonFile) -> Limits:
    context_len = config.count("max_position_embeddings")
    if config.text("model_type", "") in _OFFSET_POSITIONS:
        context_len -= int(config.number("pad_token_id", 1)) + 1
    if context_len <= 0:
        raise InvalidModelError(f"{folder.name}/{CONFIG_NAME}: max_position_embeddings leaves no position for text")
    limits = [context_len]
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        if (folder / name).is_file() and (stated := JsonFile.read(folder / name)).has(key):
            # "No limit" is written as a huge number, in some files as a float.
            limits.append(max(1, int(stated.number(key))))
    return Limits(context_length=context_len, max_input_tokens=min(limits), max_output_tokens=0)


def _check_modules(folder: Path) -> None:
    path = folder / "modules.json"
    if not path.is_file():
        return
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise InvalidModelError(f"{folder.name}/{path.name} is not a list of modules")
    for module in modules:
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind not in _MODULES:
            raise InvalidModelError(
                f"{folder.name}/{path.name}: module {kind!r} is not supported; these are: {', '.join(sorted(_MODULES))}"
            )
