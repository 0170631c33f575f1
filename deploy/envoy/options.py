"""What a bootstrap is made from: addresses, certificates, and the few choices that an operator has."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

__all__ = ["Address", "Balancer", "Bootstrap", "DownstreamTls", "Listener", "UpstreamTls"]


class Balancer(StrEnum):
    """How a replica is chosen.

    LEAST_REQUEST: the less busy one of two, by calls under way from this Envoy. ORCA: by the load that replicas report
    in their trailers. AFFINITY: by a hash of the header `trivium-affinity`, within bounds of load.
    """

    LEAST_REQUEST = "least-request"
    ORCA = "orca"
    AFFINITY = "affinity"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port. A host that is no IP address is a name, and stands for every address that DNS has for it."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `host:port` or `[ipv6]:port`. Raises ValueError."""
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536 or not host.isprintable() or " " in host:
            raise ValueError(f"{text!r} is not host:port")
        return cls(host, int(port))

    @property
    def is_name(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class DownstreamTls:
    """Paths of PEM files, as Envoy sees them. With client_ca, only clients with a certificate of it connect."""

    certificate: str
    private_key: str
    client_ca: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """How replicas are known: by a certificate of `ca` for `name`. Envoy shows its own where one is given."""

    ca: str
    name: str
    certificate: str | None = None
    private_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where callers connect; in plaintext without tls."""

    name: str
    address: Address
    tls: DownstreamTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A whole configuration of Envoy.

    replicas: either addresses, or one name. health_interval_s: between two checks of a service; a replica that drains
    should wait for two of them and half a second (`drain.health_wait_s`). ping_interval_s: between two HTTP/2 pings to
    a replica, which a server must permit; a sixth is added at random. ping_timeout_s: a connection whose ping is not
    answered for so long is given up, with what is under way on it. max_call_s: the longest call, and the longest
    deadline. idle_s: the longest silence on a stream, and on a connection without one. replica_calls: the calls that
    one replica has under way at most (`limits.max_concurrent_calls`): so many may be sent again at once when it dies.
    max_message_bytes: the largest request or response, as JSON too. calls_per_s: a fuse for each listener.
    max_connections: of callers, on all listeners. allowed_origins: those of pages that may call. probes: a listener
    with nothing but /ready and /stats/prometheus.
    """

    replicas: tuple[Address, ...]
    listeners: tuple[Listener, ...]
    admin_port: int = 9901
    probes: Address | None = None
    balancer: Balancer = Balancer.LEAST_REQUEST
    upstream_tls: UpstreamTls | None = None
    allowed_origins: tuple[str, ...] = ()
    health_interval_s: float = 1.0
    ping_interval_s: float = 1.0
    ping_timeout_s: float = 1.75
    max_call_s: float = 3600.0
    idle_s: float = 300.0
    replica_calls: int = 256
    max_message_bytes: int = 16 * 1024 * 1024
    calls_per_s: int = 10_000
    max_connections: int = 20_000

    def __post_init__(self) -> None:
        if not self.replicas or not self.listeners:
            raise ValueError("a bootstrap needs a replica and a listener")
        if any(replica.is_name for replica in self.replicas) and len(self.replicas) > 1:
            raise ValueError("replicas are addresses, or one name that stands for all of them")

    @property
    def uses_dns(self) -> bool:
        return self.replicas[0].is_name
