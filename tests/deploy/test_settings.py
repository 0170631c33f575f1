"""What the manifests tell servers, as the server itself reads it, and what follows from it for Kubernetes."""

import re
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import KUBERNETES, ROOT, Overlay, container, container_ports, pod, probes
from trivium_server.config import Config, ConfigError, load_config, settings
from trivium_server.telemetry.metrics import Metric

# Health turns NOT_SERVING, models close, and the last words are sent: what draining takes beside its two settings.
CLOSING_S = 10
TLS_FOLDER = "/etc/trivium/tls"


@pytest.fixture(scope="module")
def config(overlay: Overlay, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The settings, with certificates that exist here in the place of those of the Secret."""
    folder: Path = tmp_path_factory.mktemp("settings")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (folder / name).touch()
    text = overlay.config_file(overlay.the("Deployment", "trivium-server"), "config", "trivium.toml")
    (folder / "trivium.toml").write_text(text.replace(f'"{TLS_FOLDER}/', f'"{folder}/'))
    return load_config(file=folder / "trivium.toml", env=_environment(overlay))


def _environment(overlay: Overlay) -> dict[str, str]:
    """The variables of the image and of the container."""
    image = (ROOT / "Dockerfile").read_text()
    found = dict(re.findall(r"^(?:ENV)? +([A-Z_]+)=(\S+)", image, re.MULTILINE))
    server = container(overlay.the("Deployment", "trivium-server"))
    return found | {each["name"]: each["value"] for each in server.get("env", [])}


def test_variables_are_settings(overlay: Overlay) -> None:
    known = {setting.env_name for setting in settings()}
    given = {name for name in _environment(overlay) if name.startswith("TRIVIUM_")}
    assert given == {"TRIVIUM_MODELS_DIR"}
    assert given <= known


def test_variables_of_services_would_be_refused() -> None:
    """Why pods have enableServiceLinks: false."""
    with pytest.raises(ConfigError, match="TRIVIUM_SERVER_PORT: is no setting"):
        load_config(env={"TRIVIUM_SERVER_PORT": "tcp://10.0.0.1:50051"})


def test_server_reads_the_file_that_is_mounted(overlay: Overlay) -> None:
    server = container(overlay.the("Deployment", "trivium-server"))
    mounts = {mount["name"]: mount["mountPath"] for mount in server["volumeMounts"]}
    assert server["args"] == ["--config", f"{mounts['config']}/trivium.toml"]
    assert "command" not in server
    assert mounts["tls"] == TLS_FOLDER


def test_server_listens_where_its_pods_say(overlay: Overlay, config: Config) -> None:
    server = overlay.the("Deployment", "trivium-server")
    assert config.metrics_address is not None
    assert not config.address.is_loopback
    assert not config.metrics_address.is_loopback
    assert container_ports(server) == {"grpc": config.address.port, "metrics": config.metrics_address.port}


def test_only_envoy_can_call_and_nothing_is_told_to_strangers(config: Config) -> None:
    assert config.server.tls_client_ca is not None
    assert not config.server.allow_insecure
    assert not config.reflection_is_on


def test_probes_ask_paths_that_the_server_has(overlay: Overlay) -> None:
    source = (ROOT / "service/trivium_server/rpc/probes.py").read_text()
    for name, request in probes(overlay.the("Deployment", "trivium-server")):
        assert request["path"] == ("/livez" if name == "livenessProbe" else "/readyz")
        assert f'"{request["path"]}":' in source


def test_a_drain_fits_into_the_grace_period(overlay: Overlay, config: Config) -> None:
    server = pod(overlay.the("Deployment", "trivium-server"))
    needs = config.health_wait_s + config.drain.grace_s + CLOSING_S
    assert needs <= server["terminationGracePeriodSeconds"]
    assert "lifecycle" not in container(overlay.the("Deployment", "trivium-server"))


def test_the_job_fetches_what_servers_load(overlay: Overlay, config: Config) -> None:
    job = container(overlay.the("Job", "trivium-models"))
    assert job["command"] == ["trivium", "models", "pull"]
    assert tuple(job["args"]) == config.models.load
    assert set(job["args"]) <= {path.stem for path in (ROOT / "models/catalog").glob("*.toml")}


def test_servers_read_the_store_that_the_job_fills(overlay: Overlay, config: Config) -> None:
    for name, kind, may_write in (("trivium-server", "Deployment", False), ("trivium-models", "Job", True)):
        workload = overlay.the(kind, name)
        [mount] = [each for each in container(workload)["volumeMounts"] if each["mountPath"] == str(config.models.dir)]
        [volume] = [each for each in pod(workload)["volumes"] if each["name"] == mount["name"]]
        assert volume["persistentVolumeClaim"]["claimName"] == "trivium-models"
        assert mount.get("readOnly", False) is not may_write


def test_the_autoscaler_reads_metrics_that_there_are() -> None:
    production = Overlay.build("production")
    scaler = production.the("HorizontalPodAutoscaler", "trivium-server")["spec"]
    [target] = [each for each in production.of("Deployment") if each["metadata"]["name"] == "trivium-server"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "trivium-server"}
    # A number of its own would undo the autoscaler's at each rollout.
    assert "replicas" not in target["spec"]
    asked = {each["pods"]["metric"]["name"] for each in scaler["metrics"]}
    assert asked <= {metric.value.name for metric in Metric}
    rules = yaml.safe_load((KUBERNETES / "overlays/production/prometheus-adapter.yaml").read_text())
    assert {rule["seriesQuery"].partition("{")[0] for rule in rules} == asked
