"""Reads what sentence-transformers writes beside a model: modules, pooling, length, prompts, dimensions.

Source: sentence-transformers `SentenceTransformer.py` and `models/`. Modules with weights of their own (Dense) are
served only where the graph has them, with an output sentence_embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trivium_server.architectures.folder_files import FolderFiles, Table
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.text_capabilities import EmbeddingPrompt, Purpose
from trivium_server.text.pooling import Pooling

_MODULES_FILE = "modules.json"
_MAX_LENGTH = 1 << 20
_TRANSFORMERS = frozenset({"Transformer", "MLMTransformer"})
_LENGTH_FILES = tuple(
    f"sentence_{name}_config.json" for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta")
)
_POOLING_FLAGS = {
    "pooling_mode_cls_token": Pooling.CLS,
    "pooling_mode_mean_tokens": Pooling.MEAN,
    "pooling_mode_max_tokens": Pooling.MAX,
    "pooling_mode_mean_sqrt_len_tokens": Pooling.MEAN_SQRT_LEN,
    "pooling_mode_weightedmean_tokens": Pooling.WEIGHTED_MEAN,
    "pooling_mode_lasttoken": Pooling.LAST_TOKEN,
}
# The words that models use in the names of their prompts. The first prompt with one of them has that purpose.
_PURPOSES = {
    Purpose.QUERY: ("query", "search_query", "retrieval.query", "retrieval-query", "s2p_query", "web_search_query"),
    Purpose.DOCUMENT: (
        "document",
        "passage",
        "corpus",
        "search_document",
        "retrieval.passage",
        "retrieval-document",
    ),
    Purpose.SIMILARITY: ("similarity", "sts", "text-matching", "sts_query", "s2s_query"),
    Purpose.CLASSIFICATION: ("classification",),
    Purpose.CLUSTERING: ("clustering", "separation"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceSettings:
    """How a sentence encoder makes a vector of a text.

    max_tokens: None where nothing is said. dimensions: those that vectors may be cut to, empty where nothing is said.
    needs_sentence_output: a module has weights that only a graph with that output can hold; its name, else empty.
    """

    pooling: Pooling
    is_normalized: bool
    needs_sentence_output: str
    max_tokens: int | None
    lowercase: bool
    prompts: tuple[EmbeddingPrompt, ...]
    dimensions: tuple[int, ...]


def read_sentence_settings(files: FolderFiles, config: Table) -> SentenceSettings:
    """Reads the folder; what is not there has sentence-transformers' defaults, mean pooling of all. Raises
    ModelFolderError.
    """
    modules = _modules(files)
    length = next((files.table(name) for name in _LENGTH_FILES if files.has(name)), Table(_LENGTH_FILES[0], {}))
    extra = [kind for kind in modules if kind not in {*_TRANSFORMERS, "Pooling", "Normalize", "SpladePooling"}]
    prompts = _prompts(files.optional_table("config_sentence_transformers.json"))
    if "SpladePooling" in modules:
        _require_splade(files.optional_table(f"{modules['SpladePooling']}/config.json"))
    return SentenceSettings(
        pooling=_pooling(files.optional_table(f"{modules.get('Pooling', '1_Pooling')}/config.json"), prompts),
        is_normalized="Normalize" in modules,
        needs_sentence_output=extra[0] if extra else "",
        max_tokens=length.integer("max_seq_length", low=1, high=_MAX_LENGTH),
        lowercase=length.flag("do_lower_case", default=False),
        prompts=prompts,
        dimensions=_dimensions(files, config),
    )


def _modules(files: FolderFiles) -> Mapping[str, str]:
    """The path of each module, by its class."""
    if not files.has(_MODULES_FILE):
        return {}
    modules = files.json(_MODULES_FILE)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise ModelFolderError(f"{_MODULES_FILE}: must be a list of modules")
    tables = [Table(_MODULES_FILE, module) for module in modules]
    return {table.text("type", "").rpartition(".")[2]: table.text("path", "") for table in tables}


def _pooling(config: Table, prompts: tuple[EmbeddingPrompt, ...]) -> Pooling:
    if not config.flag("include_prompt", default=True) and any(prompt.text for prompt in prompts):
        raise config.error("include_prompt", "must be true: leaving the prompt out of the pooling is not supported")
    found = [pooling for key, pooling in _POOLING_FLAGS.items() if config.flag(key, default=False)]
    if name := config.text("pooling_mode", ""):
        found = [pooling for pooling in Pooling if pooling.value == name]
        if not found:
            raise config.error("pooling_mode", f"must be one of {', '.join(each.value for each in Pooling)}")
    if len(found) > 1:
        raise config.error("pooling_mode", f"has {len(found)} modes joined, which is not supported")
    return found[0] if found else Pooling.MEAN


def _require_splade(config: Table) -> None:
    for key, wanted in (("pooling_strategy", "max"), ("activation_function", "relu")):
        if config.text(key, wanted) != wanted:
            raise config.error(key, f"must be {wanted!r} to be served")


def _prompts(config: Table) -> tuple[EmbeddingPrompt, ...]:
    stated = config.table("prompts")
    default = config.text("default_prompt_name", "")
    if default and default not in stated:
        raise config.error("default_prompt_name", f"is {default!r}, which is not among the prompts")
    texts = {name: text for name, text in stated.items() if isinstance(text, str)}
    if len(texts) < len(stated):
        raise config.error("prompts", "must be texts by name")
    if not any(texts.values()):
        return ()
    chosen = {
        purpose: next((name for word in words for name in texts if name.casefold() == word), None)
        for purpose, words in _PURPOSES.items()
    }
    return tuple(
        EmbeddingPrompt(
            name=name,
            text=text,
            purposes=frozenset(purpose for purpose, prompt in chosen.items() if prompt == name),
            is_default=name == default,
        )
        for name, text in texts.items()
    )


def _dimensions(files: FolderFiles, config: Table) -> tuple[int, ...]:
    key = "matryoshka_dimensions"
    stated = config.integers(key, low=1, high=_MAX_LENGTH) or files.description.integers(key, low=1, high=_MAX_LENGTH)
    return tuple(sorted(set(stated), reverse=True))
