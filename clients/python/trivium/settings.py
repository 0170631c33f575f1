"""How a client reaches its server. Pure; the same for both clients."""

import json
import os
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
import grpc.aio

from trivium._retry import RetryPolicy
from trivium._version import __version__

__all__ = ["DEFAULT_TARGET", "TLS", "CallOptions", "ClientSettings", "default_target"]

DEFAULT_TARGET = "127.0.0.1:50051"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The server's default cap; gRPC's own default of 4 MiB would refuse what the server accepts."""

DEFAULT_UNARY_TIMEOUT_S = 60.0
DEFAULT_IDLE_TIMEOUT_S = 60.0

_RESERVED_METADATA = ("x-request-id", "trivium-client", "authorization")

Options: TypeAlias = Sequence[tuple[str, str | int]]
"""gRPC channel arguments."""

# Any: an interceptor sees the calls of all methods, whatever their messages. Quoted: generic in the stubs only.
Interceptor: TypeAlias = "grpc.UnaryUnaryClientInterceptor[Any, Any] | grpc.UnaryStreamClientInterceptor[Any, Any]"
AsyncInterceptor: TypeAlias = (
    "grpc.aio.UnaryUnaryClientInterceptor[Any, Any] | grpc.aio.UnaryStreamClientInterceptor[Any, Any]"
)


def default_target() -> str:
    """Returns $TRIVIUM_TARGET, else 127.0.0.1:50051."""
    return os.environ.get("TRIVIUM_TARGET") or DEFAULT_TARGET


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """Certificates of an encrypted connection, as PEM. What is None takes gRPC's own roots or no client certificate.

    certificate and private_key identify this client (mutual TLS) and are given together. server_name is checked
    against the server's certificate instead of the target's host.
    """

    root_certificates: bytes | None = None
    certificate: bytes | None = None
    private_key: bytes | None = field(default=None, repr=False)
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key are given together or not at all")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """What one call may change: its time limits in seconds (None: without), request id and additional metadata."""

    timeout_s: float | None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    idle_timeout_s: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("timeout_s", "idle_timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be more than 0")
        if not re.fullmatch(r"[\x21-\x7e]{1,128}", self.request_id):
            raise ValueError("request_id is 1 to 128 printable ASCII characters without spaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Where the server is and how to talk to it; see Client for what each means."""

    target: str
    tls: TLS | grpc.ChannelCredentials | bool | None = None
    token: str | None = field(default=None, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)
    default_model: str | None = None
    timeout_s: float | None = DEFAULT_UNARY_TIMEOUT_S
    idle_timeout_s: float | None = DEFAULT_IDLE_TIMEOUT_S
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_message_bytes: int = MAX_MESSAGE_BYTES
    channel_options: Options = ()

    def __post_init__(self) -> None:
        if not self.target:
            raise ValueError("target is empty; it is host:port, for example 127.0.0.1:50051")
        for key in self.metadata:
            if key.lower() in _RESERVED_METADATA:
                raise ValueError(f"metadata has {key!r}, which the client sets itself")

    def request_metadata(self, call: CallOptions) -> tuple[tuple[str, str], ...]:
        """Returns the metadata of a call; the same for all its attempts."""
        own = [("x-request-id", call.request_id), ("trivium-client", client_name())]
        if self.token is not None:
            own.append(("authorization", f"Bearer {self.token}"))
        given = {**self.metadata, **call.metadata}
        return (*own, *((key.lower(), value) for key, value in given.items()))

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Returns what encrypts the connection, None for plain text."""
        wanted = not is_local(self.target) if self.tls is None else self.tls
        if isinstance(wanted, bool):
            return grpc.ssl_channel_credentials() if wanted else None
        if isinstance(wanted, TLS):
            return grpc.ssl_channel_credentials(wanted.root_certificates, wanted.private_key, wanted.certificate)
        return wanted

    def options(self) -> list[tuple[str, str | int]]:
        """Returns the channel's options; the caller's own come last and win."""
        options: list[tuple[str, str | int]] = [
            ("grpc.max_receive_message_length", self.max_message_bytes),
            ("grpc.max_send_message_length", self.max_message_bytes),
            ("grpc.primary_user_agent", f"trivium-python/{__version__}"),
            # Below 60 s the server takes pings for abuse; a connection without calls needs none.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 0),
            # _retry.py is the only place that retries, and its waits must not be outlasted by gRPC's reconnects.
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
            # Lets a name with several addresses spread its calls over them.
            ("grpc.service_config", json.dumps({"loadBalancingConfig": [{_balancer(self.target): {}}]})),
        ]
        if isinstance(self.tls, TLS) and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return [*options, *self.channel_options]


def client_name() -> str:
    """Returns what `trivium-client` metadata says, as name/version language/version."""
    return f"trivium-python/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}"


def is_local(target: str) -> bool:
    """Tells whether a target can only be this machine: a loopback address or a Unix socket."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = _host(target)
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def _host(target: str) -> str:
    address = re.sub(r"^(dns|ipv4|ipv6):(///?)?", "", target)
    bracketed = re.match(r"\[([^\]]*)\]", address)
    if bracketed:
        return bracketed.group(1)
    return address if address.count(":") > 1 else address.partition(":")[0]


def _balancer(target: str) -> str:
    """Round robin where a name may stand for several servers; else the first address that answers."""
    is_address = re.fullmatch(r"[\d.]+|.*:.*", _host(target)) is not None
    return "pick_first" if is_local(target) or is_address else "round_robin"
