"""What Python's blocking client costs beside the bare stub, against a server of fixed answers in a process of its own.

Prints one line of JSON, in the shape that `make bench` of the other SDKs has; see benchmarks/sdks.py.
"""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import grpc

import trivium
from benchmarks.contenders import wait_ready_line
from benchmarks.processes import ServerProcess, free_port
from benchmarks.report import percentile
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub

_ROUNDS = 5
_CALLS = 500
_STREAMS = 10
_AT_ONCE = 64
_MODEL = "any"
_PROMPT = "What is the capital of Japan?"

Figures = dict[str, float]
Side = tuple[Callable[[], object], Callable[[], Iterable[object]]]
"""A call with one response, and a stream."""


def _stub_side(stub: TextGenerationServiceStub) -> Side:
    turn = pb.ChatMessage(role=pb.CHAT_ROLE_USER, parts=[pb.ContentPart(text=_PROMPT)])
    asked = pb.GenerationInput(model=_MODEL, conversation=pb.Conversation(messages=[turn]))
    return (
        lambda: stub.CountTokens(pb.CountTokensRequest(input=asked)),
        lambda: stub.StreamGenerate(pb.StreamGenerateRequest(input=asked)),
    )


def _sdk_side(client: trivium.Client) -> Side:
    return (
        lambda: client.text.count_tokens(_PROMPT, model=_MODEL),
        lambda: client.text.stream(_PROMPT, model=_MODEL).events(),
    )


def _unary(side: Side) -> list[float]:
    return [_timed(side[0]) for _ in range(_CALLS)]


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _tokens(side: Side) -> list[float]:
    """The times from one event to the next."""
    gaps = []
    last = time.perf_counter()
    for _ in side[1]():
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
    return gaps


def _streams(side: Side) -> list[float]:
    return [gap for _ in range(_STREAMS) for gap in _tokens(side)]


def _streams_at_once(side: Side) -> list[float]:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return [gap for gaps in threads.map(lambda _: _tokens(side), range(_AT_ONCE)) for gap in gaps]


def _figures(measure: Callable[[Side], list[float]], side: Side) -> Figures:
    cpu = time.process_time()
    durations = measure(side)
    used = time.process_time() - cpu
    return {
        "p50_us": 1e6 * percentile(durations, 0.5),
        "p99_us": 1e6 * percentile(durations, 0.99),
        "cpu_us": 1e6 * used / len(durations),
    }


def _compared(measure: Callable[[Side], list[float]], sides: dict[str, Side]) -> dict[str, Figures]:
    """The median of each figure over rounds in which the sides take turns."""
    for side in sides.values():
        measure(side)  # warms up
    rounds = [{name: _figures(measure, side) for name, side in sides.items()} for _ in range(_ROUNDS)]
    return {
        name: {key: statistics.median(one[name][key] for one in rounds) for key in rounds[0][name]} for name in sides
    }


def main() -> None:
    port = free_port()
    server = ServerProcess([sys.executable, "-m", "benchmarks.empty_handler", "--port", str(port)])
    try:
        wait_ready_line(server)
        target = f"127.0.0.1:{port}"
        with grpc.insecure_channel(target) as channel, trivium.Client(target) as client:
            sides = {"stub": _stub_side(TextGenerationServiceStub(channel)), "sdk": _sdk_side(client)}
            workloads = {
                "unary_call": _unary,
                "streamed_token": _streams,
                "streamed_token_64_at_once": _streams_at_once,
            }
            compared = {name: _compared(measure, sides) for name, measure in workloads.items()}
    finally:
        server.stop()
    runtime = f"python {platform.python_version()}, grpcio {grpc.__version__}"
    print(json.dumps({"language": "python", "runtime": runtime, "rounds": _ROUNDS, **compared}))


if __name__ == "__main__":
    main()
