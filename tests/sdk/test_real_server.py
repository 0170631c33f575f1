"""Both clients against the real server with a real model: every method, and what the server says when it refuses."""

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

import trivium
from tests.sdk.faces import Face
from tests.server.stores import write_model
from tests.serving import MODEL, RunningServer, wait_until
from trivium import Capability, FinishReason, ModelChanged, ModelState, TextPrompt, TokenPrompt, errors

Connect = Callable[..., Face]
LONG = {"max_output_tokens": 500, "min_output_tokens": 500}


@pytest.fixture
def face(connect: Connect, server: RunningServer) -> Face:
    return connect(server.address, default_model=None)


PROMPTS = {
    "text": "Name two colours.",
    "dicts": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Bye"},
    ],
    "completion": TextPrompt("Once upon a"),
    "tokens": TokenPrompt((504, 260, 2240)),
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_streamed_equals_whole(face: Face, prompt: trivium.Prompt) -> None:
    options = {"max_output_tokens": 12, "seed": 5, "top_logprobs": 1, "include_token_ids": True, "model": MODEL}
    whole = face.call("text.generate", prompt, **options)
    deltas, stream = face.events("text.stream", prompt, **options)
    assert "".join(delta.text for delta in deltas) == whole.text
    assert stream.result.candidates == whole.candidates
    assert stream.result.usage.output_tokens == whole.usage.output_tokens == sum(d.token_count for d in deltas)
    assert whole.info.model.name == MODEL
    assert whole.timing.total_s >= whole.timing.first_output_s > 0


def test_request_id_comes_back(face: Face) -> None:
    result = face.call("text.generate", "Hi", max_output_tokens=1, request_id="from-the-caller")
    assert result.info.request_id == "from-the-caller"
    assert result.finish_reason is FinishReason.MAX_OUTPUT_TOKENS


def test_token_count_agrees_with_usage(face: Face) -> None:
    count = face.call("text.count_tokens", "Hi", include_tokens=True)
    assert count.token_count == len(count.tokens)
    assert count.tokens[0].is_special
    assert count.token_count == face.call("text.generate", "Hi", max_output_tokens=1).usage.input_tokens


def test_models(face: Face) -> None:
    (listed,) = face.call("models.list", Capability.GENERATE_TEXT)
    assert listed == face.call("models.get", MODEL)
    assert listed.is_ready
    assert listed.limits.max_context_tokens == 1024
    everything = face.call("models.list")
    assert listed in everything
    assert face.first("models.watch") == ModelChanged(model=everything[0])


def test_admin(face: Face) -> None:
    info = face.call("admin.server_info")
    assert "trivium.v1" in info.contract_versions
    assert not info.draining
    progress, _ = face.events("admin.load_model", MODEL)
    assert progress[-1].model.state is ModelState.READY
    with pytest.raises(errors.ModelNotFound):
        face.call("admin.unload_model", "no-such-model")


def test_model_is_unloaded_and_loaded_again(connect: Connect, model_store: Path) -> None:
    with RunningServer(model_store, models__load=MODEL, generation__max_context_tokens=256) as running:
        face = connect(running.address, retry=trivium.RetryPolicy(max_attempts=1), default_model=MODEL)
        assert face.call("admin.unload_model", MODEL, 0.0).state is ModelState.AVAILABLE
        with pytest.raises(errors.ModelNotReady):
            face.call("text.generate", "Hi")
        progress, _ = face.events("admin.load_model", MODEL)
        assert progress[0].model.state is not ModelState.READY
        assert progress[-1].model.state is ModelState.READY
        assert face.call("text.generate", "Hi", max_output_tokens=1).usage.output_tokens == 1


def test_drained_server_says_so_and_takes_no_models(connect: Connect, tmp_path: Path) -> None:
    write_model(tmp_path, "hollow")
    with RunningServer(tmp_path, models__load="none") as running:
        face = connect(running.address, retry=trivium.RetryPolicy(max_attempts=1))
        before = face.call("admin.server_info")
        assert face.call("admin.drain", 0.0) == 0
        after = face.call("admin.server_info")
        assert (before.draining, after.draining) == (False, True)
        assert before.instance_id == after.instance_id
        with pytest.raises(errors.ServerDraining):
            face.events("admin.load_model", "hollow")


REFUSED = [
    ({"temperature": 2.5}, errors.InvalidArgumentField, "input.sampling.temperature"),
    ({"temperature": float("nan")}, errors.InvalidArgumentField, "input.sampling.temperature"),
    ({"candidate_count": 0}, errors.InvalidArgumentField, "input.sampling.candidate_count"),
    ({"top_logprobs": 21}, errors.InvalidArgumentField, "input.output.top_logprobs"),
]


@pytest.mark.parametrize(("options", "kind", "field"), REFUSED)
def test_refusal_names_the_field(
    face: Face, options: dict[str, float], kind: type[errors.TriviumError], field: str
) -> None:
    for method, run in (("text.generate", face.call), ("text.stream", face.events)):
        with pytest.raises(kind) as caught:
            run(method, "Hi", **options)
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        assert [violation.field for violation in caught.value.field_violations] == [field]


def test_too_long_a_prompt(face: Face) -> None:
    with pytest.raises(errors.InputTooLong) as caught:
        face.call("text.generate", "word " * 1100)
    assert int(caught.value.metadata["actual"]) > int(caught.value.metadata["limit"])


def test_unknown_model(face: Face) -> None:
    with pytest.raises(errors.ModelNotFound) as caught:
        face.events("text.stream", "Hi", model=MODEL[:-2])
    assert MODEL in caught.value.metadata["near_matches"]


def test_deadline_reports_what_was_used(face: Face) -> None:
    with pytest.raises(errors.DeadlineExceededError) as caught:
        face.call("text.generate", "Count to a thousand.", timeout_s=0.5, **LONG)
    assert caught.value.reason in ("DEADLINE_EXCEEDED", "QUEUE_TIMEOUT", None)


def test_stopped_reader_frees_the_server(face: Face, server: RunningServer) -> None:
    assert face.first("text.stream", "Count to a thousand.", **LONG) is not None
    assert wait_until(lambda: not server.app._admission.in_flight), "the call goes on at the server"


def test_wait_ready(face: Face) -> None:
    face.call("wait_ready", 20)
    face.call("wait_ready", 20, model=MODEL)
    with pytest.raises(errors.ServerUnavailable, match="not ready after"):
        face.call("wait_ready", 0.2, model="no-such-model")
