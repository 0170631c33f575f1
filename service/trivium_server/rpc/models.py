"""ModelService: which models there are, and how they are."""

import base64
import binascii
import bisect
import contextlib
import hashlib
from collections.abc import AsyncIterator

from trivium.v1 import models_pb2 as pb
from trivium.v1.models_pb2_grpc import ModelServiceServicer
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.model_state import ModelStatus
from trivium_server.errors import FieldViolation, InvalidArgument
from trivium_server.rpc import answers
from trivium_server.rpc.violations import Range

# grpc's servicer context: the boundary alone talks to it.
Context = object
_PAGE_SIZES = Range(0, 1000)
_DEFAULT_PAGE_SIZE = 100
_CHECK_BYTES = 8


class ModelService(ModelServiceServicer):
    """See proto/trivium/v1/models.proto."""

    def __init__(self, catalog: Catalog, max_request_bytes: int) -> None:
        self._catalog = catalog
        self._max_request_bytes = max_request_bytes

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        if not _PAGE_SIZES.admits(request.page_size):
            raise InvalidArgument(FieldViolation("page_size", f"is {request.page_size}; it must be {_PAGE_SIZES}"))
        if request.capability not in pb.Capability.values():
            raise InvalidArgument(FieldViolation("capability", f"{request.capability} is no known Capability"))
        models = [self._model(status) for status in self._catalog.statuses()]
        if request.capability != pb.CAPABILITY_UNSPECIFIED:
            models = [model for model in models if request.capability in model.capabilities]
        start = 0
        if request.page_token:
            after = _after(request.page_token, request.capability)
            start = bisect.bisect_right(models, after, key=lambda model: model.name)
        end = start + (request.page_size or _DEFAULT_PAGE_SIZE)
        page = models[start:end]
        token = _page_token(page[-1].name, request.capability) if end < len(models) else ""
        return pb.ListModelsResponse(models=page, next_page_token=token)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        if not request.model:
            raise InvalidArgument(FieldViolation("model", "is required"))
        return pb.GetModelResponse(model=self._model(self._catalog.status(request.model)))

    async def WatchModels(
        self, request: pb.WatchModelsRequest, context: Context
    ) -> AsyncIterator[pb.WatchModelsResponse]:
        async with contextlib.aclosing(self._catalog.watch()) as changes:
            async for change in changes:
                if change is None:
                    yield pb.WatchModelsResponse(snapshot_end=pb.ModelSnapshotEnd())
                elif isinstance(change, ModelStatus):
                    yield pb.WatchModelsResponse(model=self._model(change))
                else:
                    yield pb.WatchModelsResponse(removed_model=change)

    def _model(self, status: ModelStatus) -> pb.Model:
        return answers.model(status, self._max_request_bytes)


def _page_token(last_name: str, capability: int) -> str:
    """Names the last model of a page. The checksum tells our tokens from others'; nothing in it is secret."""
    content = f"{capability}:{last_name}".encode()
    return base64.urlsafe_b64encode(_checksum(content) + content).decode().rstrip("=")


def _after(token: str, capability: int) -> str:
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        check, content = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        token_capability, _, name = content.decode().partition(":")
    except (ValueError, binascii.Error):
        check, content, token_capability, name = b"", b"", "", ""
    if check != _checksum(content):
        raise InvalidArgument(FieldViolation("page_token", "was not made by this server"))
    if token_capability != str(capability):
        raise InvalidArgument(FieldViolation("page_token", "belongs to a list with another capability"))
    return name


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(b"trivium.v1.ListModels\0" + content).digest()[:_CHECK_BYTES]
