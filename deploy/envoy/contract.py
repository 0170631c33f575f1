"""What the contract says that a proxy must know: services, methods with one request and one response, idempotency."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodOptions
from google.rpc import error_details_pb2

from trivium.v1 import analysis_pb2, embedding_pb2, errors_pb2, generation_pb2, models_pb2, speech_pb2, vision_pb2

__all__ = ["ADMIN_PACKAGE", "Method", "Service", "descriptor_set", "services"]

ADMIN_PACKAGE = "trivium.admin.v1"
_FILES = (generation_pb2, embedding_pb2, analysis_pb2, vision_pb2, speech_pb2, models_pb2)
# Errors hold messages of these in google.protobuf.Any; the transcoder leaves a body empty that it cannot read.
_DETAILS = (errors_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method with one request and one response. An idempotent one may run twice without harm."""

    path: str
    is_idempotent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of trivium.v1. models_answer: its health follows the models, and its streams have an end."""

    name: str
    unary: tuple[Method, ...]
    models_answer: bool


def services() -> tuple[Service, ...]:
    """Returns the services that callers may reach: all but those of trivium.admin.v1."""
    found = [service for file in _FILES for service in file.DESCRIPTOR.services_by_name.values()]
    return tuple(
        Service(
            name=service.full_name,
            unary=tuple(_unary(service)),
            models_answer=service.full_name != "trivium.v1.ModelService",
        )
        for service in found
    )


def descriptor_set() -> str:
    """Returns a FileDescriptorSet of the contract with all that it imports, in base64."""
    ordered: dict[str, FileDescriptor] = {}
    for file in (*(module.DESCRIPTOR for module in _FILES), *_DETAILS):
        _collect(file, ordered)
    files = FileDescriptorSet()
    for file in ordered.values():
        file.CopyToProto(files.file.add())
    return base64.b64encode(files.SerializeToString(deterministic=True)).decode()


def _unary(service: ServiceDescriptor) -> Iterator[Method]:
    for method in service.methods:
        if not method.client_streaming and not method.server_streaming:
            yield Method(path=f"/{service.full_name}/{method.name}", is_idempotent=_is_idempotent(method))


def _is_idempotent(method: MethodDescriptor) -> bool:
    level: int = method.GetOptions().idempotency_level
    return level in {MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT}


def _collect(file: FileDescriptor, into: dict[str, FileDescriptor]) -> None:
    """Adds a file behind those that it imports."""
    for imported in file.dependencies:
        _collect(imported, into)
    into.setdefault(file.name, file)
