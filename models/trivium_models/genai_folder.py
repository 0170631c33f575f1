"""Writes a GGUF file as a model folder in onnxruntime-genai's layout, serving graphs beside the standard one."""

import json
from collections.abc import Callable
from pathlib import Path

from trivium_models.gguf_source import GgufSource, LlamaShape
from trivium_models.llama_graph import Layout, build_graph
from trivium_models.packed_model import WeightsFile, pack_model
from trivium_models.tokenizer_export import TokenizerSource

STANDARD_GRAPH = "model.onnx"
SERVING_GRAPH = "ragged.onnx"
EXACT_GRAPH = "ragged_exact.onnx"
WEIGHTS_FILE = "model.onnx.data"
_GRAPHS: tuple[tuple[str, Layout, int], ...] = (
    (STANDARD_GRAPH, "standard", 4),
    (SERVING_GRAPH, "ragged", 4),
    (EXACT_GRAPH, "ragged", 0),
)


def export_gguf(gguf: Path, folder: Path, *, on_layer: Callable[[int, int], None] = lambda _done, _total: None) -> None:
    """Exports a Llama-family GGUF file into an existing, empty folder.

    Writes three graphs over one weights file, the tokenizer, and genai_config.json; calls on_layer(done, total) per
    decoder layer. Raises InvalidGgufError for files that it cannot export exactly; the folder is then incomplete and
    the caller's to remove.
    """
    source = GgufSource(gguf)
    tokenizer = TokenizerSource(source)
    with WeightsFile(folder / WEIGHTS_FILE) as weights:
        model = pack_model(source, weights, on_layer)
    for name, layout, accuracy_level in _GRAPHS:
        graph = build_graph(model, layout=layout, accuracy_level=accuracy_level)
        (folder / name).write_bytes(graph.SerializeToString(deterministic=True))
    tokenizer.write(folder, model.shape.context_len)
    config = genai_config(model.shape, tokenizer)
    (folder / "genai_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def genai_config(shape: LlamaShape, tokenizer: TokenizerSource) -> dict[str, object]:
    """The content of genai_config.json for the standard graph."""
    end_ids = tokenizer.end_ids()
    decoder = {
        "session_options": {"log_id": "onnxruntime-genai", "provider_options": []},
        "filename": STANDARD_GRAPH,
        "head_size": shape.head_len,
        "hidden_size": shape.hidden_len,
        "num_attention_heads": shape.num_heads,
        "num_hidden_layers": shape.num_layers,
        "num_key_value_heads": shape.num_kv_heads,
        "inputs": {
            "input_ids": "input_ids",
            "attention_mask": "attention_mask",
            "past_key_names": "past_key_values.%d.key",
            "past_value_names": "past_key_values.%d.value",
        },
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
    }
    search = {
        "do_sample": False,
        "max_length": shape.context_len,
        "min_length": 0,
        "num_beams": 1,
        "num_return_sequences": 1,
        "past_present_share_buffer": True,
        "repetition_penalty": 1.0,
        "temperature": 1.0,
        "top_k": 1,
        "top_p": 1.0,
    }
    bos_id = tokenizer.bos_id if tokenizer.bos_id is not None else end_ids[0]
    model = {
        "type": "llama",
        "bos_token_id": bos_id,
        "eos_token_id": end_ids,
        "pad_token_id": tokenizer.pad_id if tokenizer.pad_id is not None else end_ids[0],
        "context_length": shape.context_len,
        "vocab_size": shape.vocab_len,
        "decoder": decoder,
    }
    return {"model": model, "search": search}
