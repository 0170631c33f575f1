"""Completes the folder of Moonshine, which turns speech into text: an encoder and a decoder in ONNX Runtime's format.

Source: Jeffries et al. 2024 (Moonshine: Speech Recognition for Live Transcription and Voice Commands). The encoder
takes samples at 16 kHz, no features. The decoder is two in one: use_cache_branch says whether past_key_values holds
what it gave before. Its encoder_attention_mask is over samples, as the encoder's attention_mask is.
"""

import shutil
from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.json_file import write_json
from trivium_models.ort_check import check_ort_graph
from trivium_models.speech.moonshine_tokenizer import BOS_ID, EOS_ID, export_tokenizer
from trivium_models.speech.speech_folder import CONFIG_NAME, DECODER_STEM, ENCODER_STEM, GENERATION_NAME

_ORT = ".ort"
_NUM_LAYERS, _NUM_HEADS, _HIDDEN_LEN = 6, 8, 288
_SAMPLING_RATE = 16000
# Longer segments cost more than their length, and the answers get worse from there on.
_MAX_SEGMENT_S = 10.0
# No speaker says more; what goes on beyond that repeats itself. As in Moonshine's own programs.
_MAX_TOKENS_PER_S = 6.5


def export_moonshine(decoder: Path, tokenizer: Path, folder: Path) -> None:
    """Writes the decoder, tokenizer.json and both configurations into a folder that holds the encoder already.

    decoder: decoder_model_merged.ort. tokenizer: tokenizer.bin. Raises InvalidModelError.
    """
    header = check_ort_graph(decoder)
    layers = {name.split(".")[1] for name in header.outputs if name.startswith("present.")}
    if "use_cache_branch" not in header.inputs or len(layers) != _NUM_LAYERS:
        raise InvalidModelError(f"{decoder.name} is not the decoder of Moonshine tiny")
    vocab_len = export_tokenizer(tokenizer, folder / "tokenizer.json")
    shutil.copyfile(decoder, folder / f"{DECODER_STEM}{_ORT}")
    if not (folder / f"{ENCODER_STEM}{_ORT}").is_file():
        raise InvalidModelError(f"{folder.name} has no {ENCODER_STEM}{_ORT}")
    write_json(
        folder / CONFIG_NAME,
        {
            "architectures": ["MoonshineForConditionalGeneration"],
            "model_type": "moonshine",
            "vocab_size": vocab_len,
            "hidden_size": _HIDDEN_LEN,
            "decoder_num_hidden_layers": _NUM_LAYERS,
            "decoder_num_attention_heads": _NUM_HEADS,
            "decoder_num_key_value_heads": _NUM_HEADS,
            "trivium": {
                "sampling_rate": _SAMPLING_RATE,
                "max_segment_seconds": _MAX_SEGMENT_S,
                "max_tokens_per_second": _MAX_TOKENS_PER_S,
            },
        },
    )
    ids = {"bos_token_id": BOS_ID, "decoder_start_token_id": BOS_ID, "eos_token_id": EOS_ID}
    write_json(folder / GENERATION_NAME, ids)
