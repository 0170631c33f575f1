"""Every variant of the bootstrap is one that Envoy takes, and says about retries what the contract allows."""

import functools
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from deploy.envoy.options import Address, Balancer, Bootstrap, DownstreamTls, Listener, UpstreamTls
from deploy.envoy.render import render
from tools.certificates import pem
from tools.stack.settings import ROOT, envoy_binary
from trivium.v1 import analysis_pb2, embedding_pb2, generation_pb2, models_pb2, speech_pb2, vision_pb2

FILES = (analysis_pb2, embedding_pb2, generation_pb2, models_pb2, speech_pb2, vision_pb2)
METHODS: tuple[MethodDescriptor, ...] = tuple(
    method for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
)
PLAINTEXT = Listener(name="plaintext", address=Address("127.0.0.1", 50080))
REPLICAS = (Address("127.0.0.1", 50061), Address("::1", 50062))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("keys")
    for name in ("root", "server", "server_key", "client", "client_key"):
        (folder / f"{name}.pem").write_text(pem(name))
    return folder


def tls_listener(keys: Path, *, asks_for_certificate: bool) -> Listener:
    tls = DownstreamTls(
        certificate=str(keys / "server.pem"),
        private_key=str(keys / "server_key.pem"),
        client_ca=str(keys / "root.pem") if asks_for_certificate else None,
    )
    return Listener(name="tls", address=Address("::", 50443), tls=tls)


def upstream_tls(keys: Path, *, shows_certificate: bool) -> UpstreamTls:
    return UpstreamTls(
        ca=str(keys / "root.pem"),
        name="trivium.test",
        certificate=str(keys / "client.pem") if shows_certificate else None,
        private_key=str(keys / "client_key.pem") if shows_certificate else None,
    )


def variants(keys: Path) -> dict[str, Bootstrap]:
    """Each balancer, each way to reach replicas, and every option at least once."""
    return {
        "least requests": Bootstrap(
            replicas=REPLICAS, listeners=(PLAINTEXT, tls_listener(keys, asks_for_certificate=False))
        ),
        "ORCA, TLS": Bootstrap(
            replicas=REPLICAS,
            listeners=(tls_listener(keys, asks_for_certificate=True),),
            balancer=Balancer.ORCA,
            upstream_tls=upstream_tls(keys, shows_certificate=False),
        ),
        "affinity, mTLS": Bootstrap(
            replicas=REPLICAS,
            listeners=(PLAINTEXT,),
            balancer=Balancer.AFFINITY,
            upstream_tls=upstream_tls(keys, shows_certificate=True),
        ),
        "a name for all replicas, probes, pages": Bootstrap(
            replicas=(Address("trivium.example", 50051),),
            listeners=(PLAINTEXT,),
            probes=Address("0.0.0.0", 9902),
            allowed_origins=("http://localhost:8000", "https://pages.example"),
            health_interval_s=0.25,
            ping_interval_s=1.5,
        ),
    }


def validate(text: str, file: Path) -> str:
    """Returns what Envoy says; AssertionError when it would not start."""
    file.write_text(text)
    command = [str(envoy_binary()), "--mode", "validate", "--config-path", str(file)]
    checked = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stderr
    return checked.stderr


def test_every_variant_is_valid(keys: Path, tmp_path: Path) -> None:
    for name, bootstrap in variants(keys).items():
        assert "[warning]" not in validate(render(bootstrap), tmp_path / "envoy.yaml"), name


def test_a_wrong_bootstrap_is_not_valid(tmp_path: Path) -> None:
    text = render(Bootstrap(replicas=REPLICAS, listeners=(PLAINTEXT,)))
    with pytest.raises(AssertionError, match="retry_limit"):
        validate(text.replace("retry_budget:", "retry_limit:"), tmp_path / "envoy.yaml")


@functools.cache
def retries() -> dict[str, list[str]]:
    """Returns for what each path of its own is sent again."""
    loaded = yaml.safe_load(render(Bootstrap(replicas=REPLICAS, listeners=(PLAINTEXT,))))
    manager = loaded["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    return {
        route["match"].get("path", route["match"].get("prefix")): route["route"]["retry_policy"]["retry_on"].split(",")
        for route in routes
        if "retry_policy" in route.get("route", {})
    }


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.full_name))
def test_only_idempotent_methods_without_streams_are_sent_again_after_a_reset(method: MethodDescriptor) -> None:
    path = f"/{method.containing_service.full_name}/{method.name}"
    level = method.GetOptions().idempotency_level
    is_idempotent = level in {MethodOptions.IDEMPOTENT, MethodOptions.NO_SIDE_EFFECTS}
    may_repeat = is_idempotent and not method.client_streaming and not method.server_streaming
    assert ("reset" in retries().get(path, [])) is may_repeat


def test_no_route_but_of_one_method_is_sent_again_after_a_reset() -> None:
    paths = {f"/{method.containing_service.full_name}/{method.name}" for method in METHODS}
    assert {path for path, causes in retries().items() if "reset" in causes} <= paths


def test_the_command_prints_what_envoy_takes(keys: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.envoy", "--replica", "127.0.0.1:50061", "--listen", "0.0.0.0:8443"]
    command += ["--tls-certificate", str(keys / "server.pem"), "--tls-private-key", str(keys / "server_key.pem")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    validate(printed, tmp_path / "envoy.yaml")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--replica", "nowhere", "--plaintext-listen", "127.0.0.1:1"], "'nowhere' is not host:port"),
        (["--replica", "127.0.0.1:0", "--plaintext-listen", "127.0.0.1:1"], "is not host:port"),
        (["--replica", "127.0.0.1:1"], "needs a replica and a listener"),
        (["--replica", "127.0.0.1:1", "--listen", "127.0.0.1:2"], "--listen needs --tls-certificate"),
        (["--replica", "a.example:1", "--replica", "b.example:1", "--plaintext-listen", "127.0.0.1:2"], "or one name"),
    ],
)
def test_the_command_says_what_is_wrong(wrong: list[str], said: str) -> None:
    command = [sys.executable, "-m", "deploy.envoy", *wrong]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert said in run.stderr
