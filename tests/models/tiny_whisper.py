"""Writes a Whisper model of random weights, small enough for tests, as CTranslate2 writes one."""

import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, models

NUM_MELS, HIDDEN_LEN, INNER_LEN, NUM_HEADS = 6, 32, 64, 2
NUM_ENCODER_LAYERS, NUM_DECODER_LAYERS = 2, 3
NUM_AUDIO_POSITIONS, NUM_TEXT_POSITIONS = 50, 12
NUM_LETTERS = 26
ALIGNMENT_HEADS = [[1, 1], [0, 0], [1, 0]]
_SPECIAL = ("endoftext", "startoftranscript", "en", "de", "translate", "transcribe", "startoflm", "startofprev")
_LAST = ("nocaptions", "notimestamps")
ENGLISH_VOCAB_LEN = NUM_LETTERS + len(_SPECIAL) + len(_LAST) + 1501
_CODES = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

Tensors = dict[str, NDArray[np.generic]]


def tiny_tensors(vocab_len: int = ENGLISH_VOCAB_LEN) -> Tensors:
    """Random weights by their names in the file."""
    random = np.random.default_rng(5)
    tensors: Tensors = {}

    def halves(name: str, *shape: int, spread: float = 0.3, around: float = 0.0) -> None:
        tensors[name] = random.normal(around, spread, shape).astype(np.float16)

    def linear(name: str, outputs: int, inputs: int) -> None:
        halves(f"{name}/weight", outputs, inputs)
        halves(f"{name}/bias", outputs)

    def norm(name: str) -> None:
        halves(f"{name}/gamma", HIDDEN_LEN, spread=0.1, around=1.0)
        halves(f"{name}/beta", HIDDEN_LEN, spread=0.1)

    def attention(name: str, outputs: tuple[int, ...]) -> None:
        norm(f"{name}/layer_norm")
        for index, num_outputs in enumerate(outputs):
            linear(f"{name}/linear_{index}", num_outputs * HIDDEN_LEN, HIDDEN_LEN)

    for part, num_layers in (("encoder", NUM_ENCODER_LAYERS), ("decoder", NUM_DECODER_LAYERS)):
        tensors[f"{part}/num_heads"] = np.array(NUM_HEADS, np.int16)
        norm(f"{part}/layer_norm")
        for index in range(num_layers):
            at = f"{part}/layer_{index}"
            attention(f"{at}/self_attention", (3, 1))
            if part == "decoder":
                attention(f"{at}/attention", (1, 2, 1))
            norm(f"{at}/ffn/layer_norm")
            linear(f"{at}/ffn/linear_0", INNER_LEN, HIDDEN_LEN)
            linear(f"{at}/ffn/linear_1", HIDDEN_LEN, INNER_LEN)
    for name, num_inputs in (("conv1", NUM_MELS), ("conv2", HIDDEN_LEN)):
        halves(f"encoder/{name}/weight", HIDDEN_LEN, num_inputs, 3)
        halves(f"encoder/{name}/bias", HIDDEN_LEN)
    halves("encoder/position_encodings/encodings", NUM_AUDIO_POSITIONS, HIDDEN_LEN)
    halves("decoder/position_encodings/encodings", NUM_TEXT_POSITIONS, HIDDEN_LEN)
    halves("decoder/embeddings/weight", vocab_len, HIDDEN_LEN)
    settings = {"activation": 3, "alibi": 0, "pre_norm": 1, "scale_embeddings": 0, "start_from_zero_embedding": 0}
    tensors |= {f"decoder/{name}": np.array(value, np.int8) for name, value in settings.items()}
    return tensors | {
        "decoder/alignment_heads": np.array(1, np.int16),
        "decoder/alignment_layer": np.array(-1, np.int16),
    }


def ct2_bytes(tensors: Tensors, *, kind: str = "WhisperSpec", version: int = 6) -> bytes:
    """The file."""

    def text(value: str) -> bytes:
        stored = value.encode() + b"\0"
        return struct.pack("<H", len(stored)) + stored

    out = struct.pack("<I", version) + text(kind) + struct.pack("<II", 3, len(tensors))
    for name, tensor in tensors.items():
        dims = struct.pack(f"<B{tensor.ndim}I", tensor.ndim, *tensor.shape)
        out += text(name) + dims + struct.pack("<BI", _CODES[tensor.dtype.name], tensor.nbytes) + tensor.tobytes()
    return out + struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings/weight")


def write_tiny_whisper(folder: Path, *, vocab_len: int = ENGLISH_VOCAB_LEN) -> None:
    """model.bin, config.json and tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes(ct2_bytes(tiny_tensors(vocab_len)))
    config = {"alignment_heads": ALIGNMENT_HEADS, "suppress_ids": [1, 2], "suppress_ids_begin": [3], "lang_ids": []}
    (folder / "config.json").write_text(json.dumps(config))
    letters = {chr(ord("a") + index): index for index in range(NUM_LETTERS)}
    # A larger vocabulary has more words before the special tokens.
    letters |= {f"word{index}": NUM_LETTERS + index for index in range(vocab_len - ENGLISH_VOCAB_LEN)}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="a"))
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in (*_SPECIAL, *_LAST)])
    tokenizer.save(str(folder / "tokenizer.json"))
