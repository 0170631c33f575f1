"""Addresses to listen on: `host:port`, `[v6]:port` or `unix:path`."""

import ipaddress
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A checked address. `port` is None for a Unix socket; port 0 takes any free one."""

    text: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "ListenAddress":
        """Raises ValueError for anything that is not host:port, [v6]:port or unix:path."""
        if text.startswith("unix:"):
            if len(text) <= len("unix:"):
                raise ValueError(text)
            return cls(text, "", None)
        found = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})", text)
        if not found or int(found["port"]) > 65535:
            raise ValueError(text)
        if found["v6"]:
            ipaddress.IPv6Address(found["v6"])
        return cls(text, found["v6"] or found["host"], int(found["port"]))

    @property
    def is_loopback(self) -> bool:
        """Only this machine can connect: a loopback address, `localhost`, or a Unix socket."""
        if self.port is None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def with_port(self, port: int) -> str:
        """Returns the address with the port that was really bound."""
        if self.port is None:
            return self.text
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"
