"""The manifests of an overlay as Kustomize makes them, and what the tests ask of them."""

import functools
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # manifests are free JSON; what has no right form fails the schemas' test

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = ("dev", "production")

Object = Mapping[str, Any]


@functools.cache
def kustomized(overlay: str) -> str:
    """Returns the YAML that `kubectl apply` would get."""
    kustomize = os.environ.get("KUSTOMIZE", str(ROOT / ".tools/bin/kustomize"))
    assert Path(kustomize).exists(), f"there is no kustomize at {kustomize}; `make .tools/bin/kustomize` installs it"
    done = subprocess.run(
        [kustomize, "build", str(KUBERNETES / "overlays" / overlay)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class Overlay:
    """All objects of an overlay."""

    name: str
    objects: tuple[Object, ...]

    @classmethod
    def build(cls, name: str) -> "Overlay":
        return cls(name, tuple(yaml.safe_load_all(kustomized(name))))

    def of(self, *kinds: str) -> list[Object]:
        return [found for found in self.objects if found["kind"] in kinds]

    def the(self, kind: str, name: str) -> Object:
        [found] = [found for found in self.of(kind) if found["metadata"]["name"] == name]
        return found

    def workloads(self) -> list[Object]:
        """Everything that makes pods."""
        return self.of("Deployment", "Job")

    def selected(self, selector: Object) -> list[Object]:
        """The workloads whose pods have these labels; all where it has none."""
        wanted = selector.get("matchLabels", {}).items()
        return [
            found for found in self.workloads() if wanted <= found["spec"]["template"]["metadata"]["labels"].items()
        ]

    def config_file(self, workload: Object, volume: str, name: str) -> str:
        """The text of a file of a ConfigMap that a volume of the workload's pods brings."""
        [mounted] = [each for each in pod(workload)["volumes"] if each["name"] == volume]
        text: str = self.the("ConfigMap", mounted["configMap"]["name"])["data"][name]
        return text


def pod(workload: Object) -> Object:
    """The specification of its pods."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def container(workload: Object) -> Object:
    """The only container of its pods."""
    [only] = pod(workload)["containers"]
    return dict(only)


def container_ports(workload: Object) -> dict[str, int]:
    """Ports of its pods, by name."""
    return {port["name"]: port["containerPort"] for port in container(workload).get("ports", [])}


def port_number(workload: Object, port: str | int) -> int:
    """The number of a port that is given by name or number. It must be one that the pods have."""
    ports = container_ports(workload)
    number = ports[port] if isinstance(port, str) else port
    assert number in ports.values(), f"{workload['metadata']['name']} has no port {port}"
    return number


def probes(workload: Object) -> Iterator[tuple[str, Object]]:
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        yield name, container(workload)[name]["httpGet"]
