"""What the client sends: prompts, sampling options, metadata, and where it connects to."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trivium
from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, events, reply, stream
from trivium import TLS, Conversation, Message, Sampling, TextPrompt, TokenPrompt, _calls, errors
from trivium._call_settings import MODEL_MEMORY_S, ModelMemory
from trivium.prompts import generation_input
from trivium.sampling import apply_options, parse_sampling
from trivium.v1 import generation_pb2, models_pb2

Connect = Callable[..., Face]
ANSWER = reply(generation_pb2.GenerateResponse())
USER = {"role": "user", "content": "Hi"}


def roles(prompt: trivium.Prompt) -> list[tuple[int, str]]:
    messages = generation_input(prompt, "m").conversation.messages
    return [(message.role, message.parts[0].text) for message in messages]


@pytest.mark.parametrize(
    "prompt",
    ["Hi", Message.user("Hi"), [USER], (Message.user("Hi"),), iter([USER]), Conversation((Message.user("Hi"),))],
    ids=["text", "message", "dicts", "messages", "iterator", "conversation"],
)
def test_ways_to_say_one_message(prompt: trivium.Prompt) -> None:
    assert roles(prompt) == [(generation_pb2.CHAT_ROLE_USER, "Hi")]


def test_other_prompts() -> None:
    system = Conversation((Message.user("Hi"), Message.assistant("Ho")), "Be brief.")
    assert generation_input(system, None).conversation.system_instruction == "Be brief."
    assert roles(system) == [(generation_pb2.CHAT_ROLE_USER, "Hi"), (generation_pb2.CHAT_ROLE_ASSISTANT, "Ho")]
    assert generation_input(TextPrompt("Once"), "m").text == "Once"
    assert list(generation_input(TokenPrompt((1, 2)), "m").tokens.ids) == [1, 2]


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        (None, TypeError),
        (7, TypeError),
        (b"Hi", TypeError),
        (USER, TypeError),
        (["Hi"], TypeError),
        ([{"role": "user", "content": 7}], TypeError),
        ([{"role": "user"}], ValueError),
        ([{"role": "robot", "content": "Hi"}], ValueError),
        ([USER | {"name": "Ada"}], ValueError),
        (TokenPrompt((-1,)), ValueError),
        (TokenPrompt((2**32,)), ValueError),
    ],
)
def test_what_is_no_prompt(prompt: trivium.Prompt, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        generation_input(prompt, "m")


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        [],
        Message.user(""),
        [USER | {"content": ""}],
        Conversation((), "Be brief."),
        TextPrompt(""),
        TokenPrompt(()),
    ],
    ids=["text", "no messages", "message", "messages", "conversation", "completion", "tokens"],
)
def test_empty_prompt_is_not_sent(connect: Connect, prompt: trivium.Prompt) -> None:
    for method in ("text.generate", "text.stream", "text.count_tokens"):
        with pytest.raises(ValueError, match="the prompt is empty"):
            connect("127.0.0.1:1").call(method, prompt)


def test_conversation_loses_its_oldest_turn() -> None:
    turns = [Message.user("1"), Message.assistant("2"), Message.user("3"), Message.assistant("4"), Message.user("5")]
    shorter = Conversation(tuple(turns), "s").without_oldest_turn()
    assert shorter == Conversation(tuple(turns[2:]), "s")
    last = shorter.without_oldest_turn()
    assert last.without_oldest_turn() == last == Conversation((turns[4],), "s")


single = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(width=32, allow_nan=False),
        "top_k": st.integers(-(2**31), 2**31 - 1),
        "seed": st.integers(0, 2**64 - 1),
        "stop_sequences": st.lists(st.text(max_size=5)).map(tuple),
        "stop_token_ids": st.lists(st.integers(0, 2**32 - 1)).map(tuple),
        "logit_bias": st.dictionaries(st.integers(0, 2**32 - 1), st.floats(width=32, allow_nan=False)),
    },
)


@given(single)
def test_options_arrive_as_given(options: dict[str, Any]) -> None:
    built = generation_pb2.GenerationInput()
    apply_options(built, None, cast(trivium.SamplingOptions, options))
    assert parse_sampling(built.sampling) == Sampling(**options)
    present = {field.name for field, _ in built.sampling.ListFields()}
    assert present >= options.keys() & {"temperature", "top_k", "seed"}


def test_options_win_over_sampling() -> None:
    built = generation_pb2.GenerationInput()
    apply_options(built, Sampling(temperature=0.5, top_k=3, seed=1), {"temperature": 0.0, "seed": None})
    assert parse_sampling(built.sampling) == Sampling(temperature=0.0, top_k=3)
    assert not built.sampling.HasField("min_p")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"temprature": 1}, TypeError),
        ({"temperature": "hot"}, TypeError),
        ({"top_k": 1.5}, TypeError),
        ({"seed": -1}, ValueError),
        ({"top_k": 2**31}, ValueError),
        ({"stop_sequences": "end"}, TypeError),
        ({"logit_bias": [1]}, TypeError),
        ({"stop_sequences": ["\udcff"]}, ValueError),
    ],
)
def test_option_that_cannot_be_sent_is_named(options: trivium.SamplingOptions, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=next(iter(options))):
        apply_options(generation_pb2.GenerationInput(), None, options)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"max_tokens": 5}, "did you mean 'max_output_tokens'"),
        ({"max_new_tokens": 5}, "did you mean 'max_output_tokens'"),
        ({"stop": ["x"]}, "did you mean 'stop_sequences'"),
        ({"n": 2}, "did you mean 'candidate_count'"),
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"messages": [USER]}, "messages are the first argument"),
        ({"zzz": 1}, "unknown option 'zzz'$"),
        ({"stop_sequences": "end"}, r"such as \['end'\]"),
    ],
)
def test_other_libraries_names_are_understood(connect: Connect, wrong: dict[str, object], hint: str) -> None:
    face = connect("127.0.0.1:1")
    for method, run in (("text.generate", face.call), ("text.stream", face.open)):
        with pytest.raises(TypeError, match=hint):
            run(method, "Hi", **wrong)


@pytest.mark.parametrize("prompt", ["a\udcff", TextPrompt("a\udcff"), [USER | {"content": "a\udcff"}]])
def test_half_a_surrogate_pair_is_no_text(prompt: trivium.Prompt) -> None:
    with pytest.raises(ValueError, match="not text, at 1"):
        generation_input(prompt, "m")


@pytest.mark.parametrize(
    "wrong",
    [{"request_id": ""}, {"request_id": "a b"}, {"request_id": "é"}, {"timeout_s": 0}, {"timeout_s": float("nan")}],
)
def test_impossible_call_options_are_refused(connect: Connect, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        connect("127.0.0.1:1").call("text.generate", "Hi", **wrong)


def test_too_big_a_request_is_not_sent(connect: Connect, faults: ScriptedServer) -> None:
    with pytest.raises(errors.InputTooLarge) as caught:
        connect(faults.target, max_message_bytes=1000).call("text.generate", "x" * 1000)
    assert caught.value.metadata["limit"] == "1000"
    assert faults.received == []


def test_five_mebibytes_pass(connect: Connect, faults: ScriptedServer) -> None:
    text = "x" * (5 * 1024 * 1024)  # gRPC's own limit of an answer is 4 MiB
    faults.script(_calls.STREAM_GENERATE, stream(events(text)))
    _, whole = connect(faults.target).events("text.stream", text)
    assert whole.result.text == text


def model(name: str, state: models_pb2.ModelState.ValueType) -> models_pb2.Model:
    return models_pb2.Model(name=name, state=state, capabilities=[models_pb2.CAPABILITY_GENERATE_TEXT])


READY, LOADING = models_pb2.MODEL_STATE_READY, models_pb2.MODEL_STATE_LOADING


@pytest.mark.parametrize(
    ("models", "chosen"),
    [
        ([model("a", READY)], "a"),
        ([model("a", LOADING)], "a"),
        ([model("a", LOADING), model("b", READY)], "b"),
        ([model("a", READY), model("b", READY)], None),
        ([model("a", LOADING), model("b", LOADING)], None),
        ([], None),
    ],
)
def test_unnamed_model_is_the_only_one_that_can_be_meant(
    connect: Connect, faults: ScriptedServer, models: list[models_pb2.Model], chosen: str | None
) -> None:
    faults.script(_calls.LIST_MODELS, reply(models_pb2.ListModelsResponse(models=models)))
    faults.script(_calls.GENERATE, ANSWER)
    faults.script(_calls.STREAM_GENERATE, stream(events("Red")))
    face = connect(faults.target, default_model=None)
    if chosen is None:
        with pytest.raises(errors.ModelNotChosen) as caught:
            face.call("text.generate", "Hi")
        assert all(model.name in caught.value.message.split("of ")[-1].split(", ") for model in models)
        with pytest.raises(errors.ModelNotChosen):
            face.events("text.stream", "Hi")
        return
    face.call("text.generate", "Hi")
    face.events("text.stream", "Hi")
    face.call("text.generate", "Hi", model="named")
    listed, *called = faults.received
    assert listed.request.capability == models_pb2.CAPABILITY_GENERATE_TEXT
    assert [call.request.input.model for call in called] == [chosen, chosen, "named"]


def test_chosen_model_is_asked_for_again_after_a_while() -> None:
    now = 0.0
    memory = ModelMemory(None, lambda: now)
    assert memory.recall() is None
    assert memory.learn("a") == "a"
    now = MODEL_MEMORY_S - 0.1
    assert memory.recall() == "a"
    now = MODEL_MEMORY_S
    assert memory.recall() is None
    assert ModelMemory("fixed", lambda: 1e9).recall() == "fixed"


def test_pages_are_put_together(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(
        _calls.LIST_MODELS,
        reply(models_pb2.ListModelsResponse(models=[model("a", READY)], next_page_token="2")),
        reply(models_pb2.ListModelsResponse(models=[model("b", READY)])),
    )
    assert [entry.name for entry in connect(faults.target).call("models.list")] == ["a", "b"]
    assert [call.request.page_token for call in faults.received] == ["", "2"]


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="together"):
        TLS(certificate=b"x")
