"""TLS between the client and a real server: when it works, and what is said when both ends do not agree."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

import trivium
from tests.sdk.command import Command
from tests.sdk.faces import Face
from tests.server.stores import write_model
from tests.serving import RunningServer
from trivium import TLS, errors

Connect = Callable[..., Face]
ONCE = trivium.RetryPolicy(max_attempts=1)
OPENSSL = [
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
    *("-subj", "/CN=trivium.test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:trivium.test"),
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and trivium.test, which is its own authority."""
    folder: Path = tmp_path_factory.mktemp("keys")
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*OPENSSL, *files], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store: Path = tmp_path_factory.mktemp("store")
    write_model(store, "hollow")
    return store


@pytest.fixture(scope="module")
def encrypted(store: Path, keys: Path) -> Iterator[str]:
    """The address of a server with TLS."""
    files = {"server__tls_certificate": str(keys / "cert.pem"), "server__tls_private_key": str(keys / "key.pem")}
    with RunningServer(store, models__load="none", **files) as running:
        yield running.address


@pytest.fixture(scope="module")
def mutual(store: Path, keys: Path) -> Iterator[str]:
    """The address of a server that asks for a client certificate."""
    files = {
        "server__tls_certificate": str(keys / "cert.pem"),
        "server__tls_private_key": str(keys / "key.pem"),
        "server__tls_client_ca": str(keys / "cert.pem"),
    }
    with RunningServer(store, models__load="none", **files) as running:
        yield running.address


@pytest.fixture(scope="module")
def plain(store: Path) -> Iterator[str]:
    """The address of a server without TLS."""
    with RunningServer(store, models__load="none") as running:
        yield running.address


def answers(face: Face) -> bool:
    (model,) = face.call("models.list")
    return bool(model.name == "hollow") and bool(face.first("models.watch").model == model)


def test_own_authority_and_name(connect: Connect, encrypted: str, keys: Path) -> None:
    roots = (keys / "cert.pem").read_bytes()
    assert answers(connect(encrypted, tls=TLS(root_certificates=roots)))
    assert answers(connect(f"https://{encrypted}", tls=grpc.ssl_channel_credentials(roots)))
    named = TLS(root_certificates=roots, server_name="trivium.test")
    assert answers(connect(encrypted, tls=named))


def test_client_certificate(connect: Connect, mutual: str, keys: Path) -> None:
    certificate, key = (keys / "cert.pem").read_bytes(), (keys / "key.pem").read_bytes()
    tls = TLS(root_certificates=certificate, certificate=certificate, private_key=key)
    assert answers(connect(mutual, tls=tls))


def failures(face: Face) -> list[errors.TriviumError]:
    caught: list[errors.TriviumError] = []
    for method, run in (("models.list", face.call), ("models.watch", face.first)):
        with pytest.raises(errors.ServerUnavailable) as failed:
            run(method)
        assert isinstance(failed.value.__context__, grpc.RpcError)
        caught.append(failed.value)
    return caught


def test_tls_with_a_server_in_plain_text(connect: Connect, plain: str) -> None:
    for error in failures(connect(f"https://{plain}", retry=ONCE)):
        assert error.message == "the server does not speak TLS; connect to it with tls=False"


def test_plain_text_with_a_server_that_speaks_tls(connect: Connect, encrypted: str) -> None:
    for error in failures(connect(f"http://{encrypted}", retry=ONCE)):
        assert "connect with tls=True if it speaks TLS" in error.message


def test_unknown_authority(connect: Connect, encrypted: str) -> None:
    for error in failures(connect(encrypted, tls=True, retry=ONCE)):
        assert "tls=TLS(root_certificates=...)" in error.message


def test_certificate_for_another_name(connect: Connect, encrypted: str, keys: Path) -> None:
    tls = TLS(root_certificates=(keys / "cert.pem").read_bytes(), server_name="other.test")
    for error in failures(connect(encrypted, tls=tls, retry=ONCE)):
        assert "tls=TLS(server_name=...)" in error.message


def test_missing_client_certificate(connect: Connect, mutual: str, keys: Path) -> None:
    tls = TLS(root_certificates=(keys / "cert.pem").read_bytes())
    for error in failures(connect(mutual, tls=tls, retry=ONCE)):
        assert "tls=TLS(certificate=..., private_key=...)" in error.message


def test_command_names_the_option(tmp_path: Path, plain: str, encrypted: str, keys: Path) -> None:
    for target, options, says in (
        (plain, ("--tls",), "does not speak TLS; use --no-tls"),
        (encrypted, (), "if it speaks TLS, use --tls"),
        (encrypted, ("--tls",), "give the one that signed it as --ca-file"),
    ):
        done = Command(tmp_path, target).run("status", *options)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(f"trivium: the server at {target} "), done.stderr
        assert says in done.stderr
    trusting = Command(tmp_path, encrypted).run("status", "--ca-file", str(keys / "cert.pem"))
    assert trusting.returncode == 0, trusting.stderr


def test_disagreement_about_tls_is_not_tried_again(connect: Connect, plain: str) -> None:
    started = time.monotonic()
    failures(connect(f"https://{plain}", retry=trivium.RetryPolicy(initial_backoff_s=30, max_backoff_s=30)))
    assert time.monotonic() - started < 15
