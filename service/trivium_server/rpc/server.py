"""Puts the services on a grpc.aio server, with every option that matters said aloud."""

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from trivium.admin.v1 import admin_pb2
from trivium.admin.v1.admin_pb2_grpc import add_AdminServiceServicer_to_server
from trivium.v1 import analysis_pb2, embedding_pb2, errors_pb2, generation_pb2, models_pb2, speech_pb2, vision_pb2
from trivium.v1.analysis_pb2_grpc import add_TextAnalysisServiceServicer_to_server
from trivium.v1.embedding_pb2_grpc import add_EmbeddingServiceServicer_to_server
from trivium.v1.generation_pb2_grpc import add_TextGenerationServiceServicer_to_server
from trivium.v1.models_pb2_grpc import add_ModelServiceServicer_to_server
from trivium.v1.speech_pb2_grpc import (
    add_SpeechRecognitionServiceServicer_to_server,
    add_SpeechSynthesisServiceServicer_to_server,
)
from trivium.v1.vision_pb2_grpc import add_VisionServiceServicer_to_server
from trivium_server.config import Config, ListenAddress
from trivium_server.rpc.admin import AdminService
from trivium_server.rpc.analysis import TextAnalysisService
from trivium_server.rpc.boundary import Boundary
from trivium_server.rpc.embedding import EmbeddingService
from trivium_server.rpc.generation import TextGenerationService
from trivium_server.rpc.health import HEALTH_SERVICE, Health
from trivium_server.rpc.models import ModelService
from trivium_server.rpc.speech_recognition import SpeechRecognitionService
from trivium_server.rpc.speech_synthesis import SpeechSynthesisService
from trivium_server.rpc.tls import CertificateError, Certificates
from trivium_server.rpc.vision import VisionService

_FILES = (generation_pb2, embedding_pb2, analysis_pb2, vision_pb2, speech_pb2, models_pb2, admin_pb2)
SERVICES = tuple(service.full_name for file in _FILES for service in file.DESCRIPTOR.services_by_name.values())
"""The full names of our own services."""

_MAX_METADATA_BYTES = 16 * 1024

# Reflection finds these only once they were imported: they tell a client how to read error details.
_DETAIL_FILES = (errors_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR)
_REFLECTION_ALPHA = "grpc.reflection.v1alpha.ServerReflection"
_REFLECTION = "grpc.reflection.v1.ServerReflection"


class ListenError(Exception):
    """The address cannot be listened on; the text says why."""


def build_server(
    config: Config,
    *,
    boundary: Boundary,
    generation: TextGenerationService,
    embedding: EmbeddingService,
    analysis: TextAnalysisService,
    vision: VisionService,
    recognition: SpeechRecognitionService,
    synthesis: SpeechSynthesisService,
    models: ModelService,
    admin: AdminService,
    health: Health,
) -> grpc.aio.Server:
    """Returns a server with all services, not yet listening. Call on the event loop that will run it."""
    server = grpc.aio.server(
        interceptors=(boundary,),
        options=_options(config),
        maximum_concurrent_rpcs=config.limits.max_concurrent_rpcs,
    )
    add_TextGenerationServiceServicer_to_server(generation, server)
    add_EmbeddingServiceServicer_to_server(embedding, server)
    add_TextAnalysisServiceServicer_to_server(analysis, server)
    add_VisionServiceServicer_to_server(vision, server)
    add_SpeechRecognitionServiceServicer_to_server(recognition, server)
    add_SpeechSynthesisServiceServicer_to_server(synthesis, server)
    add_ModelServiceServicer_to_server(models, server)
    add_AdminServiceServicer_to_server(admin, server)
    add_HealthServicer_to_server(health.servicer, server)
    if config.reflection_is_on:
        _add_reflection(server)
    return server


def listen(server: grpc.aio.Server, config: Config) -> str:
    """Binds the configured address and returns it with its real port. Raises ListenError."""
    address = config.address
    _try_address(address)
    try:
        if config.server.tls_certificate is not None:
            port = server.add_secure_port(address.text, Certificates(config.server).credentials())
        else:
            port = server.add_insecure_port(address.text)
    except CertificateError as error:
        raise ListenError(f"cannot listen on {address.text}: {error}") from error
    except RuntimeError as error:
        raise ListenError(_cannot_listen(address.text)) from error
    if not port:
        raise ListenError(_cannot_listen(address.text))
    return address.with_port(port)


_PROBLEMS = {
    errno.EADDRINUSE: "another program listens there; end it, or choose another with --listen (port 0: any free one)",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own with --listen",
    errno.EACCES: "this user may not; choose a port over 1023 with --listen",
}


def _try_address(address: ListenAddress) -> None:
    """Binds the address for a moment: grpc tells why it cannot listen only in lines of its own on standard error."""
    try:
        if address.port is None:
            folder = Path(address.text.removeprefix("unix:")).parent
            if not folder.is_dir():
                raise ListenError(f"cannot listen on {address.text}: there is no folder {folder}")
            return
        for family, kind, _, _, place in socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
    except socket.gaierror as error:
        raise ListenError(f"cannot listen on {address.text}: {address.host} cannot be resolved") from error
    except OSError as error:
        problem = _PROBLEMS.get(error.errno or 0, error.strerror)
        raise ListenError(f"cannot listen on {address.text}: {problem}") from error


def _cannot_listen(address: str) -> str:
    # grpc tells the cause only on standard error.
    return f"cannot listen on {address}: is the port free, is the address this machine's?"


def _options(config: Config) -> Sequence[tuple[str, int]]:
    minute_ms = 60_000
    return (
        ("grpc.max_receive_message_length", config.limits.max_request_bytes),
        ("grpc.max_send_message_length", -1),
        # Between the two, gRPC refuses calls at random.
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.max_concurrent_streams", 1024),
        # Replicas have one port each: two processes on one port would share calls in a way nobody sees.
        ("grpc.so_reuseport", 0),
        # SDKs ping every 60 s, and a proxy each second, to notice a replica that is stopped; more is abuse.
        ("grpc.http2.min_ping_interval_without_data_ms", 500),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 2 * minute_ms),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_connection_age_ms", round(1000 * config.server.max_connection_age_s)),
        ("grpc.max_connection_age_grace_ms", round(1000 * config.limits.max_deadline_s)),
    )


def _add_reflection(server: grpc.aio.Server) -> None:
    """Serves reflection under both of its names: v1 and v1alpha differ in nothing but the package."""
    names = (*SERVICES, HEALTH_SERVICE, _REFLECTION_ALPHA)
    servicer = ReflectionServicer(names)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for service in (_REFLECTION, _REFLECTION_ALPHA):
        generic = grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": handler})
        server.add_generic_rpc_handlers((generic,))
