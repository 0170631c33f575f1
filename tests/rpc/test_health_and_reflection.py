"""grpc.health.v1 per service and per model, and reflection where it is on."""

from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub as Stub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.server.stores import write_model
from tests.serving import MODEL, Failure, RunningServer
from trivium.admin.v1 import admin_pb2
from trivium.admin.v1.admin_pb2_grpc import AdminServiceStub

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
OURS = ("trivium.v1.TextGenerationService", "trivium.v1.ModelService", "trivium.admin.v1.AdminService")
ENCODING = ("trivium.v1.EmbeddingService", "trivium.v1.TextAnalysisService", "trivium.v1.VisionService")


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[Stub]:
    return Stub  # type: ignore[no-any-return]  # the health stubs are untyped


def health(channel: grpc.Channel, service: str) -> int:
    status: int = Stub(channel).Check(health_pb2.HealthCheckRequest(service=service)).status
    return status


@pytest.mark.parametrize("service", ["", *OURS, f"model/{MODEL}"])
def test_everything_serves_once_the_model_is_ready(grpc_channel: grpc.Channel, service: str) -> None:
    assert health(grpc_channel, service) == SERVING


@pytest.mark.parametrize("service", ENCODING)
def test_a_service_without_a_model_of_its_own_does_not_serve(grpc_channel: grpc.Channel, service: str) -> None:
    assert health(grpc_channel, service) == NOT_SERVING


def test_unknown_service_is_not_found(grpc_channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        health(grpc_channel, "model/nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_without_a_ready_model_the_server_lives_and_text_generation_does_not(tmp_path: Path) -> None:
    write_model(tmp_path, "hollow")
    with RunningServer(tmp_path, models__load="none") as running, running.channel() as channel:
        expected = {"": SERVING, OURS[0]: NOT_SERVING, OURS[1]: SERVING, OURS[2]: SERVING, "model/hollow": NOT_SERVING}
        expected |= dict.fromkeys(ENCODING, NOT_SERVING)
        assert {service: health(channel, service) for service in expected} == expected


def test_drain_turns_health_off_before_calls_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path, "hollow")
    with (
        RunningServer(tmp_path, models__load="none", drain__health_wait_s=1.0) as running,
        running.channel() as channel,
    ):
        watch = Stub(channel).Watch(health_pb2.HealthCheckRequest(service=""))
        assert next(watch).status == SERVING
        # The drain proper is run by the process; here it is begun as the process would.
        admin = AdminServiceStub(channel)
        assert admin.DrainServer(admin_pb2.DrainServerRequest()).in_flight_count == 0
        assert admin.DrainServer(admin_pb2.DrainServerRequest()).in_flight_count == 0
        assert admin.GetServerInfo(admin_pb2.GetServerInfoRequest()).draining
        with pytest.raises(grpc.RpcError) as caught:
            list(admin.LoadModel(admin_pb2.LoadModelRequest(model="hollow")))
        assert Failure(caught.value).reason == "SERVER_DRAINING"
        running.run(running.app._health.drain())
        assert next(watch).status == NOT_SERVING
        assert all(health(channel, service) == NOT_SERVING for service in ("", *OURS, *ENCODING, "model/hollow"))
        watch.cancel()


@pytest.mark.parametrize("name", ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"])
def test_reflection_lists_services_under_both_names(grpc_channel: grpc.Channel, name: str) -> None:
    call = grpc_channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    (answer,) = call(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    listed = {service.name for service in answer.list_services_response.service}
    assert {*OURS, *ENCODING, "grpc.health.v1.Health"} <= listed


def test_reflection_describes_every_method_and_the_error_details(grpc_channel: grpc.Channel) -> None:
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(grpc_channel))
    for service in (*OURS, *ENCODING):
        assert pool.FindServiceByName(service).methods
    assert pool.FindMessageTypeByName("google.rpc.BadRequest").fields_by_name["field_violations"]
    assert "ERROR_REASON_QUEUE_FULL" in pool.FindEnumTypeByName("trivium.v1.ErrorReason").values_by_name


def test_reflection_can_be_off(tmp_path: Path) -> None:
    write_model(tmp_path, "hollow")
    with (
        RunningServer(tmp_path, models__load="none", server__reflection="off") as running,
        running.channel() as channel,
    ):
        call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", None, None)
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b""])))
    assert Failure(caught.value).reason == "METHOD_NOT_FOUND"
