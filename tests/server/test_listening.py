"""Where the server listens: a free port, a Unix socket, TLS with and without client certificates."""

import shutil
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.server.keys import KeyPair, self_signed
from tests.server.stores import write_model
from tests.serving import RunningServer
from trivium_server.rpc.server import ListenError

SERVING = health_pb2.HealthCheckResponse.SERVING


def is_alive(channel: grpc.Channel) -> bool:
    with channel:
        return bool(HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10).status == SERVING)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store: Path = tmp_path_factory.mktemp("store")
    write_model(store, "hollow")
    return store


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    if not shutil.which("openssl"):
        pytest.skip("makes a certificate with the openssl command")
    return self_signed(tmp_path_factory.mktemp("keys"), "server")


def test_port_zero_takes_a_free_port(store: Path) -> None:
    with RunningServer(store, models__load="none") as one, RunningServer(store, models__load="none") as two:
        assert one.address != two.address
        assert is_alive(one.channel())
        assert is_alive(two.channel())


def test_unix_socket(store: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'trivium.sock'}"
    with RunningServer(store, models__load="none", server__listen=address) as running:
        assert running.address == address
        assert is_alive(running.channel())


def test_tls(store: Path, keys: KeyPair) -> None:
    settings = {"server__tls_certificate": str(keys.certificate), "server__tls_private_key": str(keys.key)}
    with RunningServer(store, models__load="none", **settings) as running:
        assert is_alive(grpc.secure_channel(running.address, grpc.ssl_channel_credentials(keys.roots)))
        with pytest.raises(grpc.RpcError) as caught:
            is_alive(running.channel())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_clients_without_a_certificate_are_refused_where_one_is_asked(store: Path, keys: KeyPair) -> None:
    settings = {
        "server__tls_certificate": str(keys.certificate),
        "server__tls_private_key": str(keys.key),
        "server__tls_client_ca": str(keys.certificate),
    }
    roots, key = keys.roots, keys.key.read_bytes()
    with RunningServer(store, models__load="none", **settings) as running:
        assert is_alive(grpc.secure_channel(running.address, grpc.ssl_channel_credentials(roots, key, roots)))
        with pytest.raises(grpc.RpcError) as caught:
            is_alive(grpc.secure_channel(running.address, grpc.ssl_channel_credentials(roots)))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_files_that_are_no_keys_are_one_clear_error(store: Path, keys: KeyPair) -> None:
    settings = {"server__tls_certificate": str(keys.key), "server__tls_private_key": str(keys.certificate)}
    with pytest.raises(ListenError, match=r"tls_certificate .* are no certificate with its own"):
        RunningServer(store, models__load="none", **settings)


def test_a_request_beyond_the_size_limit_is_refused(store: Path) -> None:
    with RunningServer(store, models__load="none", limits__max_request_bytes=65536) as running:
        with running.channel() as channel:
            call = channel.unary_unary("/trivium.v1.ModelService/GetModel", None, None)
            with pytest.raises(grpc.RpcError) as caught:
                call(b"\x0a" + b"\x80\x80\x08" + b"x" * 131072)
        # gRPC itself refuses this, before any code of ours: models.proto says so at max_request_bytes.
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
