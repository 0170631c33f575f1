"""Streams that end well, too early, out of order, or not at all; and streams that their reader gives up."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import cast

import grpc
import pytest

import trivium
from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, events, fail, hang, stream
from tests.serving import wait_until
from trivium import CandidateFinished, Completed, Delta, FinishReason, Started, _calls, errors
from trivium.admin.v1 import admin_pb2
from trivium.v1 import generation_pb2, models_pb2

Connect = Callable[..., Face]
UNKNOWN = cast(generation_pb2.FinishReason.ValueType, 99)  # a reason of a newer server
OPEN = events("Red", finish=False, completed=False)


def test_deltas_concatenate_to_the_result(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("Re", "", "d é", " 🙂")))
    deltas, whole = connect(faults.target).events("text.stream", "Hi")
    assert "".join(delta.text for delta in deltas) == whole.result.text == whole.partial_text == "Red é 🙂"
    assert whole.result.finish_reason is FinishReason.STOP
    assert (whole.result.usage.input_tokens, whole.result.usage.output_tokens) == (7, 4)
    assert whole.result.response_id == whole.started.response_id == "r1"


def test_candidates_are_told_apart(connect: Connect, faults: ScriptedServer) -> None:
    messages = events("one", finish=False, completed=False)
    response = generation_pb2.StreamGenerateResponse
    messages += [
        response(delta=generation_pb2.ContentDelta(candidate_index=1, text="two", token_ids=[5])),
        response(
            candidate_finished=generation_pb2.CandidateFinished(
                candidate_index=1, finish_reason=generation_pb2.FINISH_REASON_STOP_SEQUENCE
            )
        ),
        response(candidate_finished=generation_pb2.CandidateFinished(candidate_index=0, finish_reason=UNKNOWN)),
        response(completed=generation_pb2.GenerationCompleted()),
    ]
    for sequence, message in enumerate(messages):
        message.sequence = sequence
    faults.script(_calls.STREAM_GENERATE, stream(messages))
    _, whole = connect(faults.target).events("text.stream", "Hi")
    first, second = whole.result.candidates
    assert (first.text, first.finish_reason) == ("one", FinishReason.UNSPECIFIED)
    assert (second.text, second.finish_reason, second.token_ids) == ("two", FinishReason.STOP_SEQUENCE, (5,))


def test_unknown_events_are_skipped(connect: Connect, faults: ScriptedServer) -> None:
    messages = events("Red")
    unknown = generation_pb2.StreamGenerateResponse.FromString(b"\x08\x04\xa2\x06\x00")  # sequence 4, field 100
    messages[-1].sequence = 4
    faults.script(_calls.STREAM_GENERATE, stream([*messages[:3], *(_renumber(unknown, 3), messages[-1])]))
    _, whole = connect(faults.target).events("text.stream", "Hi")
    assert whole.result.text == "Red"


def _renumber(message: generation_pb2.StreamGenerateResponse, sequence: int) -> generation_pb2.StreamGenerateResponse:
    message.sequence = sequence
    return message


def test_all_events_are_there_on_request(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("Red")))
    with trivium.Client(faults.target, default_model="m") as client:
        kinds = [type(event) for event in client.text.stream("Hi").events()]
    assert kinds == [Started, Delta, CandidateFinished, Completed]


@pytest.mark.parametrize(
    "messages",
    [[], events("Red", completed=False), OPEN, [events("Red")[0], *events("Red")[2:]], events("Red")[1:]],
    ids=["nothing", "no completed", "no end", "gap", "no beginning"],
)
def test_stream_without_its_whole_is_truncated(
    connect: Connect, faults: ScriptedServer, messages: list[generation_pb2.StreamGenerateResponse]
) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(messages))
    face = connect(faults.target)
    opened = face.open("text.stream", "Hi")
    with pytest.raises(errors.TruncatedStream) as caught:
        face.read(opened)
    assert caught.value.request_id == opened.request_id
    with pytest.raises(RuntimeError, match="not read to its end"):
        _ = opened.result


def test_failure_after_completed_takes_nothing_away(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("Red"), fail(grpc.StatusCode.UNAVAILABLE, "late")))
    _, whole = connect(faults.target).events("text.stream", "Hi")
    assert whole.result.text == "Red"


@pytest.mark.parametrize("messages", [[], OPEN], ids=["before the first event", "between events"])
def test_idle_stream_is_cancelled(
    connect: Connect, faults: ScriptedServer, messages: list[generation_pb2.StreamGenerateResponse]
) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(messages, hang()))
    face = connect(faults.target)
    started = time.monotonic()
    with pytest.raises(errors.StreamIdleTimeout):
        face.events("text.stream", "Hi", idle_timeout_s=0.2)
    assert 0.2 <= time.monotonic() - started < 20
    assert faults.cancelled.wait(20)
    assert len(faults.received) == 1


def test_heartbeats_keep_a_stream(connect: Connect, faults: ScriptedServer) -> None:
    beat = generation_pb2.StreamGenerateResponse()
    beat.heartbeat.queue_position = 1

    def slowly(request: object, context: object) -> object:
        for sequence in range(8):
            time.sleep(0.3)
            yield _renumber(generation_pb2.StreamGenerateResponse.FromString(beat.SerializeToString()), sequence)
        for message in events("Red"):
            yield _renumber(message, message.sequence + 8)

    faults.script(_calls.STREAM_GENERATE, slowly)
    _, whole = connect(faults.target).events("text.stream", "Hi", idle_timeout_s=2)
    assert whole.result.text == "Red"
    assert faults.received[0].request.stream.emit_heartbeats


def test_slow_reader_is_not_idle(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(events("a", "b", "c")))
    with trivium.Client(faults.target, default_model="m") as client:
        texts: list[str] = []
        for delta in client.text.stream("Hi", idle_timeout_s=1):
            time.sleep(0 if texts else 1.3)
            texts.append(delta.text)
    assert texts == ["a", "b", "c"]


def test_total_limit_of_a_stream(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(OPEN, hang()))
    with pytest.raises(errors.DeadlineExceededError):
        connect(faults.target).events("text.stream", "Hi", timeout_s=0.2)


def test_unary_deadline(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, hang())
    with pytest.raises(errors.DeadlineExceededError):
        connect(faults.target, timeout_s=0.2).call("text.generate", "Hi")
    assert faults.cancelled.wait(20)


def test_breaking_out_cancels_at_the_server(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(OPEN, hang()))
    assert connect(faults.target).first("text.stream", "Hi").text == "Red"
    assert faults.cancelled.wait(20)


def test_leaving_the_block_cancels(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(OPEN, hang()))
    with trivium.Client(faults.target, default_model="m") as client:
        with client.text.stream("Hi") as opened:
            assert next(iter(opened)).text == "Red"
        assert faults.cancelled.wait(20)
        with pytest.raises(errors.CallCancelledError):
            list(opened)


def test_close_from_another_thread_ends_a_read(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(OPEN, hang()))
    with trivium.Client(faults.target, default_model="m") as client:
        opened = client.text.stream("Hi")
        assert next(iter(opened)).text == "Red"
        threading.Timer(0.2, opened.close).start()
        with pytest.raises(errors.CallCancelledError):
            list(opened)
        assert opened.partial_text == "Red"


def test_closing_the_client_ends_calls(faults: ScriptedServer) -> None:
    faults.script(_calls.GENERATE, hang())
    client = trivium.Client(faults.target, default_model="m", retry=trivium.RetryPolicy(max_attempts=1))

    def close_when_called() -> None:
        wait_until(lambda: bool(faults.received))
        client.close()

    closing = threading.Thread(target=close_when_called)
    closing.start()
    with pytest.raises(errors.CallCancelledError):
        client.text.generate("Hi")
    closing.join()


async def test_cancelled_task_cancels_at_the_server(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(OPEN, hang()))
    async with trivium.AsyncClient(faults.target, default_model="m") as client:
        has_come = asyncio.Event()

        async def read() -> None:
            async for _ in client.text.stream("Hi"):
                has_come.set()

        task = asyncio.create_task(read())
        await has_come.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(faults.cancelled.wait, 20)


async def test_aclose_from_another_task_ends_a_read(faults: ScriptedServer) -> None:
    faults.script(_calls.STREAM_GENERATE, stream(OPEN, hang()))
    async with trivium.AsyncClient(faults.target, default_model="m") as client:
        opened = client.text.stream("Hi")
        asyncio.get_running_loop().call_later(0.2, lambda: asyncio.ensure_future(opened.aclose()))
        with pytest.raises(errors.CallCancelledError):
            async for _ in opened:
                pass


def test_load_ends_when_the_model_is_ready(connect: Connect, faults: ScriptedServer) -> None:
    loading = admin_pb2.LoadModelResponse(
        model=models_pb2.Model(name="m", state=models_pb2.MODEL_STATE_LOADING), progress_percent=40
    )
    ready = admin_pb2.LoadModelResponse(
        model=models_pb2.Model(name="m", state=models_pb2.MODEL_STATE_READY), progress_percent=100
    )
    faults.script(_calls.LOAD_MODEL, stream([loading, ready]), stream([loading]))
    face = connect(faults.target)
    seen, _ = face.events("admin.load_model", "m")
    assert [(progress.percent, str(progress.model.state)) for progress in seen] == [(40, "LOADING"), (100, "READY")]
    with pytest.raises(errors.TruncatedStream):
        face.events("admin.load_model", "m")


def test_watch_that_the_server_ends_is_truncated(connect: Connect, faults: ScriptedServer) -> None:
    faults.script(_calls.WATCH_MODELS, stream([models_pb2.WatchModelsResponse(removed_model="m")]))
    face = connect(faults.target)
    assert face.first("models.watch").name == "m"
    with pytest.raises(errors.TruncatedStream):
        face.events("models.watch")


KILLED_SERVER = """
import sys, threading
from tests.sdk.scripted import ScriptedServer, events, hang, stream
from trivium import _calls
server = ScriptedServer()
server.script(_calls.STREAM_GENERATE, stream(events("Red", finish=False, completed=False), hang()))
server.start()
print(server.target, flush=True)
threading.Event().wait()
"""


def test_killed_server_is_a_lost_connection(connect: Connect) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED_SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            face = connect(process.stdout.readline().strip())
            opened = face.open("text.stream", "Hi")

            def kill_when_read() -> None:
                wait_until(lambda: bool(opened.partial_text))
                process.kill()

            killing = threading.Thread(target=kill_when_read)
            killing.start()
            with pytest.raises(errors.ConnectionLost):
                face.read(opened)
            assert opened.partial_text == "Red"
            killing.join()
        finally:
            process.kill()
