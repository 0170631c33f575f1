"""Writes the configuration of a Whisper folder, with Hugging Face's names."""

from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.json_file import read_json, write_json
from trivium_models.speech.speech_folder import CONFIG_NAME, GENERATION_NAME, PREPROCESSOR_NAME
from trivium_models.speech.whisper_decoder_graph import AlignmentHeads
from trivium_models.speech.whisper_source import WhisperShape
from trivium_models.speech.whisper_tokens import WhisperTokens

_SAMPLE_RATE_HZ = 16_000
_WINDOW_LEN = 400
_HOP_LEN = 160
# The first sentence of a window begins in its first second; one position is 20 ms.
_MAX_INITIAL_TIMESTAMP = 50


class Ct2Config:
    """What CTranslate2's config.json says: which tokens are never said, and which heads follow the speech.

    Every getter raises InvalidModelError that names the key.
    """

    def __init__(self, path: Path, shape: WhisperShape) -> None:
        values = read_json(path)
        if not isinstance(values, dict):
            raise InvalidModelError(f"{path.name} is not a JSON object")
        self._name = path.name
        self._values: dict[str, object] = values
        self._shape = shape

    def suppressed(self) -> list[int]:
        """Tokens that are never said."""
        return self._ids("suppress_ids")

    def suppressed_first(self) -> list[int]:
        """Tokens that are not said first."""
        return self._ids("suppress_ids_begin")

    def alignment_heads(self) -> AlignmentHeads:
        """Pairs of layer and head, sorted."""
        value = self._values.get("alignment_heads")
        if not isinstance(value, list) or not value:
            raise InvalidModelError(f"{self._name}: alignment_heads must be a list of pairs")
        heads = set()
        for pair in value:
            match pair:
                case [int(layer), int(head)] if (
                    0 <= layer < self._shape.num_decoder_layers and 0 <= head < self._shape.num_heads
                ):
                    heads.add((layer, head))
                case _:
                    raise InvalidModelError(f"{self._name}: alignment_heads holds {pair!r}, which is no head")
        return tuple(sorted(heads))

    def _ids(self, key: str) -> list[int]:
        value = self._values.get(key)
        if not isinstance(value, list) or not all(
            isinstance(item, int) and 0 <= item < self._shape.vocab_len for item in value
        ):
            raise InvalidModelError(f"{self._name}: {key} must be a list of tokens")
        return value


def write_configs(folder: Path, shape: WhisperShape, tokens: WhisperTokens, config: Ct2Config) -> None:
    """Writes config.json, generation_config.json and preprocessor_config.json."""
    ids = {
        "bos_token_id": tokens.end,
        "eos_token_id": tokens.end,
        "pad_token_id": tokens.end,
        "decoder_start_token_id": tokens.start,
    }
    write_json(folder / CONFIG_NAME, {"model_type": "whisper", **_hyper_parameters(shape), **ids})
    generation = {
        **ids,
        "is_multilingual": bool(tokens.languages),
        "no_timestamps_token_id": tokens.no_timestamps,
        "no_speech_token_id": tokens.no_speech,
        "prev_sot_token_id": tokens.previous,
        "max_initial_timestamp_index": _MAX_INITIAL_TIMESTAMP,
        "max_length": shape.num_text_positions,
        "alignment_heads": config.alignment_heads(),
        "begin_suppress_tokens": config.suppressed_first(),
        "suppress_tokens": config.suppressed(),
    }
    if tokens.languages:
        generation |= {"lang_to_id": tokens.languages, "task_to_id": tokens.tasks}
    write_json(folder / GENERATION_NAME, generation)
    num_frames = 2 * shape.num_audio_positions
    preprocessor = {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": shape.num_mels,
        "sampling_rate": _SAMPLE_RATE_HZ,
        "n_fft": _WINDOW_LEN,
        "hop_length": _HOP_LEN,
        "chunk_length": num_frames * _HOP_LEN // _SAMPLE_RATE_HZ,
        "n_samples": num_frames * _HOP_LEN,
        "nb_max_frames": num_frames,
        "padding_value": 0.0,
    }
    write_json(folder / PREPROCESSOR_NAME, preprocessor)


def _hyper_parameters(shape: WhisperShape) -> dict[str, object]:
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "activation_function": "gelu",
        "d_model": shape.hidden_len,
        "num_mel_bins": shape.num_mels,
        "encoder_layers": shape.num_encoder_layers,
        "encoder_attention_heads": shape.num_heads,
        "encoder_ffn_dim": shape.feed_forward_len,
        "decoder_layers": shape.num_decoder_layers,
        "decoder_attention_heads": shape.num_heads,
        "decoder_ffn_dim": shape.feed_forward_len,
        "max_source_positions": shape.num_audio_positions,
        "max_target_positions": shape.num_text_positions,
        "vocab_size": shape.vocab_len,
        "scale_embedding": False,
    }
