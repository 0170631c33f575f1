"""TextGenerationService and wrong requests: INVALID_ARGUMENT or NOT_FOUND with field and limit, never anything else."""

import math
from functools import partial
from typing import Any  # fields of many types, by name

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.rpc.generating import Stub, generate, refused, stream
from tests.rpc.requests import chat
from tests.serving import MODEL
from trivium.v1 import generation_pb2 as pb
from trivium_server.rpc.violations import RANGES


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[Stub]:
    return Stub


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("temperature", [0.0, 2.0, 1e-30], [-0.001, 2.001, math.nan, math.inf, -math.inf, 3e38]),
        ("top_p", [1e-6, 1.0], [0.0, -0.5, 1.001, math.nan, math.inf]),
        ("top_k", [0, 1, 1_000_000], [-1, 1_000_001, 2**31 - 1, -(2**31)]),
        ("min_p", [0.0, 1.0], [-0.001, 1.001, math.nan, math.inf]),
        ("repetition_penalty", [0.1, 10.0], [0.0, 0.09, 10.01, -1.0, math.nan, math.inf]),
        ("frequency_penalty", [-2.0, 2.0], [-2.01, 2.01, math.nan, -math.inf]),
        ("presence_penalty", [-2.0, 2.0], [-2.01, 2.01, math.nan, math.inf]),
        ("max_output_tokens", [1, 1023], [0, -1, 1024, 2**31 - 1, -(2**31)]),
        ("min_output_tokens", [0, 2], [-1, 3, 2**31 - 1]),
        ("candidate_count", [1, 8], [0, -1, 9, 2**31 - 1]),
    ],
)
def test_every_number_is_checked_at_both_ends(grpc_stub: Stub, name: str, good: list[float], bad: list[float]) -> None:
    stop_soon: dict[str, Any] = {"stop_token_ids": list(range(64)), "max_output_tokens": 2}
    for value in good:
        generate(grpc_stub, chat("Hi", **(stop_soon | {name: value, "logit_bias": {0: 100.0}})))
    for value in bad:
        source = chat("Hi", **(stop_soon | {name: value}))
        failure = refused(partial(generate, grpc_stub, source))
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD"), value
        assert f"input.sampling.{name}" in failure.fields, value
        description = failure.fields[f"input.sampling.{name}"]
        assert any(character.isdigit() for character in description), "names the limit"


def test_the_table_has_every_numeric_field() -> None:
    fields = pb.SamplingParameters.DESCRIPTOR.fields
    numbers = {field.CPPTYPE_FLOAT for field in fields} | {field.CPPTYPE_INT32 for field in fields}
    numeric = {f"sampling.{field.name}" for field in fields if field.cpp_type in numbers}
    assert numeric
    assert numeric <= RANGES.keys()


@pytest.mark.parametrize("value", [-1, 21, 2**31 - 1, -(2**31)])
def test_top_logprobs(grpc_stub: Stub, value: int) -> None:
    source = chat("Hi")
    source.output.top_logprobs = value
    assert "0 to 20" in refused(lambda: generate(grpc_stub, source)).fields["input.output.top_logprobs"]


@pytest.mark.parametrize("value", [0, -1, 1025, 2**31 - 1])
def test_min_tokens_per_event(grpc_stub: Stub, value: int) -> None:
    failure = refused(lambda: stream(grpc_stub, chat("Hi"), min_tokens_per_event=value))
    assert "1 to 1024" in failure.fields["stream.min_tokens_per_event"]


@pytest.mark.parametrize("bias", [100.01, -100.01, math.nan, math.inf])
def test_logit_bias(grpc_stub: Stub, bias: float) -> None:
    failure = refused(lambda: generate(grpc_stub, chat("Hi", logit_bias={5: bias})))
    assert "-100 to 100" in failure.fields["input.sampling.logit_bias[5]"]


@pytest.mark.parametrize(
    ("field", "sampling"),
    [
        ("input.sampling.logit_bias", {"logit_bias": {49152: 1.0}}),
        ("input.sampling.stop_token_ids", {"stop_token_ids": [2**32 - 1]}),
    ],
)
def test_ids_beyond_the_vocabulary(grpc_stub: Stub, field: str, sampling: dict[str, Any]) -> None:
    failure = refused(lambda: generate(grpc_stub, chat("Hi", **sampling)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD")
    assert "49151" in failure.fields[field]


@pytest.mark.parametrize(
    ("field", "limit", "source"),
    [
        ("input.sampling.stop_sequences", 16, chat("Hi", stop_sequences=["a"] * 17)),
        ("input.sampling.stop_sequences[1]", 256, chat("Hi", stop_sequences=["a" * 256, "é" * 128 + "a"])),
        ("input.sampling.stop_token_ids", 64, chat("Hi", stop_token_ids=[1] * 65)),
        ("input.sampling.logit_bias", 1024, chat("Hi", logit_bias=dict.fromkeys(range(1025), 1.0))),
        ("input.conversation.messages", 1024, chat(*["a"] * 1025)),
        ("input.text", 2**20, pb.GenerationInput(model=MODEL, text="a" * (2**20 + 1))),
        ("input.text", 2**20, pb.GenerationInput(model=MODEL, text="é" * (2**19 + 1))),
        ("input.conversation", 2**20, chat("a" * 2**19, "b", "c" * 2**19)),
    ],
)
def test_too_many_bytes_or_items(grpc_stub: Stub, field: str, limit: int, source: pb.GenerationInput) -> None:
    failure = refused(lambda: generate(grpc_stub, source))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INPUT_TOO_LARGE")
    assert failure.metadata["field"] == field
    assert failure.metadata["limit"] == str(limit)
    assert int(failure.metadata["actual"]) > limit


@pytest.mark.parametrize(
    "source", [chat("word " * 3000), pb.GenerationInput(model=MODEL, tokens=pb.TokenSequence(ids=[1] * 1024))]
)
def test_more_tokens_than_the_model_allows(grpc_stub: Stub, source: pb.GenerationInput) -> None:
    failure = refused(lambda: generate(grpc_stub, source))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INPUT_TOO_LONG")
    assert failure.metadata["limit"] == "1023"
    assert int(failure.metadata["actual"]) > 1023


@pytest.mark.parametrize(
    ("field", "source"),
    [
        ("input.prompt", pb.GenerationInput(model=MODEL)),
        ("input.text", pb.GenerationInput(model=MODEL, text="")),
        ("input.tokens.ids", pb.GenerationInput(model=MODEL, tokens=pb.TokenSequence())),
        ("input.tokens.ids", pb.GenerationInput(model=MODEL, tokens=pb.TokenSequence(ids=[49152]))),
        ("input.conversation.messages", pb.GenerationInput(model=MODEL, conversation=pb.Conversation())),
        ("input.sampling.stop_sequences[0]", chat("Hi", stop_sequences=[""])),
        ("input.model", chat("Hi", model="")),
    ],
)
def test_missing_and_empty(grpc_stub: Stub, field: str, source: pb.GenerationInput) -> None:
    for call in (
        lambda: generate(grpc_stub, source),
        lambda: stream(grpc_stub, source),
    ):
        failure = refused(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD")
        assert field in failure.fields


def test_no_input_at_all(grpc_stub: Stub) -> None:
    for failure in (
        refused(lambda: grpc_stub.Generate(pb.GenerateRequest())),
        refused(lambda: list(grpc_stub.StreamGenerate(pb.StreamGenerateRequest()))),
        refused(lambda: grpc_stub.CountTokens(pb.CountTokensRequest())),
    ):
        assert failure.fields == {"input": f"is required; {MODEL} can generate text"}


@pytest.mark.parametrize(
    ("field", "messages"),
    [
        ("messages[0].role", [pb.ChatMessage(parts=[pb.ContentPart(text="Hi")])]),
        ("messages[0].role", [pb.ChatMessage(role=99, parts=[pb.ContentPart(text="Hi")])]),  # type: ignore[arg-type]  # open enum
        ("messages[0].parts", [pb.ChatMessage(role=pb.CHAT_ROLE_USER)]),
        ("messages[0].parts", [pb.ChatMessage(role=pb.CHAT_ROLE_USER, parts=[pb.ContentPart(text="a")] * 65)]),
        (
            "messages[0].parts[1]",
            [pb.ChatMessage(role=pb.CHAT_ROLE_USER, parts=[pb.ContentPart(text="a"), pb.ContentPart()])],
        ),
        ("messages[0].role", [pb.ChatMessage(role=pb.CHAT_ROLE_SYSTEM, parts=[pb.ContentPart(text="Hi")])]),
        (
            "messages[1].role",
            [
                pb.ChatMessage(role=role, parts=[pb.ContentPart(text="Hi")])
                for role in (pb.CHAT_ROLE_USER, pb.CHAT_ROLE_SYSTEM, pb.CHAT_ROLE_USER)
            ],
        ),
    ],
)
def test_bad_messages(grpc_stub: Stub, field: str, messages: list[pb.ChatMessage]) -> None:
    source = pb.GenerationInput(model=MODEL, conversation=pb.Conversation(messages=messages))
    failure = refused(lambda: generate(grpc_stub, source))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert f"input.conversation.{field}" in failure.fields


def test_two_system_instructions_exclude_one_another(grpc_stub: Stub) -> None:
    source = chat("Hi")
    source.conversation.system_instruction = "a"
    source.conversation.messages.insert(0, pb.ChatMessage(role=pb.CHAT_ROLE_SYSTEM, parts=[pb.ContentPart(text="b")]))
    assert "input.conversation.system_instruction" in refused(lambda: generate(grpc_stub, source)).fields


def test_all_violations_are_told_together(grpc_stub: Stub) -> None:
    source = chat("Hi", temperature=9.0, top_p=0.0, stop_sequences=["", "a" * 300])
    source.output.top_logprobs = 99
    failure = refused(lambda: generate(grpc_stub, source))
    assert failure.fields.keys() == {
        "input.sampling.temperature",
        "input.sampling.top_p",
        "input.sampling.stop_sequences[0]",
        "input.sampling.stop_sequences[1]",
        "input.output.top_logprobs",
    }


def test_a_thousand_violations_still_fit_in_a_status(grpc_stub: Stub) -> None:
    failure = refused(lambda: generate(grpc_stub, chat("Hi", logit_bias=dict.fromkeys(range(1024), math.nan))))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD")
    assert len(failure.fields) > 10


def test_without_a_model_everything_else_is_told_too(grpc_stub: Stub) -> None:
    failure = refused(lambda: generate(grpc_stub, chat("Hi", model="", temperature=9.0)))
    assert failure.fields.keys() == {"input.model", "input.sampling.temperature"}


@pytest.mark.parametrize("name", ["smollm2-135m-instuct", "SMOLLM2-135M", "smollm2"])
def test_unknown_model_has_near_matches(grpc_stub: Stub, name: str) -> None:
    for call in (
        lambda: generate(grpc_stub, chat("Hi", model=name)),
        lambda: stream(grpc_stub, chat("Hi", model=name)),
        lambda: grpc_stub.CountTokens(pb.CountTokensRequest(input=chat("Hi", model=name))),
    ):
        failure = refused(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
        assert failure.metadata == {"model": name, "near_matches": MODEL}
        resource = failure.detail(error_details_pb2.ResourceInfo)
        assert resource is not None
        assert resource.resource_name == name


def test_an_absurd_model_name_stays_short(grpc_stub: Stub) -> None:
    failure = refused(lambda: generate(grpc_stub, chat("Hi", model="é" * 100_000)))
    assert failure.code is grpc.StatusCode.NOT_FOUND
    assert len(failure.message) < 1024
