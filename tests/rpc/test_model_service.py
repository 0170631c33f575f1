"""ModelService: lists, pages, watches."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.server.stores import write_model
from tests.serving import MODEL, Failure, RunningServer
from trivium.v1 import models_pb2 as pb
from trivium.v1.models_pb2_grpc import ModelServiceStub as Stub

NAMES = [f"model-{index:02d}" for index in range(25)]


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[Stub]:
    return Stub


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stub]:
    """Many models, none of them loaded."""
    store: Path = tmp_path_factory.mktemp("store")
    for name in NAMES:
        write_model(store, name)
    with RunningServer(store, models__load="none") as running, running.channel() as channel:
        yield Stub(channel)


def refused(stub: Stub, **fields: object) -> Failure:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ListModels(pb.ListModelsRequest(**fields))  # type: ignore[arg-type]  # by name
    return Failure(caught.value)


def test_a_ready_model_tells_what_a_caller_needs(grpc_stub: Stub) -> None:
    model = grpc_stub.GetModel(pb.GetModelRequest(model=MODEL)).model
    assert model in grpc_stub.ListModels(pb.ListModelsRequest(page_size=1000)).models
    assert model.state == pb.MODEL_STATE_READY
    assert model.digest.startswith("sha256:")
    assert list(model.capabilities) == [pb.CAPABILITY_GENERATE_TEXT]
    assert model.license == "Apache-2.0"
    assert (model.limits.max_context_tokens, model.limits.max_input_tokens) == (1024, 1023)
    assert model.limits.max_request_bytes == 16 * 1024 * 1024
    assert model.ready_time.seconds > 1_700_000_000
    assert {"temperature", "seed", "logit_bias"} <= set(model.supported_parameters)
    assert model.default_sampling.HasField("temperature")
    assert not model.HasField("last_error")


@pytest.mark.parametrize("page_size", [1, 7, 24, 25, 26, 1000, 0])
def test_pages_give_every_model_once_in_order(crowd: Stub, page_size: int) -> None:
    names: list[str] = []
    token = ""
    while True:
        page = crowd.ListModels(pb.ListModelsRequest(page_size=page_size, page_token=token))
        assert len(page.models) <= (page_size or 100)
        names += [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            break
    assert names == NAMES


def test_capability_filters(crowd: Stub) -> None:
    listed = crowd.ListModels(pb.ListModelsRequest(capability=pb.CAPABILITY_GENERATE_TEXT))
    assert len(listed.models) == len(NAMES)


@pytest.mark.parametrize("page_size", [-1, 1001, -(2**31)])
def test_page_size_out_of_range(crowd: Stub, page_size: int) -> None:
    failure = refused(crowd, page_size=page_size)
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "0 to 1000" in failure.fields["page_size"]


@pytest.mark.parametrize("token", ["x", "é", "AAAA", "a" * 10_000, "====", "AAAAAAAAAAAAAAAA"])
def test_page_tokens_of_others_are_refused(crowd: Stub, token: str) -> None:
    assert refused(crowd, page_token=token).fields == {"page_token": "was not made by this server"}


def test_page_token_of_another_filter_is_refused(crowd: Stub) -> None:
    token = crowd.ListModels(pb.ListModelsRequest(page_size=2)).next_page_token
    failure = refused(crowd, page_token=token, capability=pb.CAPABILITY_GENERATE_TEXT)
    assert "page_token" in failure.fields


def test_unknown_capability(crowd: Stub) -> None:
    assert "capability" in refused(crowd, capability=99).fields


def test_unknown_model_has_near_matches(crowd: Stub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        crowd.GetModel(pb.GetModelRequest(model="model-7"))
    failure = Failure(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert "model-07" in failure.metadata["near_matches"].split(",")
    with pytest.raises(grpc.RpcError) as caught:
        crowd.GetModel(pb.GetModelRequest())
    assert Failure(caught.value).fields == {"model": "is required"}


def test_watch_begins_with_everything(crowd: Stub) -> None:
    watch = crowd.WatchModels(pb.WatchModelsRequest())
    seen = []
    for event in watch:
        if event.HasField("snapshot_end"):
            break
        seen.append(event.model.name)
    watch.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
    assert seen == NAMES


def test_broken_folders_are_failed_and_say_why(tmp_path: Path) -> None:
    write_model(tmp_path, "good")
    (tmp_path / "empty").mkdir()
    (tmp_path / "garbage").mkdir()
    (tmp_path / "garbage" / "model.toml").write_bytes(b"\xff[")
    write_model(tmp_path, "renamed").rename(tmp_path / "other")
    escaping = write_model(tmp_path, "escaping") / "model.toml"
    escaping.write_text(escaping.read_text().replace('"weights"', '"../weights"'))
    with RunningServer(tmp_path, models__load="none") as running, running.channel() as channel:
        models = {model.name: model for model in Stub(channel).ListModels(pb.ListModelsRequest()).models}
    assert {name for name, model in models.items() if model.state == pb.MODEL_STATE_FAILED} == models.keys() - {"good"}
    reasons = {name: model.last_error.message for name, model in models.items()}
    assert "has no model.toml" in reasons["empty"]
    assert "model.toml" in reasons["garbage"]
    assert "the folder is 'other'" in reasons["other"]
    assert "points out of the folder" in reasons["escaping"]
    assert models["good"].state == pb.MODEL_STATE_AVAILABLE
