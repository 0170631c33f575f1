"""The HTTP side door: metrics for Prometheus, probes that tell live from ready, and clients that misbehave."""

import contextlib
import http.client
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.rpc.generating import Stub, generate, refused, stream
from tests.rpc.requests import chat
from tests.server.processes import ServerProcess
from tests.server.stores import write_model
from tests.serving import MODEL, RunningServer, wait_until
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub
from trivium_server.telemetry.metrics import Kind, Metric

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def get(address: str, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def scraped(address: str) -> Values:
    """The samples of a scrape, by name and labels, as Prometheus's own parser reads them."""
    time.sleep(0.6)  # until it is made anew
    status, text = get(address, "/metrics")
    assert status == 200
    families = text_string_to_metric_families(text)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(values: Values, name: str, **labels: str) -> float:
    return values[name, frozenset(labels.items())]


@pytest.fixture(scope="module")
def running(model_store: Path) -> Iterator[RunningServer]:
    with RunningServer(
        model_store, models__load=[MODEL], server__metrics_listen="127.0.0.1:0", generation__slots=2
    ) as server:
        yield server


@pytest.fixture(scope="module")
def hollow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server without models."""
    store: Path = tmp_path_factory.mktemp("store")
    write_model(store, "hollow")
    with RunningServer(store, models__load="none", server__metrics_listen="127.0.0.1:0") as server:
        yield server


def test_calls_tokens_and_failures_are_counted(running: RunningServer) -> None:
    before = scraped(running.app.probes.address)
    with running.channel() as channel:
        stub = Stub(channel)
        generate(stub, chat("Hi", max_output_tokens=5, min_output_tokens=5))
        stream(stub, chat("Hi", max_output_tokens=7, min_output_tokens=7))
        refused(lambda: generate(stub, pb.GenerationInput()))
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/trivium.v1.TextGenerationService/Invented", None, None)(b"")
    after = scraped(running.app.probes.address)

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - before.get((name, frozenset(labels.items())), 0.0)

    unary = "/trivium.v1.TextGenerationService/Generate"
    streamed = "/trivium.v1.TextGenerationService/StreamGenerate"
    assert grown("trivium_calls_started_total", method=unary) == 2
    assert grown("trivium_calls_finished_total", method=unary, status="OK") == 1
    assert grown("trivium_calls_finished_total", method=unary, status="INVALID_ARGUMENT") == 1
    assert grown("trivium_calls_finished_total", method="_OTHER", status="UNIMPLEMENTED") == 1
    assert value(after, "trivium_calls_in_flight", method=unary) == 0
    assert grown("trivium_output_tokens_total", method=unary) == 5
    assert grown("trivium_output_tokens_total", method=streamed) == 7
    assert grown("trivium_call_duration_seconds_count", method=unary) == 2
    assert grown("trivium_call_duration_seconds_bucket", method=unary, le="+Inf") == 2
    assert grown("trivium_call_duration_seconds_sum", method=unary) > 0
    assert grown("trivium_request_size_bytes_bucket", method=unary, le="256") == 2
    assert grown("trivium_model_busy_seconds_total", model=MODEL) > 0
    assert grown("trivium_model_items_total", model=MODEL) >= 10, "the first token of a candidate comes of its prompt"
    assert not any("Invented" in text for text in map(str, after))


def test_every_metric_has_its_kind_and_meaning(running: RunningServer) -> None:
    with running.channel() as channel:
        generate(Stub(channel), chat("Hi", max_output_tokens=1))
    _, text = get(running.app.probes.address, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for metric in Metric:
        name, kind, labels, about = metric.value
        assert name.startswith("trivium_")
        assert name.endswith("_total") is (kind is Kind.COUNTER)
        family = families.get(name.removesuffix("_total"))
        if family is None:
            continue  # nothing happened that it counts
        assert (family.type, family.documentation) == (kind.value, about)
        assert all(set(sample.labels) - {"le"} == set(labels) for sample in family.samples)
    assert len(families) >= 15


def test_the_document_lists_every_metric() -> None:
    document = Path(__file__).parents[2] / "docs" / "metrics.md"
    listed = [line for line in document.read_text().splitlines() if line.startswith("| `")]
    assert listed == [
        f"| `{about.name}` | {about.kind.value} | {', '.join(f'`{label}`' for label in about.labels)} | {about.about} |"
        for about in (metric.value for metric in Metric)
    ]


def test_busy_and_waiting_sequences_show_while_they_are(running: RunningServer) -> None:
    address = running.app.probes.address
    with running.channel() as channel:
        source = chat("Go on.", max_output_tokens=2000, min_output_tokens=2000)
        stub = TextGenerationServiceStub(channel)
        calls = [stub.StreamGenerate(pb.StreamGenerateRequest(input=source)) for _ in range(3)]
        for call in calls[:2]:
            next(iter(call))
        assert wait_until(lambda: value(scraped(address), "trivium_model_waiting_items", model=MODEL) == 1)
        values = scraped(address)
        assert value(values, "trivium_model_places", model=MODEL) == 2
        assert value(values, "trivium_model_busy_places", model=MODEL) == 2
        assert value(values, "trivium_utilization_ratio") > 1
        assert value(values, "trivium_calls_in_flight", method="/trivium.v1.TextGenerationService/StreamGenerate") == 3
        for call in calls:
            call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
    assert wait_until(lambda: value(scraped(address), "trivium_model_busy_places", model=MODEL) == 0)


def test_probes_and_wrong_requests(hollow: RunningServer) -> None:
    address = hollow.app.probes.address
    assert get(address, "/livez") == (200, "alive\n")
    assert get(address, "/readyz?verbose") == (200, "ready\n")
    assert get(address, "/livez", "HEAD") == (200, "")
    assert get(address, "/livez", "POST")[0] == 405
    assert get(address, "/")[0] == 404
    assert get(address, "/metrics/../metrics")[0] == 404
    assert get(address, "/livez?" + "x" * 20_000)[0] == 431


def test_what_is_no_http_is_answered_and_forgotten(hollow: RunningServer) -> None:
    host, port = hollow.app.probes.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as plug:
        plug.sendall(b"\x16\x03\x01 what\r\n\r\n")
        assert plug.recv(100).startswith(b"HTTP/1.1 400 ")


def test_clients_that_say_nothing_are_few_and_harm_nobody(hollow: RunningServer) -> None:
    host, port = hollow.app.probes.address.split(":")
    with contextlib.ExitStack() as plugs:
        silent = [plugs.enter_context(socket.create_connection((host, int(port)), timeout=30)) for _ in range(40)]
        # The last of them are refused at once, and calls are answered.
        assert wait_until(lambda: _is_closed(silent[-1]))
        with hollow.channel() as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/trivium.v1.ModelService/GetModel", None, None)(b"", timeout=5)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert wait_until(lambda: _is_closed(silent[0]), 30), "none stays longer than ten seconds"
    assert wait_until(lambda: get(hollow.app.probes.address, "/livez") == (200, "alive\n"))


def _is_closed(plug: socket.socket) -> bool:
    plug.settimeout(0)
    try:
        return plug.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def test_ready_once_models_have_loaded_and_until_the_drain(model_store: Path) -> None:
    settings = {
        "TRIVIUM_SERVER_METRICS_LISTEN": "127.0.0.1:0",
        "TRIVIUM_DRAIN_HEALTH_WAIT_S": "3",
    }
    with ServerProcess(model_store, "--model", MODEL, **settings) as server:
        address = server.wait_for(r"metrics and probes  address=(\S+)")[1]
        assert get(address, "/livez")[0] == 200
        assert get(address, "/readyz") == (503, "models are being loaded\n")
        server.wait_for(r" ready  ")
        assert get(address, "/readyz") == (200, "ready\n")
        server.signal(signal.SIGTERM)
        server.wait_for(r"draining")
        assert get(address, "/readyz") == (503, "the server drains\n")
        assert get(address, "/livez")[0] == 200, "a server that drains is alive"
        assert server.exit_code() == 0


def test_a_server_whose_only_model_fails_is_live_and_not_ready(tmp_path: Path) -> None:
    write_model(tmp_path, "hollow")
    with RunningServer(tmp_path, server__metrics_listen="127.0.0.1:0") as server:
        address = server.app.probes.address
        assert wait_until(lambda: get(address, "/readyz") == (503, "no model is ready\n"))
        assert get(address, "/livez")[0] == 200


def test_a_taken_port_is_one_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with ServerProcess(tmp_path, TRIVIUM_MODELS_LOAD="none", TRIVIUM_SERVER_METRICS_LISTEN=where) as server:
            assert server.exit_code() == 2
            assert f"cannot listen on server.metrics_listen {where}" in server.lines[-1]


def test_an_open_address_is_said_in_the_log(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, TRIVIUM_MODELS_LOAD="none", TRIVIUM_SERVER_METRICS_LISTEN="0.0.0.0:0") as server:
        server.wait_for(r"WARNING whoever can connect can read the metrics  address=0\.0\.0\.0:")
