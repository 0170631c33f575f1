"""Exports a BERT sentence encoder into the Hugging Face ONNX layout: config.json beside model.onnx."""

from collections.abc import Callable
from pathlib import Path

from trivium_models.bert_graph import build_graph
from trivium_models.bert_source import read_bert
from trivium_models.catalog import Precision

ENCODER_GRAPH = "model.onnx"


def export_bert(
    weights: Path,
    folder: Path,
    precision: Precision,
    *,
    on_layer: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Writes model.onnx into a folder that holds the model's config.json and tokenizer already.

    weights: its model.safetensors. Calls on_layer(done, total) per encoder layer. Raises InvalidModelError for models
    that it cannot export exactly.
    """
    model = read_bert(folder / "config.json", weights)
    graph = build_graph(model, precision=precision, on_layer=on_layer)
    (folder / ENCODER_GRAPH).write_bytes(graph.SerializeToString(deterministic=True))
