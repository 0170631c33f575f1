"""What a stack is made of, and where it is."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from deploy.envoy.options import Balancer

__all__ = ["ROOT", "StackSettings", "envoy_binary", "free_ports"]

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """tls_port, web_port: where callers connect, with TLS and without; 0 takes a free one. folder: for certificates,
    logs and `stack.json`; models: served by every replica, with `threads` threads each."""

    folder: Path
    replicas: int = 3
    tls_port: int = 50443
    web_port: int = 50080
    balancer: Balancer = Balancer.LEAST_REQUEST
    models: tuple[str, ...] = ("all-minilm-l6-v2", "smollm2-135m-instruct")
    threads: int = 1
    allowed_origins: tuple[str, ...] = ("http://localhost:8000",)
    health_interval_s: float = 1.0

    @property
    def health_wait_s(self) -> float:
        """How long a replica that drains still accepts calls: Envoy has noticed by then."""
        return 2 * self.health_interval_s + 0.5


def envoy_binary() -> Path:
    """Returns $ENVOY, or the one that `make .tools/envoy` installs. Raises FileNotFoundError that says what to do."""
    path = Path(os.environ.get("ENVOY") or ROOT / ".tools/envoy/envoy/_bin/envoy")
    if not path.exists():
        raise FileNotFoundError(f"there is no Envoy at {path}; `make .tools/envoy` installs it")
    return path


def free_ports(count: int) -> list[int]:
    """Returns ports of loopback that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
