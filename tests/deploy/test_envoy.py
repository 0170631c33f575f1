"""The Envoys' bootstrap and their drain, with the pinned Envoy."""

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any  # a bootstrap is free JSON

import grpc
import pytest
import yaml

from tests.deploy.envoy_process import running_envoy
from tests.deploy.manifests import KUBERNETES, Overlay, container, container_ports, pod
from tests.server.stores import write_model
from tests.serving import RunningServer
from tools.certificates import pem
from tools.stack.settings import envoy_binary
from trivium.v1 import models_pb2
from trivium.v1.models_pb2_grpc import ModelServiceStub
from trivium_server.config import load_config

BOOTSTRAP = KUBERNETES / "base/bootstrap.yaml"
DRAIN = KUBERNETES / "base/drain.sh"


@pytest.fixture(scope="module")
def bootstrap() -> Any:
    return yaml.safe_load(BOOTSTRAP.read_text())


@pytest.fixture(scope="module")
def envoy() -> Any:
    return Overlay.build("production").the("Deployment", "trivium-envoy")


def clusters(bootstrap: Any) -> list[Any]:
    """Those of servers."""
    return [each for each in bootstrap["static_resources"]["clusters"] if each["name"] != "admin"]


def test_the_bootstrap_is_what_the_renderer_makes_now() -> None:
    done = subprocess.run([str(KUBERNETES / "render.sh")], capture_output=True, text=True, check=True)
    assert done.stdout == BOOTSTRAP.read_text(), (
        "run deploy/kubernetes/render.sh > deploy/kubernetes/base/bootstrap.yaml"
    )


def test_envoy_takes_the_bootstrap(tmp_path: Path) -> None:
    names = {"tls": ("server", "server_key"), "upstream": ("client", "client_key")}
    for folder, (certificate, key) in names.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tls.crt").write_text(pem(certificate))
        (tmp_path / folder / "tls.key").write_text(pem(key))
        (tmp_path / folder / "ca.crt").write_text(pem("root"))
    config = tmp_path / "envoy.yaml"
    config.write_text(BOOTSTRAP.read_text().replace('"/etc/envoy/', f'"{tmp_path}/'))
    done = subprocess.run(
        [str(envoy_binary()), "--mode", "validate", "--config-path", str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_envoy_listens_where_its_pods_say(bootstrap: Any, envoy: Any) -> None:
    listeners = {
        each["name"]: each["address"]["socket_address"]["port_value"]
        for each in bootstrap["static_resources"]["listeners"]
    }
    assert container_ports(envoy) == {"https": listeners["tls"], "probes": listeners["probes"]}


def test_envoy_looks_for_servers_where_they_are(bootstrap: Any) -> None:
    production = Overlay.build("production")
    server, service = production.the("Deployment", "trivium-server"), production.the("Service", "trivium-server")
    assert service["spec"]["clusterIP"] == "None"
    for cluster in clusters(bootstrap):
        assert cluster["type"] == "STRICT_DNS"
        [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        place = endpoint["endpoint"]["address"]["socket_address"]
        assert place == {"address": "trivium-server", "port_value": container_ports(server)["grpc"]}
        assert cluster["transport_socket"]["typed_config"]["sni"] == "trivium-server"


def test_envoy_reads_files_that_are_mounted(envoy: Any) -> None:
    mounts = {mount["mountPath"] for mount in container(envoy)["volumeMounts"]}
    # As Secrets of the type kubernetes.io/tls and certificate managers have them.
    files = {"tls.crt", "tls.key", "ca.crt"}
    named = [Path(name) for name in re.findall(r'"(/etc/envoy/[^"]+)"', BOOTSTRAP.read_text())]
    assert named
    assert all(str(path.parent) in mounts and path.name in files for path in named)
    args = container(envoy)["args"]
    assert args[args.index("--config-path") + 1] == "/etc/envoy/config/envoy.yaml"
    assert "/etc/envoy/config" in mounts


def test_servers_wait_for_two_health_checks_before_they_refuse(bootstrap: Any) -> None:
    production = Overlay.build("production")
    text = production.config_file(production.the("Deployment", "trivium-server"), "config", "trivium.toml")
    [wait_s] = re.findall(r"^health_wait_s = (\d+)$", text, re.MULTILINE)
    intervals = {check["interval"] for each in clusters(bootstrap) for check in each["health_checks"]}
    assert intervals
    assert all(2 * float(interval.removesuffix("s")) + 0.5 <= float(wait_s) for interval in intervals)


def test_envoy_sends_again_as_many_calls_as_a_server_can_lose(bootstrap: Any) -> None:
    most = load_config().limits.max_concurrent_calls
    for cluster in clusters(bootstrap):
        [threshold] = cluster["circuit_breakers"]["thresholds"]
        assert threshold["retry_budget"]["min_retry_concurrency"] == most


def test_the_drain_fits_into_the_grace_period(envoy: Any) -> None:
    *script, seconds = container(envoy)["lifecycle"]["preStop"]["exec"]["command"]
    assert script == ["/bin/bash", "/etc/envoy/config/drain.sh"]
    args = container(envoy)["args"]
    drain_s = int(args[args.index("--drain-time-s") + 1])
    assert drain_s < int(seconds) < pod(envoy)["terminationGracePeriodSeconds"] - 10


@pytest.fixture
def watched_envoy(tmp_path: Path) -> Iterator[tuple[grpc.Channel, int]]:
    """The channel of a call through an Envoy that never ends by itself, and the port of Envoy's administration."""
    write_model(tmp_path, "hollow")
    with (
        RunningServer(tmp_path, models__load="none") as server,
        running_envoy(server.address, tmp_path) as (target, admin),
        grpc.insecure_channel(target) as channel,
    ):
        watch = ModelServiceStub(channel).WatchModels(models_pb2.WatchModelsRequest(), wait_for_ready=True, timeout=120)
        next(iter(watch))
        yield channel, admin


def drain(seconds: int, admin: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["/bin/bash", str(DRAIN), str(seconds), str(admin)])


@pytest.mark.alone
def test_an_envoy_that_drains_waits_for_its_calls(watched_envoy: tuple[grpc.Channel, int]) -> None:
    channel, admin = watched_envoy
    with drain(60, admin) as draining:
        with pytest.raises(subprocess.TimeoutExpired):
            draining.wait(12)
        # The call ends with its channel, and then nothing is under way.
        channel.close()
        assert draining.wait(10) == 0


@pytest.mark.alone
def test_a_drain_ends_when_its_time_is_over(watched_envoy: tuple[grpc.Channel, int]) -> None:
    _, admin = watched_envoy
    started = time.monotonic()
    with drain(8, admin) as draining:
        assert draining.wait(30) == 0
    assert 7 < time.monotonic() - started < 13
