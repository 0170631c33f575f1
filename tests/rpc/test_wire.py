"""Bytes that are no good requests: the caller hears which field is wrong, and never UNKNOWN or INTERNAL."""

from typing import Any  # fields of many types, by name

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rpc.requests import chat
from tests.serving import Failure, RunningServer
from trivium.v1 import generation_pb2 as pb
from trivium_server.rpc.wire import first_bad_string

METHODS = (
    ("unary_unary", "/trivium.v1.TextGenerationService/Generate"),
    ("unary_stream", "/trivium.v1.TextGenerationService/StreamGenerate"),
    ("unary_unary", "/trivium.v1.TextGenerationService/CountTokens"),
    ("unary_unary", "/trivium.v1.ModelService/ListModels"),
    ("unary_unary", "/trivium.v1.ModelService/GetModel"),
    ("unary_stream", "/trivium.admin.v1.AdminService/LoadModel"),
    ("unary_unary", "/trivium.admin.v1.AdminService/UnloadModel"),
)
BAD = b"caf\xe9"


def send(channel: grpc.Channel, kind: str, method: str, raw: bytes) -> Failure | None:
    """Sends bytes as they are; None when the call succeeds."""
    call = getattr(channel, kind)(method, None, None)
    try:
        answer = call(raw, timeout=30)
        if kind == "unary_stream":
            list(answer)
    except grpc.RpcError as error:
        return Failure(error)
    return None


def with_bad_text(message: pb.GenerateRequest, marker: str = "@@@@") -> bytes:
    """Replaces four good bytes of a string by four that are not UTF-8."""
    raw = message.SerializeToString()
    assert marker.encode() in raw
    return raw.replace(marker.encode(), BAD)


@pytest.mark.parametrize(
    ("field", "source"),
    [
        ("input.conversation.messages[1].parts[0].text", chat("good", "@@@@")),
        ("input.text", pb.GenerationInput(model="m", text="@@@@")),
        ("input.model", chat("Hi", model="@@@@")),
        ("input.sampling.stop_sequences[2]", chat("Hi", stop_sequences=["a", "b", "@@@@"])),
    ],
)
def test_text_that_is_not_utf8_is_named(grpc_channel: grpc.Channel, field: str, source: pb.GenerationInput) -> None:
    raw = with_bad_text(pb.GenerateRequest(input=source))
    for kind, method in METHODS[:3]:
        failure = send(grpc_channel, kind, method, raw)
        assert failure is not None
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD")
        assert failure.fields == {field: "is not valid UTF-8"}


@pytest.mark.parametrize("raw", [b"\x00", b"\xff", b"\x0a\xff", b"\x0a\x05a", b"\x07", b"\x0c", b"\x0a\x80" * 40])
def test_bytes_that_are_no_message_are_refused(grpc_channel: grpc.Channel, raw: bytes) -> None:
    for kind, method in METHODS:
        failure = send(grpc_channel, kind, method, raw)
        assert failure is not None
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD")
        assert "request" in failure.fields


ALLOWED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION}


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=64), method=st.sampled_from(METHODS))
def test_random_bytes_never_meet_a_defect(server: RunningServer, raw: bytes, method: tuple[str, str]) -> None:
    with server.channel() as channel:
        failure = send(channel, *method, raw)
    assert failure is None or failure.code in ALLOWED


_SCALARS = st.one_of(
    st.integers(-(2**31), 2**31 - 1),
    st.floats(width=32, allow_nan=True, allow_infinity=True),
)
_SAMPLING = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(width=32),
        "top_p": st.floats(width=32),
        "top_k": st.integers(-(2**31), 2**31 - 1),
        "min_p": st.floats(width=32),
        "repetition_penalty": st.floats(width=32),
        "max_output_tokens": st.integers(-(2**31), 0),
        "candidate_count": st.integers(-(2**31), 2**31 - 1),
        "seed": st.integers(0, 2**64 - 1),
        "stop_sequences": st.lists(st.text(max_size=3), max_size=20),
        "stop_token_ids": st.lists(st.integers(0, 2**32 - 1), max_size=70),
        "logit_bias": st.dictionaries(st.integers(0, 2**32 - 1), st.floats(width=32), max_size=3),
    },
)


@settings(max_examples=100, deadline=None)
@given(sampling=_SAMPLING, text=st.text(max_size=20), role=st.integers(-(2**31), 2**31 - 1))
def test_random_fields_never_meet_a_defect(
    server: RunningServer, sampling: dict[str, Any], text: str, role: int
) -> None:
    # Without a valid number of tokens nothing is generated: what is tested is only how the request is read.
    source = chat(text, **({"max_output_tokens": 0} | sampling))
    source.conversation.messages[0].role = role  # type: ignore[assignment]  # enums are open on the wire
    with server.channel() as channel:
        failure = send(channel, *METHODS[0], pb.GenerateRequest(input=source).SerializeToString())
    assert failure is not None
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.reason in {"INVALID_ARGUMENT_FIELD", "INPUT_TOO_LARGE"}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_the_search_for_a_bad_string_ends(raw: bytes) -> None:
    assert isinstance(first_bad_string(raw, pb.GenerateRequest.DESCRIPTOR), str)


def test_a_deeply_nested_message_is_refused(grpc_channel: grpc.Channel) -> None:
    raw = b""
    for _ in range(3000):
        raw = b"\x22" + _length(len(raw)) + raw
    failure = send(grpc_channel, *METHODS[0], raw)
    assert failure is not None
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT


def _length(value: int) -> bytes:
    out = b""
    while True:
        byte, value = value & 0x7F, value >> 7
        if not value:
            return out + bytes([byte])
        out += bytes([byte | 0x80])
