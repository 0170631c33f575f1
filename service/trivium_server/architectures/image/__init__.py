"""The family of models that look at images."""

from trivium_server.architectures.image.load import LOAD_ERRORS, ImageModel, load

__all__ = ["LOAD_ERRORS", "ImageModel", "load"]
