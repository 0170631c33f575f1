"""What became of texts that were embedded, as messages."""

from trivium.v1 import embedding_pb2 as pb
from trivium_server.architectures.text_capabilities import Embedded, Outcome, TextEmbedder
from trivium_server.errors import InputTooLarge, UnsupportedFeature
from trivium_server.rpc.embedding_convert import EmbedSpec
from trivium_server.rpc.status import rpc_status
from trivium_server.rpc.text_call import TextCall
from trivium_server.rpc.vectors import num_bytes, write_vectors

MAX_VECTOR_BYTES = 16 * 1024 * 1024
"""The vectors of one text, and of one response of a unary call."""

EmbedCall = TextCall[TextEmbedder, EmbedSpec]


def write_result(result: pb.EmbedResult, outcome: Outcome[Embedded], call: EmbedCall) -> None:
    """Writes what became of a text into a result that has its name and index."""
    if isinstance(outcome, Embedded):
        size = num_bytes(outcome.vectors, call.spec.encoding)
        if size <= MAX_VECTOR_BYTES:
            try:
                write_vectors(outcome.vectors, call.spec.encoding, result.embedding)
            except UnsupportedFeature as error:
                result.ClearField("embedding")
                call.meter.input_tokens -= outcome.input_tokens
                outcome = error
        else:
            call.meter.input_tokens -= outcome.input_tokens
            outcome = InputTooLarge("text", size, MAX_VECTOR_BYTES, "bytes of vectors")
    if isinstance(outcome, Embedded):
        result.input_tokens = outcome.input_tokens
        result.truncated = outcome.truncated
        call.num_truncated += outcome.truncated
    else:
        result.error.CopyFrom(rpc_status(outcome, call.call.request_id))
