"""How the process ends: SIGTERM during streams, a second signal, DrainServer."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.rpc.requests import chat
from tests.server.processes import ServerProcess
from tests.server.stores import write_model
from tests.serving import MODEL, Failure, wait_until
from trivium.admin.v1 import admin_pb2
from trivium.admin.v1.admin_pb2_grpc import AdminServiceStub
from trivium.v1 import generation_pb2 as pb
from trivium.v1 import models_pb2
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub
from trivium.v1.models_pb2_grpc import ModelServiceStub

pytestmark = pytest.mark.long
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SLOW_DRAIN = {"TRIVIUM_DRAIN_HEALTH_WAIT_S": "2", "TRIVIUM_DRAIN_GRACE_S": "600"}
# One has more to make than it can while health is waited for.
NUMS_TOKENS = [300, *[100] * 7]


class Reader(threading.Thread):
    """Reads one stream to its end."""

    def __init__(self, channel: grpc.Channel, num_tokens: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.started = threading.Event()
        self.last: pb.StreamGenerateResponse | None = None
        self.failure: Failure | None = None
        source = chat("Tell me a story.", max_output_tokens=num_tokens, min_output_tokens=num_tokens, seed=seed)
        self._call = TextGenerationServiceStub(channel).StreamGenerate(pb.StreamGenerateRequest(input=source))
        self.start()

    def run(self) -> None:
        try:
            for event in self._call:
                self.last = event
                self.started.set()
        except grpc.RpcError as error:
            self.failure = Failure(error)
            self.started.set()


def soon_refused(channel: grpc.Channel) -> Failure:
    """Why the server takes no more calls, once it does not."""
    refusals: list[grpc.RpcError] = []

    def is_refused() -> bool:
        try:
            TextGenerationServiceStub(channel).CountTokens(pb.CountTokensRequest(input=chat("Hi")))
        except grpc.RpcError as error:
            refusals.append(error)
        return bool(refusals)

    assert wait_until(is_refused)
    return Failure(refusals[0])


def test_sigterm_lets_eight_streams_finish_and_accepts_nothing_new(model_store: Path) -> None:
    with (
        ServerProcess(model_store, "--model", MODEL, **SLOW_DRAIN) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        server.wait_for(r" ready  ")
        health = HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="trivium.v1.TextGenerationService"))
        next(health)
        readers = [Reader(channel, num, seed) for seed, num in enumerate(NUMS_TOKENS)]
        for reader in readers:
            assert reader.started.wait(60)
        server.signal(signal.SIGTERM)
        assert next(health).status == NOT_SERVING, "health turns first"
        # Within the health wait, late calls are still answered.
        assert TextGenerationServiceStub(channel).CountTokens(pb.CountTokensRequest(input=chat("Hi"))).token_count
        assert soon_refused(channel).reason == "SERVER_DRAINING"
        for reader, num in zip(readers, NUMS_TOKENS, strict=True):
            reader.join(300)
            assert reader.failure is None
            assert reader.last is not None
            assert reader.last.completed.info.usage.tokens.output_tokens == num
        assert server.exit_code() == 0
        assert "stopped" in server.lines[-1]


def test_calls_that_outlast_the_grace_are_aborted_with_usage(model_store: Path) -> None:
    with (
        ServerProcess(model_store, "--model", MODEL, TRIVIUM_DRAIN_GRACE_S="0.3") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        server.wait_for(r" ready  ")
        reader = Reader(channel, 2000, 1)
        assert reader.started.wait(60)
        server.signal(signal.SIGINT)
        reader.join(30)
        assert reader.failure is not None
        assert (reader.failure.code, reader.failure.reason) == (grpc.StatusCode.ABORTED, "CALL_ABORTED")
        assert reader.failure.message == "the server stopped before the call was finished"
        assert reader.failure.metadata["model"] == MODEL
        retry = reader.failure.detail(error_details_pb2.RetryInfo)
        assert retry is not None
        assert retry.retry_delay.ToMilliseconds() == 1000
        assert "trivium-usage-bin" in reader.failure.trailing
        assert server.exit_code() == 0


def test_drain_server_does_what_sigterm_does(model_store: Path) -> None:
    with (
        ServerProcess(model_store, "--model", MODEL) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        server.wait_for(r" ready  ")
        reader = Reader(channel, 60, 1)
        assert reader.started.wait(60)
        answer = AdminServiceStub(channel).DrainServer(admin_pb2.DrainServerRequest(grace_period=Duration(seconds=30)))
        assert answer.in_flight_count == 1
        reader.join(30)
        assert reader.failure is None
        assert server.exit_code() == 0


def test_a_second_signal_ends_the_process_at_once(model_store: Path) -> None:
    with (
        ServerProcess(model_store, "--model", MODEL) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        server.wait_for(r" ready  ")
        reader = Reader(channel, 2000, 1)
        assert reader.started.wait(60)
        server.signal(signal.SIGTERM)
        server.wait_for(r"draining")
        server.signal(signal.SIGTERM)
        # A drain that is let run ends with 0.
        assert server.exit_code() != 0
        reader.join(10)


def test_the_server_answers_while_models_load(model_store: Path) -> None:
    with (
        ServerProcess(model_store, "--model", MODEL) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        model = ModelServiceStub(channel).GetModel(models_pb2.GetModelRequest(model=MODEL)).model
        assert model.state in {models_pb2.MODEL_STATE_LOADING, models_pb2.MODEL_STATE_WARMING}
        with pytest.raises(grpc.RpcError) as caught:
            TextGenerationServiceStub(channel).CountTokens(pb.CountTokensRequest(input=chat("Hi")))
        failure = Failure(caught.value)
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_READY")
        states = []
        for event in ModelServiceStub(channel).WatchModels(models_pb2.WatchModelsRequest()):
            if event.HasField("model"):
                states.append(event.model.state)
            if states[-1] == models_pb2.MODEL_STATE_READY:
                break
        assert states[0] != models_pb2.MODEL_STATE_READY
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0


def test_sigterm_while_a_model_loads_exits_cleanly(model_store: Path) -> None:
    with ServerProcess(model_store, "--model", MODEL) as server:
        server.wait_for(r"listening")
        server.signal(signal.SIGTERM)
        assert server.exit_code() == 0


def test_sigterm_does_not_wait_for_a_long_load(tmp_path: Path) -> None:
    weights = write_model(tmp_path, "vast") / "weights"
    with weights.open("wb") as file:
        file.truncate(1 << 40)  # takes no disk, and half an hour to verify
    with (
        ServerProcess(tmp_path, "--model", "vast") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        joined = AdminServiceStub(channel).LoadModel(admin_pb2.LoadModelRequest(model="vast"))
        assert next(iter(joined)).model.state == models_pb2.MODEL_STATE_LOADING
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as caught:
            list(joined)
        assert Failure(caught.value).reason == "SERVER_DRAINING"
        assert server.exit_code() == 0
        assert time.monotonic() - begun < 30


def test_sigterm_shortens_an_unload(model_store: Path) -> None:
    with (
        ServerProcess(model_store, "--model", MODEL, TRIVIUM_DRAIN_GRACE_S="0.3") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        server.wait_for(r" ready  ")
        reader = Reader(channel, 4000, 1)
        assert reader.started.wait(60)
        unload = AdminServiceStub(channel).UnloadModel.future(
            admin_pb2.UnloadModelRequest(model=MODEL, drain_timeout=Duration(seconds=3600))
        )
        time.sleep(0.2)
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        assert unload.result(30).model.state == models_pb2.MODEL_STATE_AVAILABLE
        assert server.exit_code() == 0
        assert time.monotonic() - begun < 30


@pytest.mark.parametrize("work", ["threading.Event().wait", "int"])
def test_a_thread_that_hangs_does_not_keep_the_process(work: str) -> None:
    program = (
        "import threading; from concurrent.futures import ThreadPoolExecutor\n"
        "from trivium_server.app import leave\n"
        f"pool = ThreadPoolExecutor(1, thread_name_prefix='tokenize'); pool.submit({work}); pool.shutdown(wait=False)\n"
        "print('last words', end=''); leave(7)"
    )
    begun = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (7, "last words")
    assert time.monotonic() - begun < 20
    assert ("leaving threads" in ended.stderr) is (work != "int")
