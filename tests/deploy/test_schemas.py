"""Kubernetes' own schemas, as kubernetes-validate ships them, accept every object."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.manifests import OVERLAYS, Overlay, kustomized

# The oldest that the manifests are meant for, and the newest that the package knows.
VERSIONS = ("1.29", "1.37")


def validate(path: Path, version: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", "--kubernetes-version", version, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_is_valid(name: str, version: str, tmp_path: Path) -> None:
    path = tmp_path / "manifests.yaml"
    path.write_text(kustomized(name))
    done = validate(path, version)
    assert done.returncode == 0, done.stderr
    # A kind without a schema is a warning only, so they are counted.
    passed = [line for line in (done.stdout + done.stderr).splitlines() if f"against version {version}" in line]
    assert len(passed) == len(Overlay.build(name).objects)
    assert all(" passed for resource " in line for line in passed)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("terminationGracePeriodSeconds:", "terminationGraceSeconds:"),
        ("replicas: 1", "replicas: one"),
        ("containerPort: 50051", "containerPort: grpc"),
    ],
)
def test_a_wrong_object_is_found(right: str, wrong: str, tmp_path: Path) -> None:
    assert right in kustomized("dev")
    path = tmp_path / "manifests.yaml"
    path.write_text(kustomized("dev").replace(right, wrong, 1))
    assert validate(path, VERSIONS[-1]).returncode != 0
