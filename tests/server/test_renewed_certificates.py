"""Certificates are renewed while the server runs, in each of the ways in which that goes right and wrong."""

import contextlib
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.server.keys import KeyPair, self_signed
from tests.server.processes import ServerProcess, command, environment
from tests.server.test_listening import is_alive

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="makes certificates with the openssl command")
KEPT = "new certificates cannot be used, keeping the old ones"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return self_signed(tmp_path_factory.mktemp("old"), "old")


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return self_signed(tmp_path_factory.mktemp("new"), "new")


@contextlib.contextmanager
def server_with(folder: Path, **settings: str) -> Iterator[ServerProcess]:
    """A server without models that reads its pair from cert.pem and key.pem of this folder."""
    keys = {
        "TRIVIUM_SERVER_TLS_CERTIFICATE": str(folder / "cert.pem"),
        "TRIVIUM_SERVER_TLS_PRIVATE_KEY": str(folder / "key.pem"),
        "TRIVIUM_MODELS_LOAD": "none",
    }
    with ServerProcess(folder, **(keys | settings)) as server:
        assert server.address
        yield server


def shows(server: ServerProcess, pair: KeyPair) -> bool:
    """Whether a new connection is shown this certificate."""
    host, port = server.address.split(":")
    return ssl.get_server_certificate((host, int(port))).strip() == pair.certificate.read_text().strip()


def accepts(server: ServerProcess, client: KeyPair, roots: bytes) -> bool:
    """Whether a new connection with this client's certificate is let in."""
    keys = grpc.ssl_channel_credentials(roots, client.key.read_bytes(), client.roots)
    # Each its own pool: a channel like an earlier one would share its connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    try:
        return is_alive(grpc.secure_channel(server.address, keys, options=options))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False


def num_logged(server: ServerProcess, text: str) -> int:
    return sum(text in line for line in server.lines)


def test_new_connections_get_the_new_certificate_and_calls_go_on(tmp_path: Path, old: KeyPair, new: KeyPair) -> None:
    old.install(tmp_path)
    with server_with(tmp_path) as server:
        with grpc.secure_channel(server.address, grpc.ssl_channel_credentials(old.roots)) as channel:
            watch = HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            new.install(tmp_path)
            assert shows(server, new)
            assert shows(server, new)
            assert watch.is_active()
            assert is_alive(channel), "the old connection goes on"
        assert num_logged(server, "certificates read anew") == 1


@pytest.mark.parametrize("damage", ["mismatch", "no PEM", "missing", "unreadable"])
def test_a_bad_renewal_keeps_the_old_and_is_logged_once(
    tmp_path: Path, old: KeyPair, new: KeyPair, damage: str
) -> None:
    old.install(tmp_path)
    with server_with(tmp_path) as server:
        key = tmp_path / "key.pem"
        if damage == "mismatch":
            key.write_bytes(new.key.read_bytes())
        elif damage == "no PEM":
            key.write_text("half a ")
        else:
            key.unlink()
            if damage == "unreadable":
                key.mkdir()
        for _ in range(3):
            assert shows(server, old)
        server.wait_for(KEPT)
        assert num_logged(server, KEPT) == 1
        assert num_logged(server, "PRIVATE KEY") == 0
        if damage == "unreadable":
            key.rmdir()
        new.install(tmp_path)
        assert shows(server, new), "what is mended is taken up"


def test_a_swapped_link_is_a_renewal(tmp_path: Path, old: KeyPair, new: KeyPair) -> None:
    """As Kubernetes renews the files of a secret: all at once, by a link to a folder."""
    for name, pair in (("one", old), ("two", new)):
        (tmp_path / name).mkdir()
        pair.install(tmp_path / name)
    (tmp_path / "data").symlink_to("one")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).symlink_to(f"data/{name}")
    with server_with(tmp_path) as server:
        assert shows(server, old)
        (tmp_path / "next").symlink_to("two")
        os.replace(tmp_path / "next", tmp_path / "data")  # noqa: PTH105  # pathlib's rename promises less
        assert shows(server, new)


def test_the_clients_authority_is_renewed_too(tmp_path: Path, old: KeyPair, new: KeyPair) -> None:
    old.install(tmp_path)
    authority = tmp_path / "clients.pem"
    authority.write_bytes(old.roots)
    with server_with(tmp_path, TRIVIUM_SERVER_TLS_CLIENT_CA=str(authority)) as server:
        assert accepts(server, old, old.roots)
        assert not accepts(server, new, old.roots)
        authority.write_bytes(new.roots)
        assert accepts(server, new, old.roots)
        assert not accepts(server, old, old.roots)
        authority.write_text("no certificates")
        assert accepts(server, new, old.roots)
        assert not accepts(server, old, old.roots)
        server.wait_for(KEPT)


def test_a_key_with_a_password_is_refused_at_start(tmp_path: Path) -> None:
    pair = self_signed(tmp_path, "locked", password="a-password")
    settings = {
        "TRIVIUM_SERVER_TLS_CERTIFICATE": str(pair.certificate),
        "TRIVIUM_SERVER_TLS_PRIVATE_KEY": str(pair.key),
    }
    arguments = ["--listen", "127.0.0.1:0", "--models-dir", str(tmp_path), "--model", "none"]
    ended = subprocess.run(
        command(*arguments), env=environment(**settings), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "unencrypted key" in ended.stderr
