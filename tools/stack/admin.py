"""What Envoy's administration is asked: is it ready, which replicas does it use, how many calls are under way."""

import http.client
import json
from dataclasses import dataclass

__all__ = ["Admin", "HostView"]

_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """A replica as Envoy sees it: the services that it would be chosen for, and the calls under way on it."""

    services: frozenset[str]
    active_calls: int


class Admin:
    """Asks over HTTP on loopback, and blocks meanwhile, for two seconds at most.

    Raises OSError where Envoy does not answer.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def is_ready(self) -> bool:
        return self._ask("GET", "/ready").startswith("LIVE")

    def hosts(self) -> dict[str, HostView]:
        """Returns replicas by address. Services have their full names; the cluster for all of them is left out."""
        statuses = json.loads(self._ask("GET", "/clusters?format=json")).get("cluster_statuses", [])
        services: dict[str, set[str]] = {}
        active: dict[str, int] = {}
        for cluster in statuses:
            for host in cluster.get("host_statuses", []):
                place = host["address"]["socket_address"]
                address = f"{place['address']}:{place['port_value']}"
                chosen = services.setdefault(address, set())
                if "." in cluster["name"] and _is_healthy(host["health_status"]):
                    chosen.add(cluster["name"])
                stats = {stat["name"]: int(stat.get("value", 0)) for stat in host["stats"]}
                active[address] = active.get(address, 0) + stats.get("rq_active", 0)
        return {
            address: HostView(services=frozenset(names), active_calls=active[address])
            for address, names in services.items()
        }

    def active_calls(self) -> int:
        """Returns how many calls of callers are under way."""
        lines = self._ask("GET", "/stats?filter=^http\\..*\\.downstream_rq_active$").splitlines()
        # This question is one itself.
        return sum(int(line.rpartition(":")[2]) for line in lines if not line.startswith("http.admin."))

    def counter(self, name: str) -> int:
        """Returns a counter of Envoy's by its full name."""
        return int(self._ask("GET", f"/stats?filter=^{name}$").rpartition(":")[2])

    def drain(self) -> None:
        """Makes Envoy ask its callers to go elsewhere, and then listen no more."""
        self._ask("POST", "/drain_listeners?graceful&skip_exit")

    def _ask(self, method: str, path: str) -> str:
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path)
            return connection.getresponse().read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(f"Envoy's administration gave no whole answer to {path}") from error
        finally:
            connection.close()


def _is_healthy(status: dict[str, object]) -> bool:
    return set(status) <= {"eds_health_status"}
