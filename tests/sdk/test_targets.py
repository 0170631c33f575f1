"""Where a client connects to: what is taken for a target, what is refused, and what stays in plain text."""

import pytest

import trivium
from trivium import TLS
from trivium._target import is_local
from trivium.settings import ClientSettings


@pytest.mark.parametrize(
    ("target", "address", "is_encrypted"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051", False),
        ("example.org:443", "example.org:443", True),
        ("[::1]:1", "[::1]:1", False),
        ("http://example.org:50051", "example.org:50051", False),
        ("http://localhost:50051/", "localhost:50051", False),
        ("https://example.org", "example.org:443", True),
        ("https://127.0.0.1:50051", "127.0.0.1:50051", True),
        ("https://[2001:db8::1]", "[2001:db8::1]:443", True),
        ("dns:///example.org", "dns:///example.org", True),
        ("unix:/run/x.sock", "unix:/run/x.sock", False),
    ],
)
def test_target_as_people_write_it(target: str, address: str, is_encrypted: bool) -> None:
    settings = ClientSettings(target=target)
    assert (settings.target, settings.is_encrypted) == (address, is_encrypted)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("", "is empty"),
        ("localhost", "has no port; .*: localhost:50051"),
        ("localhost:", "has no port; .*: localhost:50051"),
        ("[::1]", r"has no port; .*: \[::1\]:50051"),
        ("http://localhost", "has no port"),
        ("::1", "without brackets"),
        ("localhost:0", "a port is 1 to 65535"),
        ("localhost:65536", "a port is 1 to 65535"),
        ("localhost:http", "is not host:port"),
        ("a b:1", "is not host:port"),
        ("localhost:1/v1", "is not host:port"),
        ("ftp://localhost:1", "is not host:port"),
        ("http://localhost:1/v1", "no place for it"),
        ("https://user@localhost:1", "has a user name or password"),
    ],
)
def test_what_is_no_target(target: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        trivium.Client(target)


@pytest.mark.parametrize(("target", "tls"), [("http://x:1", True), ("http://x:1", TLS()), ("https://x:1", False)])
def test_url_and_tls_cannot_contradict_each_other(target: str, tls: TLS | bool) -> None:
    with pytest.raises(ValueError, match="contradict"):
        trivium.Client(target, tls=tls)


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("127.0.0.1:50051", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:/run/x.sock", True),
        ("dns:///localhost:1", True),
        ("127.1.2.3:1", True),
        ("10.0.0.1:1", False),
        ("example.org:443", False),
        ("dns:///localhost.example.org:443", False),
        ("[2001:db8::1]:1", False),
        ("127.0.0.1.example.org:1", False),
    ],
)
def test_plain_text_stays_on_this_machine(target: str, local: bool) -> None:
    assert is_local(target) is local
    assert (ClientSettings(target=target).credentials() is None) is local
    assert ClientSettings(target=target, tls=False).credentials() is None
    assert ClientSettings(target=target, tls=True).credentials() is not None


def test_channel_options() -> None:
    options = dict(ClientSettings(target="example.org:443", channel_options=[("grpc.keepalive_time_ms", 1)]).options())
    assert options["grpc.max_receive_message_length"] == options["grpc.max_send_message_length"] == 16 * 1024 * 1024
    assert options["grpc.enable_retries"] == 0
    assert options["grpc.keepalive_permit_without_calls"] == 0
    assert "round_robin" in str(options["grpc.service_config"])
    assert options["grpc.keepalive_time_ms"] == 1
    assert "pick_first" in str(dict(ClientSettings(target="10.0.0.1:443").options())["grpc.service_config"])
