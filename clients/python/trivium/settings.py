"""How a client reaches its server. Pure; the same for both clients."""

import json
import os
import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
import grpc.aio

from trivium._metadata import Metadata, checked_metadata, checked_token
from trivium._retry import RetryPolicy
from trivium._target import DEFAULT_TARGET, Target, balancer, is_local, parse_target
from trivium._version import __version__

__all__ = ["DEFAULT_TARGET", "TLS", "CallOptions", "ClientSettings", "default_target"]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The server's default cap; gRPC's own default of 4 MiB would refuse what the server accepts."""

DEFAULT_UNARY_TIMEOUT_S = 60.0
DEFAULT_IDLE_TIMEOUT_S = 60.0

REQUEST_ID_RULE = "1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
"""The server's own rule: it would replace any other id by one that the caller does not know."""

Options: TypeAlias = Sequence[tuple[str, str | int]]
"""gRPC channel arguments."""

# Any: an interceptor sees the calls of all methods, whatever their messages. Quoted: generic in the stubs only.
Interceptor: TypeAlias = (
    "grpc.UnaryUnaryClientInterceptor[Any, Any] | grpc.UnaryStreamClientInterceptor[Any, Any]"
    " | grpc.StreamStreamClientInterceptor[Any, Any]"
)
AsyncInterceptor: TypeAlias = (
    "grpc.aio.UnaryUnaryClientInterceptor[Any, Any] | grpc.aio.UnaryStreamClientInterceptor[Any, Any]"
    " | grpc.aio.StreamStreamClientInterceptor[Any, Any]"
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
    """What one call may change: its time limits in seconds (None: none is sent), request id and more metadata."""

    timeout_s: float | None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    idle_timeout_s: float | None = None
    metadata: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("timeout_s", "idle_timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be more than 0")
        if not _REQUEST_ID.fullmatch(self.request_id):
            raise ValueError(f"request_id is {self.request_id!r}; it must be {REQUEST_ID_RULE}")
        object.__setattr__(self, "metadata", checked_metadata(self.metadata))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Where the server is and how to talk to it; see Client for what each means."""

    target: str
    tls: TLS | grpc.ChannelCredentials | bool | None = None
    token: str | None = field(default=None, repr=False)
    metadata: Metadata = field(default_factory=dict)
    default_model: str | None = None
    timeout_s: float | None = DEFAULT_UNARY_TIMEOUT_S
    idle_timeout_s: float | None = DEFAULT_IDLE_TIMEOUT_S
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_message_bytes: int = MAX_MESSAGE_BYTES
    channel_options: Options = ()

    def __post_init__(self) -> None:
        target = parse_target(self.target)
        object.__setattr__(self, "target", target.address)
        object.__setattr__(self, "metadata", checked_metadata(self.metadata))
        checked_token(self.token)
        if target.is_encrypted is None:
            return
        if self.tls is None:
            object.__setattr__(self, "tls", target.is_encrypted)
        elif target.is_encrypted is (self.tls is False):
            raise ValueError(f"the URL and tls contradict each other; give {target.address!r} as target, and tls")

    def request_metadata(self, call: CallOptions) -> tuple[tuple[str, str | bytes], ...]:
        """Returns the metadata of a call; the same for all its attempts."""
        own = {"x-request-id": call.request_id, "trivium-client": client_name()}
        if self.token is not None:
            own["authorization"] = f"Bearer {self.token}"
        return tuple({**self.metadata, **call.metadata, **own}.items())

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return not is_local(self.target) if self.tls is None else self.tls is not False

    @property
    def peer(self) -> Target:
        """The server as it is connected to."""
        return Target(address=self.target, is_encrypted=self.is_encrypted)

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Returns what encrypts the connection, None for plain text."""
        if not self.is_encrypted:
            return None
        if isinstance(self.tls, grpc.ChannelCredentials):
            return self.tls
        tls = self.tls if isinstance(self.tls, TLS) else TLS()
        return grpc.ssl_channel_credentials(tls.root_certificates, tls.private_key, tls.certificate)

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
            # Else gRPC pings a stream that is silent for long only twice.
            ("grpc.http2.max_pings_without_data", 0),
            # _retry.py is the only place that retries, and its waits must not be outlasted by gRPC's reconnects.
            ("grpc.enable_retries", 0),
            # Its minimum is left alone: it also limits how long connecting may take.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
            # Lets a name with several addresses spread its calls over them.
            ("grpc.service_config", json.dumps({"loadBalancingConfig": [{balancer(self.target): {}}]})),
        ]
        if isinstance(self.tls, TLS) and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return [*options, *self.channel_options]


def client_name() -> str:
    """Returns what `trivium-client` metadata says, as name/version language/version."""
    return f"trivium-python/{__version__} python/{sys.version_info.major}.{sys.version_info.minor}"
