"""What a server says about itself to its operator. All immutable; `raw` is the Protobuf message."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from trivium.admin.v1 import admin_pb2
from trivium.models import Model, parse_model

__all__ = ["LoadProgress", "ServerInfo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What a server is and what it can do. instance_id is new at every start."""

    server_version: str
    instance_id: str
    contract_versions: tuple[str, ...]
    execution_providers: tuple[str, ...]
    start_time: datetime
    draining: bool
    raw: admin_pb2.GetServerInfoResponse = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """How far the load of a model is. percent: 0 to 100, never falling; None where the server does not know."""

    model: Model
    percent: int | None
    raw: admin_pb2.LoadModelResponse = field(repr=False, compare=False)


def parse_server_info(raw: admin_pb2.GetServerInfoResponse) -> ServerInfo:
    """Wraps the message."""
    return ServerInfo(
        server_version=raw.server_version,
        instance_id=raw.instance_id,
        contract_versions=tuple(raw.contract_versions),
        execution_providers=tuple(raw.execution_providers),
        start_time=raw.start_time.ToDatetime(tzinfo=UTC),
        draining=raw.draining,
        raw=raw,
    )


def parse_load_progress(raw: admin_pb2.LoadModelResponse) -> LoadProgress:
    """Wraps the message."""
    percent = raw.progress_percent if raw.HasField("progress_percent") else None
    return LoadProgress(model=parse_model(raw.model), percent=percent, raw=raw)
