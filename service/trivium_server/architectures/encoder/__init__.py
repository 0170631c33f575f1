"""The family of text encoders: models that read a text in one pass."""

from trivium_server.architectures.encoder.load import LOAD_ERRORS, EncoderModel, load

__all__ = ["LOAD_ERRORS", "EncoderModel", "load"]
