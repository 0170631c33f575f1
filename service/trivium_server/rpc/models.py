"""ModelService: which models there are, and how they are."""

import bisect
import contextlib
from collections.abc import AsyncIterator

from trivium.v1 import models_pb2 as pb
from trivium.v1.models_pb2_grpc import ModelServiceServicer
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.model_state import ModelStatus
from trivium_server.errors import FieldViolation, InvalidArgument
from trivium_server.rpc import answers
from trivium_server.rpc.paging import DEFAULT_PAGE_SIZE, Paging
from trivium_server.rpc.violations import Violations

# grpc's servicer context: the boundary alone talks to it.
Context = object
_PAGING = Paging(method="trivium.v1.ListModels", choice="capability")


class ModelService(ModelServiceServicer):
    """See proto/trivium/v1/models.proto."""

    def __init__(self, catalog: Catalog, max_request_bytes: int) -> None:
        self._catalog = catalog
        self._max_request_bytes = max_request_bytes

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        found = Violations()
        found.number("list.page_size", request.page_size, "page_size")
        if request.capability not in pb.Capability.values():
            found.add("capability", f"{request.capability} is no known Capability")
        found.raise_if_any()
        models = [self._model(status) for status in self._catalog.statuses()]
        if request.capability != pb.CAPABILITY_UNSPECIFIED:
            models = [model for model in models if request.capability in model.capabilities]
        start = 0
        if request.page_token:
            after = _PAGING.after(request.page_token, str(request.capability))
            start = bisect.bisect_right(models, after, key=lambda model: model.name)
        end = start + (request.page_size or DEFAULT_PAGE_SIZE)
        page = models[start:end]
        token = _PAGING.token(page[-1].name, str(request.capability)) if end < len(models) else ""
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
