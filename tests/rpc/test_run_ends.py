"""A call that is over ends the model's run, through the server's own door and with a real language model."""

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.rpc.requests import chat
from tests.serving import MODEL, RunningServer, wait_until
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub
from trivium_server.runtime.workload import Workload

# A prompt that is read in one run of some seconds: without an end to it, its slot is busy for as long.
PROMPT = "one two three four five six seven eight nine ten " * 180
SOON_S = 1.0


@pytest.fixture(scope="module")
def running(model_store: Path) -> Iterator[RunningServer]:
    with RunningServer(
        model_store, models__load=[MODEL], generation__prefill_chunk_tokens=2048, runtime__intra_op_threads=1
    ) as server:
        yield server


def workload(running: RunningServer) -> Workload:
    return dict(running.app.catalog.workloads())[MODEL]


def test_cancel_and_deadline_end_the_reading_of_a_prompt(running: RunningServer) -> None:
    with running.channel() as channel:
        stub = TextGenerationServiceStub(channel)
        request = pb.GenerateRequest(input=chat(PROMPT, max_output_tokens=1))
        begun = time.monotonic()
        assert stub.Generate(request).info.usage.tokens.input_tokens > 1500
        whole_s = time.monotonic() - begun
        call = stub.Generate.future(request)
        assert wait_until(lambda: workload(running).num_busy == 1)
        time.sleep(whole_s / 10)
        begun = time.monotonic()
        call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
        assert wait_until(lambda: workload(running).num_busy == 0)
        ended_s = time.monotonic() - begun
        assert ended_s < min(SOON_S, whole_s / 3)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Generate(request, timeout=whole_s / 5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        begun = time.monotonic()
        assert wait_until(lambda: workload(running).num_busy == 0)
        assert time.monotonic() - begun < min(SOON_S, whole_s / 3)
        # What follows is as if nothing had been.
        source = chat("Name a colour.", max_output_tokens=8, seed=1)
        texts = [stub.Generate(pb.GenerateRequest(input=source)).candidates for _ in range(2)]
        assert texts[0] == texts[1]


def test_a_stream_that_others_share_a_step_with_goes_on(running: RunningServer) -> None:
    with running.channel() as channel:
        stub = TextGenerationServiceStub(channel)
        source = chat("Tell me a story.", max_output_tokens=120, min_output_tokens=120, seed=3)
        request = pb.StreamGenerateRequest(input=source)
        alone = "".join(event.delta.text for event in stub.StreamGenerate(request))
        stays = iter(stub.StreamGenerate(request))
        text = next(stays).delta.text
        for _ in range(10):
            leaves = stub.StreamGenerate(pb.StreamGenerateRequest(input=chat("Go on.", max_output_tokens=500)))
            reader = iter(leaves)
            next(reader)
            next(reader)
            leaves.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
            text += next(stays).delta.text
        assert text + "".join(event.delta.text for event in stays) == alone


def test_the_end_of_a_drain_ends_the_run(model_store: Path) -> None:
    with (
        RunningServer(
            model_store, models__load=[MODEL], generation__prefill_chunk_tokens=2048, runtime__intra_op_threads=1
        ) as server,
        server.channel() as channel,
    ):
        stub = TextGenerationServiceStub(channel)
        call = stub.Generate.future(pb.GenerateRequest(input=chat(PROMPT, max_output_tokens=1)))
        assert wait_until(lambda: workload(server).num_busy == 1)
        begun = time.monotonic()
        server.run(server.app.catalog.close(0.0))
        assert time.monotonic() - begun < SOON_S + 1
        with pytest.raises(grpc.RpcError) as caught:
            call.result()
        assert caught.value.code() is grpc.StatusCode.ABORTED
