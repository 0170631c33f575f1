"""AdminService: server facts, loading with progress, unloading while calls run."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from tests.rpc.requests import chat
from tests.server.stores import write_model
from tests.serving import MODEL, Failure, RunningServer, wait_until
from trivium.admin.v1 import admin_pb2 as pb
from trivium.admin.v1.admin_pb2_grpc import AdminServiceStub as Stub
from trivium.v1 import generation_pb2, models_pb2
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub
from trivium_server.architectures.model_state import ModelState


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[Stub]:
    return Stub


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with one folder that is no real model, not loaded."""
    store: Path = tmp_path_factory.mktemp("store")
    write_model(store, "hollow")
    write_model(store, "strange", architecture="abacus")
    with RunningServer(store, models__load="none") as running:
        yield running


@pytest.fixture
def own_server(model_store: Path, tmp_path: Path) -> Iterator[RunningServer]:
    """A server of this test's own, whose store has only the default model, not loaded."""
    (tmp_path / MODEL).symlink_to(model_store / MODEL)
    with RunningServer(tmp_path, models__load="none", generation__max_context_tokens=512) as running:
        yield running


def test_server_info(grpc_stub: Stub, server: RunningServer) -> None:
    info, call = grpc_stub.GetServerInfo.with_call(pb.GetServerInfoRequest())
    assert info.server_version.startswith("0.")
    assert dict(call.trailing_metadata())["trivium-instance"] == info.instance_id
    assert list(info.contract_versions) == ["trivium.v1", "trivium.admin.v1"]
    assert "CPUExecutionProvider" in info.execution_providers
    assert 0 < time.time() - info.start_time.ToNanoseconds() / 1e9 < 3600
    assert not info.draining


def test_loading_a_ready_model_answers_once(grpc_stub: Stub) -> None:
    (event,) = grpc_stub.LoadModel(pb.LoadModelRequest(model=MODEL))
    assert event.model.state == models_pb2.MODEL_STATE_READY
    assert event.progress_percent == 100


@pytest.mark.parametrize(
    "duration",
    [Duration(seconds=-1), Duration(seconds=3601), Duration(nanos=-1), Duration(seconds=1, nanos=2**31 - 1)],
)
def test_periods_out_of_range(grpc_stub: Stub, duration: Duration) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        grpc_stub.DrainServer(pb.DrainServerRequest(grace_period=duration))
    assert "grace_period" in Failure(caught.value).fields
    with pytest.raises(grpc.RpcError) as caught:
        grpc_stub.UnloadModel(pb.UnloadModelRequest(model=MODEL, drain_timeout=duration))
    assert "drain_timeout" in Failure(caught.value).fields


def test_unknown_and_missing_models(empty_server: RunningServer) -> None:
    with empty_server.channel() as channel:
        stub = Stub(channel)
        for name, code in (("hollw", grpc.StatusCode.NOT_FOUND), ("", grpc.StatusCode.INVALID_ARGUMENT)):
            for call in (
                lambda name=name: list(stub.LoadModel(pb.LoadModelRequest(model=name))),
                lambda name=name: stub.UnloadModel(pb.UnloadModelRequest(model=name)),
            ):
                with pytest.raises(grpc.RpcError) as caught:
                    call()
                assert caught.value.code() is code
        assert stub.UnloadModel(pb.UnloadModelRequest(model="hollow")).model.state == models_pb2.MODEL_STATE_AVAILABLE


@pytest.mark.parametrize(("name", "why"), [("hollow", "genai_config.json"), ("strange", "abacus")])
def test_a_model_that_cannot_be_loaded_says_why(empty_server: RunningServer, name: str, why: str) -> None:
    with empty_server.channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            list(Stub(channel).LoadModel(pb.LoadModelRequest(model=name)))
        failure = Failure(caught.value)
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_FAILED")
        assert why in failure.message
        assert failure.detail(error_details_pb2.PreconditionFailure) is not None
        with pytest.raises(grpc.RpcError) as caught:
            TextGenerationServiceStub(channel).CountTokens(
                generation_pb2.CountTokensRequest(input=chat("Hi", model=name))
            )
        assert Failure(caught.value).reason == "MODEL_FAILED"


def test_a_changed_file_is_not_loaded_and_a_repaired_one_is_verified_again(empty_server: RunningServer) -> None:
    folder = write_model(empty_server.config.models.dir, "changed", content=b"good")
    (folder / "weights").write_bytes(b"evil")
    with empty_server.channel() as channel:
        stub = Stub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.LoadModel(pb.LoadModelRequest(model="changed")))
        assert "SHA-256 differs" in Failure(caught.value).message
        (folder / "weights").unlink()
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.LoadModel(pb.LoadModelRequest(model="changed")))
        assert "weights is missing" in Failure(caught.value).message
        (folder / "weights").write_bytes(b"good")
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.LoadModel(pb.LoadModelRequest(model="changed")))
        assert "genai_config.json" in Failure(caught.value).message
    assert hashlib.sha256(b"good").hexdigest() in (folder / "model.toml").read_text()


def test_load_joins_unload_aborts_and_load_again(own_server: RunningServer) -> None:
    with own_server.channel() as channel:
        admin, text = Stub(channel), TextGenerationServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            text.Generate(generation_pb2.GenerateRequest(input=chat("Hi")))
        failure = Failure(caught.value)
        assert (failure.code, failure.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_READY")
        assert failure.metadata == {"model": MODEL, "state": "AVAILABLE"}
        assert failure.message == (
            f"model {MODEL!r} is not loaded; load it with LoadModel, as `trivium models load {MODEL}` does"
        )

        joined: list[list[pb.LoadModelResponse]] = []
        threads = [
            threading.Thread(target=lambda: joined.append(list(admin.LoadModel(pb.LoadModelRequest(model=MODEL)))))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for events in joined:
            percents = [event.progress_percent for event in events]
            assert percents == sorted(percents)
            assert percents[-1] == 100
            states = [event.model.state for event in events]
            assert states[-1] == models_pb2.MODEL_STATE_READY
            assert set(states) <= {
                models_pb2.MODEL_STATE_LOADING,
                models_pb2.MODEL_STATE_WARMING,
                models_pb2.MODEL_STATE_READY,
            }
        assert max(len(events) for events in joined) > 3, "progress is told"

        source = chat("Tell me a very long story.", max_output_tokens=450, min_output_tokens=450)
        running = text.StreamGenerate(generation_pb2.StreamGenerateRequest(input=source))
        next(iter(running))
        unload = admin.UnloadModel.future(pb.UnloadModelRequest(model=MODEL, drain_timeout=Duration(seconds=1)))
        assert wait_until(lambda: own_server.app.catalog.status(MODEL).state is ModelState.DRAINING)
        with pytest.raises(grpc.RpcError) as caught:
            text.Generate(generation_pb2.GenerateRequest(input=chat("Hi")))
        failure = Failure(caught.value)
        assert (failure.code, failure.metadata["state"]) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        with pytest.raises(grpc.RpcError) as caught:
            list(running)
        failure = Failure(caught.value)
        assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "CALL_ABORTED")
        assert "trivium-usage-bin" in failure.trailing
        assert unload.result(30).model.state == models_pb2.MODEL_STATE_AVAILABLE

        *_, last = admin.LoadModel(pb.LoadModelRequest(model=MODEL))
        assert last.model.state == models_pb2.MODEL_STATE_READY
        assert text.Generate(generation_pb2.GenerateRequest(input=chat("Hi"))).candidates


def test_unload_waits_for_running_calls(own_server: RunningServer) -> None:
    with own_server.channel() as channel:
        admin, text = Stub(channel), TextGenerationServiceStub(channel)
        list(admin.LoadModel(pb.LoadModelRequest(model=MODEL)))
        source = chat("Tell me a story.", max_output_tokens=60, min_output_tokens=60)
        running = text.StreamGenerate(generation_pb2.StreamGenerateRequest(input=source))
        next(iter(running))
        unload = admin.UnloadModel.future(pb.UnloadModelRequest(model=MODEL, drain_timeout=Duration(seconds=120)))
        *_, last = running
        assert last.HasField("completed")
        assert unload.result(30).model.state == models_pb2.MODEL_STATE_AVAILABLE
