"""Where a server is: what people write as a target, and what gRPC takes. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["DEFAULT_TARGET", "Target", "balancer", "is_local", "parse_target"]

DEFAULT_TARGET = "127.0.0.1:50051"
_DEFAULT_PORT = 50051
_HTTPS_PORT = 443

_GRPC_SCHEME = re.compile(r"(unix|unix-abstract|dns|ipv4|ipv6|vsock|xds|google-c2p|passthrough):")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@]+):(?P<port>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """address is what gRPC takes. is_encrypted is what a URL says about TLS, None where the target was no URL."""

    address: str
    is_encrypted: bool | None


def parse_target(text: str) -> Target:
    """Reads host:port, http://host:port, https://host[:port], or a target with a scheme of gRPC's own.

    Raises ValueError that says what is missing. Of the schemes of gRPC only the name is looked at.
    """
    if not text:
        raise ValueError(f"target is empty; it is host:port, for example {DEFAULT_TARGET}")
    if _GRPC_SCHEME.match(text):
        return Target(address=text, is_encrypted=None)
    if "@" in text:  # no error shows the password
        raise ValueError("target has a user name or password, which have no place in it; token is a setting of its own")
    if text.startswith(("http://", "https://")):
        return _parse_url(text)
    _check_host_and_port(text, text)
    return Target(address=text, is_encrypted=None)


def _parse_url(text: str) -> Target:
    url = urlsplit(text)
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("target has more than host and port; gRPC has no place for it")
    is_encrypted = url.scheme == "https"
    address = url.netloc
    if is_encrypted and re.fullmatch(r"\[[^\]]*\]|[^:]+", address):
        address = f"{address}:{_HTTPS_PORT}"
    _check_host_and_port(address, text)
    return Target(address=address, is_encrypted=is_encrypted)


def _check_host_and_port(address: str, text: str) -> None:
    found = _HOST_AND_PORT.fullmatch(address)
    if found is None:
        raise ValueError(f"target {text!r} {_what_is_missing(address)}")
    if not 0 < int(found["port"]) < 2**16:
        raise ValueError(f"target {text!r} has port {found['port']}; a port is 1 to 65535")


def _what_is_missing(address: str) -> str:
    default = f"a Trivium server listens on {_DEFAULT_PORT} unless configured otherwise"
    if re.fullmatch(r"\[[^\]]*\]|[^\s:/\[\]@]+", address.removesuffix(":")):
        return f"has no port; {default}: {address.removesuffix(':')}:{_DEFAULT_PORT}"
    if re.fullmatch(r"[0-9A-Fa-f:.]+", address) and address.count(":") > 1:
        return f"is an IPv6 address without brackets; write [address]:port; {default}"
    return f"is not host:port, for example {DEFAULT_TARGET}"


def is_local(address: str) -> bool:
    """Tells whether an address can only be this machine: a loopback address or a Unix socket."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = _host(address)
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def balancer(address: str) -> str:
    """Returns gRPC's name of how to spread calls: round robin where a name may stand for several servers."""
    is_number = re.fullmatch(r"[\d.]+|.*:.*", _host(address)) is not None
    return "pick_first" if is_local(address) or is_number else "round_robin"


def _host(address: str) -> str:
    bare = re.sub(r"^(dns|ipv4|ipv6):(///?)?", "", address)
    bracketed = re.match(r"\[([^\]]*)\]", bare)
    if bracketed:
        return bracketed.group(1)
    return bare if bare.count(":") > 1 else bare.partition(":")[0]
