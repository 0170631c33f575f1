"""Writes tiny Llama GGUF files with random weights, and whatever a test wants to be wrong with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter
from gguf.quants import quantize
from numpy.typing import NDArray
from tokenizers import pre_tokenizers

HIDDEN, INNER, HEADS, KV_HEADS, HEAD_LEN, LAYERS, CONTEXT = 64, 96, 4, 2, 16, 2, 128
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BYTE_TOKENS = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGED_TOKENS = ["he", "ll", "hell", "hello", "Ġw", "12"]
MERGES = ["h e", "l l", "he ll", "hell o", "Ġ w", "1 2"]
TOKENS = [*CONTROL_TOKENS, *BYTE_TOKENS, *MERGED_TOKENS]
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


def write_tiny_gguf(
    path: Path,
    *,
    kind: Kind = Kind.F16,
    kinds: Mapping[str, Kind] | None = None,
    tied: bool = False,
    architecture: str = "llama",
    without_keys: Sequence[str] = (),
    without_tensors: Sequence[str] = (),
    extra_keys: Mapping[str, str | float] | None = None,
    extra_tensors: Mapping[str, NDArray[np.float32]] | None = None,
    splitting_rule: str = "smollm",
    tokenizer_kind: str = "gpt2",
    merges: Sequence[str] = tuple(MERGES),
    seed: int = 0,
) -> Path:
    """Writes a file that the exporter accepts unless told otherwise.

    kinds: formats of single tensors, by name; the others have `kind`. without_…, extra_…: what to leave out and to add.
    """
    writer = GGUFWriter(path, architecture)
    counts = {
        "llama.block_count": LAYERS,
        "llama.context_length": CONTEXT,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.rope.dimension_count": HEAD_LEN,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    numbers = {"llama.rope.freq_base": 10000.0, "llama.attention.layer_norm_rms_epsilon": 1e-5}
    texts = {
        "tokenizer.ggml.model": tokenizer_kind,
        "tokenizer.ggml.pre": splitting_rule,
        "tokenizer.chat_template": TEMPLATE,
        "general.name": "Tiny",
    }
    types = [3 if token in CONTROL_TOKENS else 1 for token in TOKENS]
    lists: dict[str, Sequence[str] | Sequence[int]] = {
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges,
    }
    for key in counts.keys() - set(without_keys):
        writer.add_uint32(key, counts[key])
    for key in texts.keys() - set(without_keys):
        writer.add_string(key, texts[key])
    for key in numbers.keys() - set(without_keys):
        writer.add_float32(key, numbers[key])
    for key in lists.keys() - set(without_keys):
        writer.add_array(key, lists[key])
    for key, value in (extra_keys or {}).items():
        writer.add_string(key, value) if isinstance(value, str) else writer.add_float32(key, value)
    for name, matrix in {**_tensors(tied, seed), **(extra_tensors or {})}.items():
        if name not in without_tensors:
            chosen = Kind.F32 if matrix.ndim == 1 else (kinds or {}).get(name, kind)
            writer.add_tensor(name, quantize(matrix, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(tied: bool, seed: int) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        # The small mean makes Q4_1's block minima matter.
        return np.asarray(random.normal(size=(rows, columns)) / np.sqrt(columns) + 0.01, dtype=np.float32)

    def norm() -> NDArray[np.float32]:
        return (1 + 0.1 * random.normal(size=HIDDEN)).astype(np.float32)

    tensors = {"token_embd.weight": matrix(len(TOKENS), HIDDEN), "output_norm.weight": norm()}
    for index in range(LAYERS):
        at = f"blk.{index}."
        tensors |= {
            at + "attn_norm.weight": norm(),
            at + "attn_q.weight": matrix(HEADS * HEAD_LEN, HIDDEN),
            at + "attn_k.weight": matrix(KV_HEADS * HEAD_LEN, HIDDEN),
            at + "attn_v.weight": matrix(KV_HEADS * HEAD_LEN, HIDDEN),
            at + "attn_output.weight": matrix(HIDDEN, HEADS * HEAD_LEN),
            at + "ffn_norm.weight": norm(),
            at + "ffn_gate.weight": matrix(INNER, HIDDEN),
            at + "ffn_up.weight": matrix(INNER, HIDDEN),
            at + "ffn_down.weight": matrix(HIDDEN, INNER),
        }
    if not tied:
        tensors["output.weight"] = matrix(len(TOKENS), HIDDEN)
    return tensors
