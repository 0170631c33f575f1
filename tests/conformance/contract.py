"""The methods of the contract, as its descriptors say them: what is added there is here without anybody's doing."""

import importlib
import pkgutil
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import trivium.admin.v1
import trivium.v1
from trivium.v1 import errors_pb2

__all__ = ["ERROR_REASONS", "RPCS", "Rpc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """A method. name: `package.Service/Method`. is_numbered: its responses count themselves in `sequence`."""

    name: str
    request: type[Message]
    response: type[Message]
    streams_requests: bool
    streams_responses: bool

    @property
    def is_numbered(self) -> bool:
        return "sequence" in self.response.DESCRIPTOR.fields_by_name

    @property
    def is_stream(self) -> bool:
        return self.streams_requests or self.streams_responses


def _files() -> list[FileDescriptor]:
    modules = [
        importlib.import_module(f"{package.__name__}.{found.name}")
        for package in (trivium.v1, trivium.admin.v1)
        for found in pkgutil.iter_modules(package.__path__)
        if found.name.endswith("_pb2")
    ]
    return [module.DESCRIPTOR for module in modules]


def _rpc(method: MethodDescriptor) -> Rpc:
    return Rpc(
        name=f"{method.containing_service.full_name}/{method.name}",
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        streams_requests=method.client_streaming,
        streams_responses=method.server_streaming,
    )


_FOUND = [_rpc(method) for file in _files() for service in file.services_by_name.values() for method in service.methods]
RPCS: dict[str, Rpc] = {rpc.name: rpc for rpc in _FOUND}
"""All methods by name."""

ERROR_REASONS: tuple[str, ...] = tuple(
    value.name.removeprefix("ERROR_REASON_")
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values
    if value.number != errors_pb2.ERROR_REASON_UNSPECIFIED
)
"""The reasons that a server may give, without their prefix."""
