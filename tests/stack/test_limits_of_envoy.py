"""The limits that Envoy itself holds: of rate, of time, of silence and of connections."""

import contextlib
import http.client
import socket
import time
from collections.abc import Iterator

import grpc
import pytest

from deploy.envoy.options import Address, Bootstrap, Listener
from tests.serving import Failure, wait_until
from tests.stack.conftest import EMBEDDER, GENERATOR, StartEnvoy, replica_addresses, replica_tls
from tools.stack.running import RunningStack
from tools.stack.settings import free_ports
from trivium.v1 import embedding_pb2 as embedding
from trivium.v1 import generation_pb2 as generation
from trivium.v1 import models_pb2
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceStub
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub
from trivium.v1.models_pb2_grpc import ModelServiceStub

pytestmark = pytest.mark.alone


def start(stack: RunningStack, start_envoy: StartEnvoy, **limits: float) -> tuple[Address, Address]:
    """Starts an Envoy with these limits before the stack's replicas; returns where callers, and probes, connect."""
    port, admin_port, probe_port = free_ports(3)
    listen, probes = Address("127.0.0.1", port), Address("127.0.0.1", probe_port)
    bootstrap = Bootstrap(
        replicas=replica_addresses(stack),
        listeners=(Listener(name="web", address=listen),),
        admin_port=admin_port,
        probes=probes,
        upstream_tls=replica_tls(stack),
        **limits,  # type: ignore[arg-type]  # each by its name, of the type that it has there
    )
    start_envoy(bootstrap)
    return listen, probes


def get(address: Address, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_a_stream_may_last_so_long_and_no_longer(stack: RunningStack, start_envoy: StartEnvoy) -> None:
    listen, _ = start(stack, start_envoy, max_call_s=3)
    request = generation.StreamGenerateRequest()
    request.input.model, request.input.text = GENERATOR, "Tell me a long story."
    request.input.sampling.min_output_tokens = request.input.sampling.max_output_tokens = 3000
    with grpc.insecure_channel(f"127.0.0.1:{listen.port}") as channel:
        begun_s = time.monotonic()
        with pytest.raises(grpc.RpcError) as raised:
            for _ in TextGenerationServiceStub(channel).StreamGenerate(request, timeout=600, wait_for_ready=True):
                pass
    assert Failure(raised.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert 2.5 < time.monotonic() - begun_s < 20


def test_a_stream_may_be_silent_so_long_and_no_longer(stack: RunningStack, start_envoy: StartEnvoy) -> None:
    """One that says something now and then lasts longer than the limit."""
    listen, _ = start(stack, start_envoy, idle_s=3)
    said_s: list[float] = []

    def requests() -> Iterator[embedding.StreamEmbedRequest]:
        yield embedding.StreamEmbedRequest(
            setup=embedding.StreamEmbedSetup(config=embedding.EmbedConfig(model=EMBEDDER))
        )
        for number in range(6):
            time.sleep(1)
            item = embedding.EmbedItem(item_id=str(number), text="still here")
            said_s.append(time.monotonic())
            yield embedding.StreamEmbedRequest(items=embedding.EmbedItems(items=[item]))
        time.sleep(60)

    answered: list[str] = []

    def read(channel: grpc.Channel) -> None:
        for event in EmbeddingServiceStub(channel).StreamEmbed(requests(), timeout=50, wait_for_ready=True):
            answered.extend(result.item_id for result in event.results.results)

    with grpc.insecure_channel(f"127.0.0.1:{listen.port}") as channel:
        with pytest.raises(grpc.RpcError) as raised:
            read(channel)
        silent_s = time.monotonic() - said_s[-1]
    assert answered == list("012345")
    # An answer that has begun cannot be given a status by Envoy: it is reset, which gRPC shows as INTERNAL.
    assert Failure(raised.value).code is grpc.StatusCode.INTERNAL
    assert 2.5 < silent_s < 20


def test_what_is_over_the_rate_is_refused_as_exhausted(stack: RunningStack, start_envoy: StartEnvoy) -> None:
    listen, probes = start(stack, start_envoy, calls_per_s=3)
    codes = []
    with grpc.insecure_channel(f"127.0.0.1:{listen.port}") as channel:
        for _ in range(12):
            try:
                ModelServiceStub(channel).ListModels(models_pb2.ListModelsRequest(), timeout=30)
                codes.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                codes.append(Failure(error).code)
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}

    assert get(probes, "GET", "/ready")[0] == 200
    statistics = get(probes, "GET", "/stats/prometheus")[1]
    assert b'envoy_cluster_upstream_rq_total{envoy_cluster_name="trivium_v1_TextGenerationService"}' in statistics
    assert get(probes, "POST", "/quitquitquit")[0] == 404


def test_more_connections_than_allowed_are_closed_and_probes_still_answer(
    stack: RunningStack, start_envoy: StartEnvoy
) -> None:
    listen, probes = start(stack, start_envoy, max_connections=3)
    with contextlib.ExitStack() as held:
        for _ in range(3):
            held.enter_context(socket.create_connection((listen.host, listen.port), 10))
        assert wait_until(lambda: is_closed(listen)), "a fourth connection stays"
        assert get(probes, "GET", "/ready")[0] == 200
    assert wait_until(lambda: not is_closed(listen)), "there is room again"


def is_closed(address: Address) -> bool:
    """A new connection is closed at once."""
    with socket.create_connection((address.host, address.port), 10) as connection:
        connection.settimeout(1)
        try:
            return connection.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True
