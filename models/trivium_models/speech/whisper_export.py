"""Writes a Whisper model, converted for CTranslate2, as a folder of ONNX graphs in Hugging Face's layout.

Three graphs: the encoder, the decoder, and the aligner, whose weights are the decoder's and lie in the same file.
"""

from collections.abc import Callable
from pathlib import Path

from onnx import ModelProto, TensorProto, numpy_helper

from trivium_models.catalog import Precision
from trivium_models.folder_facts import TOKENIZER_NAME
from trivium_models.packed_model import WeightsFile
from trivium_models.speech.speech_folder import WHISPER_DECODER_NAME, WHISPER_ENCODER_NAME
from trivium_models.speech.whisper_decoder_graph import build_aligner, build_decoder
from trivium_models.speech.whisper_encoder_graph import build_encoder
from trivium_models.speech.whisper_folder import Ct2Config, write_configs
from trivium_models.speech.whisper_products import ByteScoresProduct, FloatProduct
from trivium_models.speech.whisper_source import read_whisper
from trivium_models.speech.whisper_tokens import read_tokens

WHISPER_ALIGNER_NAME = "alignment_model.onnx"
DECODER_WEIGHTS_NAME = "decoder.onnx.data"
# What is smaller stays in the graph, where onnxruntime needs its value to work out shapes.
_MIN_EXTERNAL_BYTES = 4096


def export_whisper(
    weights: Path,
    config: Path,
    folder: Path,
    precision: Precision,
    *,
    on_layer: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Writes graphs and configurations into a folder that holds tokenizer.json already.

    weights, config: model.bin and config.json of the CTranslate2 conversion. precision: "fp32", or "int8", where the
    scores of tokens are products with a table of 8 bits, and all else stays float32. Calls on_layer(done, total) per
    graph. Raises InvalidModelError.
    """
    model = read_whisper(weights)
    multiplier = FloatProduct if precision == "fp32" else ByteScoresProduct
    stated = Ct2Config(config, model.shape)
    write_configs(folder, model.shape, read_tokens(folder / TOKENIZER_NAME, model.shape.vocab_len), stated)
    encoder = build_encoder(model)
    (folder / WHISPER_ENCODER_NAME).write_bytes(encoder.SerializeToString(deterministic=True))
    on_layer(1, 3)
    with WeightsFile(folder / DECODER_WEIGHTS_NAME) as file:
        stored: dict[str, TensorProto] = {}
        decoder = build_decoder(model, multiplier)
        _move_weights(decoder, file, stored)
        (folder / WHISPER_DECODER_NAME).write_bytes(decoder.SerializeToString(deterministic=True))
        on_layer(2, 3)
        aligner = build_aligner(model, stated.alignment_heads(), multiplier)
        _move_weights(aligner, file, stored)
        (folder / WHISPER_ALIGNER_NAME).write_bytes(aligner.SerializeToString(deterministic=True))
        on_layer(3, 3)


def _move_weights(graph: ModelProto, file: WeightsFile, stored: dict[str, TensorProto]) -> None:
    """Puts the large constants of a graph into the file; those of a name that is stored already are there."""
    for tensor in graph.graph.initializer:
        if len(tensor.raw_data) < _MIN_EXTERNAL_BYTES:
            continue
        if tensor.name not in stored:
            stored[tensor.name] = file.add(tensor.name, numpy_helper.to_array(tensor))
        tensor.CopyFrom(stored[tensor.name])
