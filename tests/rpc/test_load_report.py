"""Load reports: the message is the one that balancers parse, every inference call ends with one, and it is cheap."""

import asyncio
import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from tests.rpc.requests import chat
from tests.serving import MODEL, RunningServer, wait_until
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub
from trivium_server.rpc.load_report import LoadMeter
from trivium_server.runtime.workload import BusyClock, Workload

TOOLS = Path(__file__).parents[2] / ".tools" / "bin"
KEY = "endpoint-load-metrics-bin"


def parsed(raw: bytes) -> dict[str, float]:
    """The report as a message of the fields that orca_load_report.proto gives these numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="orca_test.proto", package="orca_test", syntax="proto3")
    kind = file.message_type.add(name="Report")
    for number, name in ((1, "cpu_utilization"), (6, "rps_fractional"), (7, "eps"), (9, "application_utilization")):
        kind.field.add(
            name=name,
            number=number,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    message: Message = message_factory.GetMessageClass(pool.FindMessageTypeByName("orca_test.Report")).FromString(raw)
    return {field.name: value for field, value in message.ListFields()}


@pytest.fixture(scope="module")
def running(model_store: Path) -> Iterator[RunningServer]:
    with RunningServer(model_store, models__load=[MODEL], generation__slots=2) as server:
        yield server


@pytest.fixture(scope="module")
def grpcurl() -> str:
    # Clients on gRPC's C core, as Python's is, keep the report from who calls them.
    found = shutil.which("grpcurl", path=str(TOOLS)) or shutil.which("grpcurl")
    assert found, "grpcurl is missing: `make .tools/bin/grpcurl` installs it"
    return found


def reported(grpcurl: str, running: RunningServer, method: str, data: object) -> dict[str, float] | None:
    """What a call reports at its end; None where it does not."""
    command = [grpcurl, "-plaintext", "-v", "-d", json.dumps(data), running.address, method]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(rf"^{KEY}: (\S+)$", ended.stdout, re.MULTILINE)
    assert "Response trailers received" in ended.stdout
    return parsed(base64.b64decode(found[1] + "==")) if found else None


COUNT = "trivium.v1.TextGenerationService/CountTokens"
COUNTED = {"input": {"model": MODEL, "text": "Hi"}}


def test_utilization_follows_what_runs_and_waits(running: RunningServer, grpcurl: str) -> None:
    idle = reported(grpcurl, running, COUNT, COUNTED)
    assert idle is not None
    assert set(idle) <= {"rps_fractional", "application_utilization"}
    assert idle.get("application_utilization", 0.0) < 0.2
    with running.channel() as channel:
        source = chat("Go on.", max_output_tokens=3000, min_output_tokens=3000)
        stub = TextGenerationServiceStub(channel)
        calls = [stub.StreamGenerate(pb.StreamGenerateRequest(input=source)) for _ in range(4)]
        next(iter(calls[0]))
        time.sleep(4)
        busy = reported(grpcurl, running, COUNT, COUNTED)
        assert busy is not None
        assert busy["application_utilization"] == pytest.approx(2, abs=0.3), "two decode on two slots, and two wait"
        for call in calls:
            call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs


def test_failed_calls_report_and_errors_of_callers_are_no_faults(running: RunningServer, grpcurl: str) -> None:
    told = reported(grpcurl, running, COUNT, {})
    assert told is not None
    assert "eps" not in told


def test_only_inference_calls_report(running: RunningServer, grpcurl: str) -> None:
    assert reported(grpcurl, running, "trivium.v1.ModelService/GetModel", {"model": MODEL}) is None


def test_reports_can_be_switched_off(tmp_path: Path, grpcurl: str) -> None:
    with RunningServer(tmp_path, models__load="none", server__load_reports=False) as server:
        assert reported(grpcurl, server, COUNT, {}) is None


async def test_rates_and_utilization_are_smoothed_over_about_a_second() -> None:
    clock = BusyClock()

    def workload() -> Workload:
        return Workload(
            num_places=2,
            num_busy=clock.num_busy,
            busy_s=clock.seconds,
            num_waiting=0,
            waiting_runs=0,
            num_runs=0,
            num_items=0,
        )

    meter = LoadMeter(lambda: [("m", workload())])
    running = asyncio.create_task(meter.run())
    clock.begin(2)
    for _ in range(50):
        meter.note("OK")
        meter.note("INTERNAL")
        await asyncio.sleep(0.02)
    after_one = parsed(meter.report)
    assert after_one["application_utilization"] == pytest.approx(0.63, abs=0.15)
    assert after_one["rps_fractional"] == pytest.approx(63, rel=0.3)
    assert after_one["eps"] == pytest.approx(after_one["rps_fractional"] / 2)
    clock.end(2)
    await asyncio.sleep(4)
    assert parsed(meter.report)["application_utilization"] < 0.05
    running.cancel()


@pytest.mark.alone
def test_a_report_costs_a_call_less_than_50_us() -> None:
    meter = LoadMeter(list)
    num = 10_000
    begun = time.perf_counter()
    for _ in range(num):
        meter.note("OK")
        assert len(meter.report) == 27
    assert (time.perf_counter() - begun) / num < 50e-6


def test_a_busy_clock_counts_places_times_seconds() -> None:
    clock = BusyClock()
    clock.begin(3)
    begun = time.monotonic()
    assert wait_until(lambda: time.monotonic() - begun > 0.2)
    clock.end(2)
    at_two = clock.seconds
    assert clock.num_busy == 1
    assert 0.6 <= at_two < 0.9
    clock.end()
    assert clock.seconds == pytest.approx(at_two, abs=0.05)
    assert clock.seconds == clock.seconds
