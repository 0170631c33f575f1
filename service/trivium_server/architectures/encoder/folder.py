"""Reads a text encoder's folder in the Hugging Face ONNX layout, as optimum and sentence-transformers write it.

config.json                        what kind of model it is, and its labels
tokenizer.json, tokenizer_config.json
model.onnx or onnx/model.onnx      or the graph that model.toml names
modules.json, 1_Pooling/config.json, sentence_bert_config.json, config_sentence_transformers.json
                                   sentence-transformers' own, where there are any; see encoder_sentence
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from trivium_server.architectures.encoder.sentence import SentenceSettings, read_sentence_settings
from trivium_server.architectures.folder_files import FolderFiles, Table, graph_path, read_labels
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.text.entities import OUTSIDE

CONFIG_FILE = "config.json"
TOKENIZER_FILE = "tokenizer.json"

STATES_OUTPUTS = ("last_hidden_state", "token_embeddings")
SENTENCE_OUTPUT = "sentence_embedding"
LOGITS_OUTPUT = "logits"

# Beyond what any model has: a damaged file must not make the server run out of memory.
_MAX_TOKENS = 1 << 20
# These count positions from the padding token's id on, so as many fewer are left for text.
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"})


class EncoderTask(Enum):
    """What an encoder does."""

    EMBED = "embed texts"
    EMBED_SPARSELY = "embed texts in the vocabulary's tokens"
    RERANK = "score pairs of texts"
    CLASSIFY = "score labels"
    EXTRACT = "label words"


# What logits are, by the ending of Hugging Face's names of architectures.
_HEADS = {
    "ForMaskedLM": EncoderTask.EMBED_SPARSELY,
    "ForSequenceClassification": EncoderTask.CLASSIFY,
    "ForTokenClassification": EncoderTask.EXTRACT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderFolder:
    """What the files say of a model, but for its graph.

    states_len: the length of a token's vector, where config.json states it. is_multi_label: labels do not exclude one
    another. sentence: only for those that embed.
    """

    graph: Path
    tokenizer: str
    architectures: tuple[str, ...]
    labels: tuple[str, ...]
    is_multi_label: bool
    pad_id: int
    max_tokens: int
    states_len: int | None
    sentence: SentenceSettings

    def task(self, outputs: frozenset[str]) -> EncoderTask:
        """Decides by what the graph puts out, and by config.json where that is logits. Raises ModelFolderError."""
        name = self.graph.name
        if outputs & {SENTENCE_OUTPUT, *STATES_OUTPUTS}:
            return EncoderTask.EMBED
        said = ", ".join(self.architectures) or "nothing"
        if LOGITS_OUTPUT not in outputs:
            wanted = " or ".join((*STATES_OUTPUTS, SENTENCE_OUTPUT, LOGITS_OUTPUT))
            raise ModelFolderError(f"{name}: must have an output {wanted}; it has {', '.join(sorted(outputs))}")
        task = next((_HEADS[end] for end in _HEADS if any(each.endswith(end) for each in self.architectures)), None)
        if task is None:
            wanted = ", ".join(f"…{end}" for end in _HEADS)
            raise ModelFolderError(
                f"{CONFIG_FILE}: architectures must say what the logits of {name} are, one of {wanted}; it says {said}"
            )
        if task is EncoderTask.CLASSIFY and len(self.labels) == 1:
            return EncoderTask.RERANK
        if task is EncoderTask.EXTRACT and OUTSIDE not in self.labels:
            raise ModelFolderError(f"{CONFIG_FILE}: id2label has no {OUTSIDE!r}, for words that are no entity")
        return task


def read_encoder_folder(folder: Path, *, precision: str) -> EncoderFolder:
    """Reads the folder. precision: `default`, or another graph that model.toml may name. Raises ModelFolderError."""
    files = FolderFiles(folder)
    config = files.table(CONFIG_FILE)
    pad_id = _pad_id(config)
    problem_type = config.text("problem_type", "")
    labels = read_labels(config)
    if problem_type == "regression" and len(labels) > 1:
        raise config.error("problem_type", "regression is served with one label only")
    return EncoderFolder(
        graph=graph_path(files, precision),
        tokenizer=files.read_text(TOKENIZER_FILE),
        architectures=config.texts("architectures"),
        labels=labels,
        is_multi_label=problem_type == "multi_label_classification",
        pad_id=pad_id,
        max_tokens=_max_tokens(files, config, pad_id),
        states_len=config.integer("hidden_size", low=1, high=_MAX_TOKENS),
        sentence=read_sentence_settings(files, config),
    )


def _has_offset_positions(config: Table) -> bool:
    return config.text("model_type", "") in _OFFSET_POSITIONS


def _pad_id(config: Table) -> int:
    stated = config.integer("pad_token_id", low=-1, high=_MAX_TOKENS)
    return int(_has_offset_positions(config)) if stated is None else max(0, stated)


def _max_tokens(files: FolderFiles, config: Table, pad_id: int) -> int:
    """The least that any file says: positions of the graph, tokens that it was trained for, and model.toml's limit."""
    positions = config.integer("max_position_embeddings", low=1, high=_MAX_TOKENS)
    if positions is not None and _has_offset_positions(config):
        positions -= pad_id + 1
    limits = Table("model.toml [limits]", files.description.table("limits"))
    stated = [
        positions,
        files.optional_table("tokenizer_config.json").integer("model_max_length", low=1, high=_MAX_TOKENS),
        limits.integer("max_input_tokens", low=1, high=_MAX_TOKENS),
    ]
    given = [each for each in stated if each is not None]
    if not given:
        raise config.error("max_position_embeddings", "is missing, and no other file limits the tokens of a text")
    if min(given) < 1:
        raise config.error("max_position_embeddings", "leaves no position for text")
    return min(given)
