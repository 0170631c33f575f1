"""What goes along with a call: the client's metadata, the caller's, and the request id."""

import string
from collections.abc import Callable

import grpc
import pytest

import trivium
from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, reply
from trivium import _calls
from trivium.settings import CallOptions
from trivium.v1 import generation_pb2

Connect = Callable[..., Face]
ANSWER = reply(generation_pb2.GenerateResponse())


def test_metadata_of_a_call(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, ANSWER)
    face = connect(faults.target, token="secret", metadata={"trivium-tenant": "t"})
    face.call("text.generate", "Hi", request_id="mine", metadata={"X-Extra": "1"})
    face.call("text.generate", "Hi")
    first, second = (call.metadata for call in faults.received)
    assert first["x-request-id"] == "mine"
    assert first["authorization"] == "Bearer secret"
    assert (first["trivium-tenant"], first["x-extra"]) == ("t", "1")
    assert str(first["trivium-client"]).startswith(f"trivium-python/{trivium.__version__} python/3.")
    assert str(first["user-agent"]).startswith(f"trivium-python/{trivium.__version__}")
    assert len(str(second["x-request-id"])) == 36
    assert "x-extra" not in second
    assert "secret" not in repr(face.client._transport.settings)


def test_metadata_of_a_call_wins_and_may_be_bytes(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, ANSWER)
    face = connect(faults.target, metadata={"Tenant": "client", "x-blob-bin": b"\x00\xff"})
    face.call("text.generate", "Hi", metadata={"tenant": "call"})
    assert faults.received[0].metadata["tenant"] == "call"
    assert faults.received[0].metadata["x-blob-bin"] == b"\x00\xff"


@pytest.mark.parametrize(
    ("metadata", "kind", "says"),
    [
        ({"x-request-id": "1"}, ValueError, "'x-request-id'.*give request_id"),
        ({"Authorization": "y"}, ValueError, "'Authorization'.*give token"),
        ({"trivium-client": "y"}, ValueError, "'trivium-client'"),
        ({"user-agent": "y"}, ValueError, "'user-agent'"),
        ({"grpc-timeout": "1S"}, ValueError, "'grpc-timeout'.*gRPC's own"),
        ({"a b": "y"}, ValueError, "'a b'"),
        ({"": "y"}, ValueError, "''"),
        ({"a": "1", "A": "2"}, ValueError, "'A' twice"),
        ({"a": "line\nbreak"}, ValueError, "'a' is not printable"),
        ({"a": "é"}, ValueError, "'a' is not printable"),
        ({"a": b"y"}, TypeError, "'a' is bytes, not text"),
        ({"a": 7}, TypeError, "'a' is int, not text"),
        ({"a-bin": "y"}, TypeError, "'a-bin' is str, not bytes"),
    ],
)
def test_metadata_that_cannot_be_sent_is_named(
    connect: Connect, metadata: trivium.Metadata, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        connect("127.0.0.1:1", metadata=metadata)
    face = connect("127.0.0.1:1")
    for method, run in (("text.generate", face.call), ("text.stream", face.open)):
        with pytest.raises(kind, match=says):
            run(method, "Hi", metadata=metadata)


@pytest.mark.parametrize("token", ["", "secret\n", "secr et", "sécret"])
def test_token_that_no_header_carries_is_refused_unseen(token: str) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        trivium.Client("127.0.0.1:1", token=token)
    assert not token or token not in str(caught.value)


def test_request_id_rule_is_the_servers(grpc_channel: grpc.Channel) -> None:
    call = grpc_channel.unary_unary(_calls.LIST_MODELS.path, None, None)

    def is_kept(request_id: str) -> bool:
        answered = call.with_call(b"", metadata=(("x-request-id", request_id),))[1].trailing_metadata()
        return dict(answered)["x-request-id"] == request_id

    def is_taken(request_id: str) -> bool:
        try:
            CallOptions(timeout_s=None, request_id=request_id)
        except ValueError:
            return False
        return True

    printable = [character for character in string.printable if character > " "]
    for request_id in (*printable, "a b", "x" * 128, "x" * 129):
        assert is_taken(request_id) is is_kept(request_id), request_id
