"""What callers get through Envoy: every kind of call, from every kind of caller, and nothing that is fenced off."""

import base64
import http.client
import json
import re
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import grpc
import pytest

import trivium
from deploy.envoy.options import Address, Balancer, Bootstrap, DownstreamTls, Listener
from tests.serving import Failure, wait_until
from tests.stack.conftest import EMBEDDER, GENERATOR, ORIGIN, StartEnvoy, replica_addresses, replica_tls
from tools.stack.running import RunningStack
from tools.stack.settings import ROOT, free_ports
from trivium.admin.v1 import admin_pb2
from trivium.admin.v1.admin_pb2_grpc import AdminServiceStub
from trivium.v1 import embedding_pb2 as embedding
from trivium.v1 import generation_pb2 as generation
from trivium.v1 import models_pb2
from trivium.v1 import vision_pb2 as vision
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceStub
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub
from trivium.v1.models_pb2_grpc import ModelServiceStub
from trivium.v1.vision_pb2_grpc import VisionServiceStub

pytestmark = pytest.mark.alone

Answer = tuple[int, dict[str, str], bytes]
README = ROOT / "deploy/envoy/README.md"
LIST_MODELS = "/trivium.v1.ModelService/ListModels"
STREAM_GENERATE = "/trivium.v1.TextGenerationService/StreamGenerate"
COUNT_TOKENS = "/trivium.v1.TextGenerationService/CountTokens"


def ask(web: str, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    """One request of HTTP/1.1: status, headers by lower-case name, and body."""
    connection = http.client.HTTPConnection(web, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def ask_json(web: str, path: str, request: object, **headers: str) -> Answer:
    sent = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
    return ask(web, "POST", path, sent, json.dumps(request).encode())


def test_the_sdk_calls_streams_and_embeds_over_tls(stack: RunningStack) -> None:
    tls = trivium.TLS(root_certificates=Path(stack.text("root_certificate")).read_bytes())
    with trivium.Client(stack.text("tls_target"), tls=tls) as client:
        deltas = list(client.text.stream("Count to five.", model=GENERATOR, max_output_tokens=8))
        assert deltas
        assert client.embed(["one", "two"], model=EMBEDDER).shape == (2, 384)


def test_a_stream_in_both_directions_answers_while_its_caller_still_sends(tls_channel: grpc.Channel) -> None:
    config = embedding.EmbedConfig(model=EMBEDDER)
    answered: list[str] = []

    def requests() -> Iterator[embedding.StreamEmbedRequest]:
        yield embedding.StreamEmbedRequest(setup=embedding.StreamEmbedSetup(config=config))
        for name in ("first", "second"):
            item = embedding.EmbedItem(item_id=name, text=name)
            yield embedding.StreamEmbedRequest(items=embedding.EmbedItems(items=[item]))
            assert wait_until(partial(answered.__contains__, name))

    last = None
    for event in EmbeddingServiceStub(tls_channel).StreamEmbed(requests(), timeout=60):
        answered += [result.item_id for result in event.results.results]
        last = event.WhichOneof("event")
    assert (answered, last) == (["first", "second"], "completed")


def test_json_is_answered_with_json(web: str) -> None:
    request = {"model": EMBEDDER, "source": "A cat sleeps.", "targets": ["A kitten naps.", "Shares fell."]}
    status, headers, body = ask_json(web, "/trivium.v1.EmbeddingService/CompareTexts", request, x_request_id="my-id")
    answer = json.loads(body)
    assert (status, headers["content-type"], headers["x-request-id"]) == (200, "application/json", "my-id")
    assert answer["info"]["requestId"] == "my-id"
    first, second = (comparison["similarity"] for comparison in answer["comparisons"])
    assert first > second


def test_a_failed_call_in_json_has_its_details(web: str) -> None:
    status, _, body = ask_json(web, COUNT_TOKENS, {"input": {"model": "no-such", "text": "Hello"}})
    error = json.loads(body)
    assert (status, error["code"]) == (404, grpc.StatusCode.NOT_FOUND.value[0])
    details = {detail["@type"].rpartition(".")[2]: detail for detail in error["details"]}
    assert details["ErrorInfo"]["reason"] == "MODEL_NOT_FOUND"
    assert details["ResourceInfo"]["resourceName"] == "no-such"


def test_streams_take_no_json(web: str) -> None:
    request = {"input": {"model": GENERATOR, "text": "Hello"}}
    status, _, body = ask_json(web, STREAM_GENERATE, request)
    assert (status, body) == (415, b"only methods with one request and one response take JSON")


@pytest.mark.parametrize("path", [LIST_MODELS, STREAM_GENERATE], ids=["one response", "a stream"])
def test_a_page_may_ask_from_an_allowed_origin_only(web: str, path: str) -> None:
    wanted = {"access-control-request-method": "POST", "access-control-request-headers": "x-grpc-web,content-type"}
    status, headers, _ = ask(web, "OPTIONS", path, {"origin": ORIGIN} | wanted)
    assert (status, headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert {"x-grpc-web", "grpc-timeout"} <= set(headers["access-control-allow-headers"].split(", "))
    assert "grpc-status-details-bin" in headers["access-control-expose-headers"]
    _, headers, _ = ask(web, "OPTIONS", path, {"origin": "http://elsewhere.example"} | wanted)
    assert "access-control-allow-origin" not in headers


def test_a_page_calls_over_grpc_web(web: str) -> None:
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": ORIGIN}
    status, seen, body = ask(web, "POST", LIST_MODELS, headers, struct.pack(">BI", 0, 0))
    assert (status, seen["access-control-allow-origin"]) == (200, ORIGIN)
    kind, length = struct.unpack(">BI", body[:5])
    answer = models_pb2.ListModelsResponse.FromString(body[5 : 5 + length])
    assert kind == 0
    assert EMBEDDER in {model.name for model in answer.models}
    trailer = body[5 + length :]
    assert trailer[0] == 0x80
    assert b"grpc-status:0" in trailer


def test_servers_cannot_be_operated_from_outside(web: str, tls_channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        AdminServiceStub(tls_channel).DrainServer(admin_pb2.DrainServerRequest(), timeout=10)
    failure = Failure(raised.value)
    assert (failure.code, failure.message) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "trivium.admin.v1 cannot be reached from here",
    )
    assert ask_json(web, "/trivium.admin.v1.AdminService/DrainServer", {})[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "//trivium.admin.v1.AdminService/DrainServer",
        "/trivium.v1.ModelService/../trivium.admin.v1.AdminService/DrainServer",
        "/%74rivium.admin.v1.AdminService/DrainServer",
        "/trivium.v1.ModelService/..%2ftrivium.admin.v1.AdminService/DrainServer",
        "/TRIVIUM.admin.v1.AdminService/DrainServer",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/",
    ],
)
def test_no_spelling_of_a_path_leads_around_the_fence(web: str, path: str) -> None:
    for content_type in ("application/json", "application/grpc"):
        status, headers, _ = ask(web, "POST", path, {"content-type": content_type}, b"{}")
        # gRPC's errors are statuses 200 of HTTP.
        assert status in {400, 403, 404} or headers["grpc-status"] in {"7", "12", "13"}, headers
        assert "trivium-instance" not in headers, "a server has answered"


def test_callers_do_not_steer_envoy(web: str) -> None:
    # Obeyed, the first would end the call after a millisecond.
    status, _, _ = ask_json(
        web,
        "/trivium.v1.TextGenerationService/Generate",
        {"input": {"model": GENERATOR, "text": "Hello", "sampling": {"maxOutputTokens": 4}}},
        x_envoy_upstream_rq_timeout_ms="1",
        x_envoy_retry_on="5xx",
    )
    assert status == 200


def test_a_deadline_holds_through_envoy(web_channel: grpc.Channel) -> None:
    request = generation.GenerateRequest()
    request.input.model, request.input.text = GENERATOR, "Tell me a long story."
    request.input.sampling.min_output_tokens = request.input.sampling.max_output_tokens = 2000
    begun_s = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        TextGenerationServiceStub(web_channel).Generate(request, timeout=0.5)
    assert Failure(raised.value).code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begun_s < 5


def test_the_access_log_has_the_request_id_and_nothing_else_of_the_call(stack: RunningStack, web: str) -> None:
    sent = {"input": {"model": GENERATOR, "text": "the-secret-text"}}
    ask_json(web, f"{COUNT_TOKENS}?x=the-secret-query", sent, x_request_id="log-me", authorization="the-secret-token")
    ask_json(web, COUNT_TOKENS, sent, x_request_id="log-me-too", authorization="the-secret-token")
    log = stack.folder / "envoy.log"
    assert wait_until(lambda: '"request_id":"log-me-too"' in log.read_text(), 20)
    assert '"request_id":"log-me"' in log.read_text()
    assert "the-secret" not in log.read_text()


def test_a_replica_can_be_asked_where_no_model_serves_and_says_why(web: str) -> None:
    """No model here sees images, so no replica is in rotation for them; the answer is the server's all the same."""
    request = {"image": {"content": base64.b64encode(b"no image").decode()}, "features": []}
    status, headers, body = ask_json(web, "/trivium.v1.VisionService/AnalyzeImage", request)
    assert status == 400
    assert "trivium-instance" in headers or "details" in json.loads(body)
    assert json.loads(body)["details"][0]["reason"]


def test_large_requests_pass_whole(tls_channel: grpc.Channel, web: str) -> None:
    """What is no image is refused by the server, who has read all of it; Envoy would refuse it without a reason."""
    request = vision.AnalyzeImageRequest()
    request.image.content = bytes(10 * 1024 * 1024)
    with pytest.raises(grpc.RpcError) as raised:
        VisionServiceStub(tls_channel).AnalyzeImage(request, timeout=60)
    reason = Failure(raised.value).reason
    sent = {"image": {"content": base64.b64encode(request.image.content).decode()}}
    _, _, body = ask_json(web, "/trivium.v1.VisionService/AnalyzeImage", sent)
    assert reason
    assert json.loads(body)["details"][0]["reason"] == reason


def test_only_callers_with_a_certificate_connect_where_one_is_asked_for(
    stack: RunningStack, start_envoy: StartEnvoy
) -> None:
    file = {name: str(stack.folder / f"{name}.pem") for name in ("root", "server", "server_key", "client")}
    port, admin_port = free_ports(2)
    tls = DownstreamTls(certificate=file["server"], private_key=file["server_key"], client_ca=file["root"])
    start_envoy(
        Bootstrap(
            replicas=replica_addresses(stack),
            listeners=(Listener(name="tls", address=Address("127.0.0.1", port), tls=tls),),
            admin_port=admin_port,
            upstream_tls=replica_tls(stack),
        )
    )
    root, certificate, key = (
        (stack.folder / name).read_bytes() for name in ("root.pem", "client.pem", "client_key.pem")
    )
    known = grpc.ssl_channel_credentials(root, key, certificate)
    with grpc.secure_channel(f"127.0.0.1:{port}", known) as channel:
        assert ModelServiceStub(channel).ListModels(models_pb2.ListModelsRequest(), timeout=30).models
    unknown = grpc.ssl_channel_credentials(root)
    with grpc.secure_channel(f"127.0.0.1:{port}", unknown) as channel, pytest.raises(grpc.RpcError) as raised:
        ModelServiceStub(channel).ListModels(models_pb2.ListModelsRequest(), timeout=30)
    assert Failure(raised.value).code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("balancer", list(Balancer))
def test_one_who_names_an_affinity_gets_one_replica_where_it_counts(
    stack: RunningStack, start_envoy: StartEnvoy, balancer: Balancer
) -> None:
    port, admin_port = free_ports(2)
    web = f"127.0.0.1:{port}"
    start_envoy(
        Bootstrap(
            replicas=replica_addresses(stack),
            listeners=(Listener(name="web", address=Address("127.0.0.1", port)),),
            admin_port=admin_port,
            balancer=balancer,
            upstream_tls=replica_tls(stack),
        )
    )
    request = generation.CountTokensRequest(input=generation.GenerationInput(model=GENERATOR, text="Hello"))
    instances = set()
    with grpc.insecure_channel(web) as channel:
        count = TextGenerationServiceStub(channel).CountTokens
        for _ in range(24):
            _, call = count.with_call(
                request, timeout=60, wait_for_ready=True, metadata=(("trivium-affinity", "0f3a"),)
            )
            instances.add(dict(call.trailing_metadata())["trivium-instance"])
    if balancer is Balancer.AFFINITY:
        assert len(instances) == 1
    else:
        assert len(instances) > 1


def examples() -> list[tuple[str, str]]:
    """Commands of the README, with what they are said to print."""
    found = re.findall(r"^```console\n\$ (.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    return [(command, printed) for command, _, printed in (example.rstrip("\n").rpartition("\n") for example in found)]


def assert_holds(said: object, found: object) -> None:
    """What is said stands in what was found; numbers are rounded to a hundredth."""
    if isinstance(said, dict):
        assert isinstance(found, dict)
        for key, value in said.items():
            assert_holds(value, found[key])
    elif isinstance(said, list):
        assert isinstance(found, list)
        for value, real in zip(said, found, strict=False):
            assert_holds(value, real)
    elif isinstance(said, float):
        assert said == pytest.approx(found, abs=0.01)
    else:
        assert said == found


@pytest.mark.parametrize("number", range(3))
def test_the_examples_of_the_readme_print_what_they_say(stack: RunningStack, number: int) -> None:
    found = examples()
    assert len(found) == 3
    command, said = found[number]
    command = command.replace("http://127.0.0.1:50080", stack.text("web_target"))
    run = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True, timeout=60)
    assert_holds(json.loads(said), json.loads(run.stdout))
