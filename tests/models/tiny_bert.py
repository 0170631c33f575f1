"""Writes tiny random BERT encoders as Hugging Face publishes them, and whatever a test wants to be wrong."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HIDDEN, INNER, HEADS, LAYERS, POSITIONS = 48, 80, 4, 2, 40
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz", "cat", "dog", "the", "sat", "mat"]
CONFIG: Mapping[str, object] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
    "vocab_size": len(WORDS),
    "layer_norm_eps": 1e-12,
}


def write_tiny_bert(
    folder: Path,
    *,
    config: Mapping[str, object] | None = None,
    without: Sequence[str] = (),
    extra: Mapping[str, NDArray[np.float32]] | None = None,
    prefix: str = "",
) -> Path:
    """Writes config.json and tokenizer.json into the folder; returns the file with the weights, model.safetensors."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    write_tokenizer(folder)
    tensors = {**random_tensors(), **(extra or {})}
    kept = {f"{prefix}{name}": values for name, values in tensors.items() if name not in without}
    save_file(kept, folder / "model.safetensors")
    return folder / "model.safetensors"


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordPiece(vocab={word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def random_tensors() -> dict[str, NDArray[np.float32]]:
    """Weights of a size that keeps every part of the network at work; gains and biases are not trivial."""
    rng = np.random.default_rng(5)
    tensors: dict[str, NDArray[np.float32]] = {}

    def add(name: str, *shape: int, spread: float = 0.15, centre: float = 0.0) -> None:
        tensors[name] = rng.normal(centre, spread, shape).astype(np.float32)

    def norm(name: str) -> None:
        add(f"{name}.weight", HIDDEN, centre=1.0)
        add(f"{name}.bias", HIDDEN)

    def linear(name: str, inputs: int, outputs: int) -> None:
        add(f"{name}.weight", outputs, inputs)
        add(f"{name}.bias", outputs)

    for table, length in (("word", len(WORDS)), ("position", POSITIONS), ("token_type", 2)):
        add(f"embeddings.{table}_embeddings.weight", length, HIDDEN, spread=0.5)
    norm("embeddings.LayerNorm")
    for index in range(LAYERS):
        at = f"encoder.layer.{index}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", HIDDEN, HIDDEN)
        linear(f"{at}.attention.output.dense", HIDDEN, HIDDEN)
        linear(f"{at}.intermediate.dense", HIDDEN, INNER)
        linear(f"{at}.output.dense", INNER, HIDDEN)
        norm(f"{at}.attention.output.LayerNorm")
        norm(f"{at}.output.LayerNorm")
    return tensors
