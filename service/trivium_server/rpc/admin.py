"""AdminService: operates this process."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from trivium.admin.v1 import admin_pb2 as pb
from trivium.admin.v1.admin_pb2_grpc import AdminServiceServicer
from trivium_server.architectures.catalog import Catalog
from trivium_server.errors import FieldViolation, InvalidArgument, ServerDraining
from trivium_server.rpc import answers
from trivium_server.rpc.admission import Admission
from trivium_server.rpc.call import current_call
from trivium_server.telemetry import printable

# grpc's servicer context: the boundary alone talks to it.
Context = object
_MAX_GRACE_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server is. start_time in seconds since the epoch."""

    version: str
    instance_id: str
    execution_providers: tuple[str, ...]
    start_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainControl:
    """How the service starts the drain of its process: begin(grace_s) returns at once and may be called again."""

    begin: Callable[[float], None]
    is_draining: Callable[[], bool]
    default_grace_s: float


class AdminService(AdminServiceServicer):
    """See proto/trivium/admin/v1/admin.proto."""

    def __init__(
        self, *, facts: ServerFacts, catalog: Catalog, admission: Admission, drain: DrainControl, max_request_bytes: int
    ) -> None:
        self._facts = facts
        self._catalog = catalog
        self._admission = admission
        self._drain = drain
        self._max_request_bytes = max_request_bytes

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Context) -> pb.GetServerInfoResponse:
        start_time = Timestamp()
        start_time.FromNanoseconds(int(self._facts.start_time * 1e9))
        return pb.GetServerInfoResponse(
            server_version=self._facts.version,
            instance_id=self._facts.instance_id,
            contract_versions=["trivium.v1", "trivium.admin.v1"],
            execution_providers=self._facts.execution_providers,
            start_time=start_time,
            draining=self._drain.is_draining(),
        )

    async def DrainServer(self, request: pb.DrainServerRequest, context: Context) -> pb.DrainServerResponse:
        grace_s = self._drain.default_grace_s
        if request.HasField("grace_period"):
            grace_s = _seconds("grace_period", request.grace_period)
        in_flight = self._admission.in_flight
        self._drain.begin(grace_s)
        return pb.DrainServerResponse(in_flight_count=in_flight)

    async def LoadModel(self, request: pb.LoadModelRequest, context: Context) -> AsyncIterator[pb.LoadModelResponse]:
        _require_model(request.model)
        if self._drain.is_draining():
            raise ServerDraining(retry_after_s=1.0)
        current_call().model = printable(request.model)
        async with contextlib.aclosing(self._catalog.load(request.model)) as statuses:
            async for status in statuses:
                yield pb.LoadModelResponse(
                    model=answers.model(status, self._max_request_bytes), progress_percent=status.progress_percent
                )

    async def UnloadModel(self, request: pb.UnloadModelRequest, context: Context) -> pb.UnloadModelResponse:
        _require_model(request.model)
        drain_s = self._drain.default_grace_s
        if request.HasField("drain_timeout"):
            drain_s = _seconds("drain_timeout", request.drain_timeout)
        status = await self._catalog.unload(request.model, drain_s)
        return pb.UnloadModelResponse(model=answers.model(status, self._max_request_bytes))


def _require_model(name: str) -> None:
    if not name:
        raise InvalidArgument(FieldViolation("model", "is required"))


def _seconds(path: str, value: Duration) -> float:
    seconds = value.seconds + value.nanos / 1e9
    is_valid = abs(value.nanos) < 10**9 and value.seconds * value.nanos >= 0
    if not is_valid or not 0 <= seconds <= _MAX_GRACE_S:
        raise InvalidArgument(FieldViolation(path, f"must be 0 s to {_MAX_GRACE_S} s"))
    return seconds
