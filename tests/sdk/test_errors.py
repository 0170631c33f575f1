"""Every failure becomes the exception that the catalogue promises, with everything that the server said."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.sdk.faces import Face
from tests.sdk.scripted import Act, ScriptedServer, fail
from trivium import RetryPolicy, _calls, errors
from trivium._error_base import ERROR_BY_CODE
from trivium._error_types import ERROR_BY_REASON
from trivium.v1 import common_pb2, errors_pb2

Connect = Callable[..., Face]
ROOT = Path(__file__).resolve().parents[2]
ONCE = RetryPolicy(max_attempts=1)
CODES = {kind.default_code for kind in ERROR_BY_CODE.values()}


def failure_of(connect: Connect, faults: ScriptedServer, act: Act) -> errors.TriviumError:
    faults.script(_calls.GENERATE, act)
    with pytest.raises(errors.TriviumError) as caught:
        connect(faults.target, retry=ONCE).call("text.generate", "Hi", request_id="id-1")
    assert isinstance(caught.value.__context__, grpc.RpcError)
    return caught.value


def test_every_reason_of_the_contract_has_its_exception() -> None:
    names = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()}  # noqa: SIM118  # not a dict
    assert set(ERROR_BY_REASON) == set(errors.ErrorReason) == names - {"UNSPECIFIED"}


@pytest.mark.parametrize("reason", sorted(ERROR_BY_REASON))
def test_reason_becomes_its_exception(connect: Connect, faults: ScriptedServer, reason: str) -> None:
    kind = ERROR_BY_REASON[reason]
    code = kind.default_code if kind.default_code is not grpc.StatusCode.UNKNOWN else grpc.StatusCode.UNAVAILABLE
    error = failure_of(connect, faults, fail(code, "what happened", reason=reason, metadata={"model": "m"}))
    assert type(error) is kind
    assert (error.code, error.reason, error.message) == (code, reason, "what happened")
    assert error.metadata == {"model": "m"}


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code in CODES], ids=str)
def test_status_without_reason_becomes_its_codes_exception(
    connect: Connect, faults: ScriptedServer, code: grpc.StatusCode
) -> None:
    error = failure_of(connect, faults, fail(code, "from a proxy"))
    assert error.code is code
    assert error.reason is None
    assert isinstance(error, ERROR_BY_CODE[code])
    assert isinstance(error, errors.TransportError) is (code is grpc.StatusCode.UNAVAILABLE)


def test_all_that_the_server_says_arrives(connect: Connect, faults: ScriptedServer) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="input.sampling.top_p", description="is 2")
    usage = common_pb2.Usage(tokens=common_pb2.TokenUsage(input_tokens=5, output_tokens=2))
    act = fail(
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad",
        error_details_pb2.BadRequest(field_violations=[violation]),
        error_details_pb2.RequestInfo(request_id="server-id"),
        reason="INVALID_ARGUMENT_FIELD",
        retry_after_s=1.5,
        trailing=(("trivium-usage-bin", usage.SerializeToString()),),
    )
    error = failure_of(connect, faults, act)
    assert error.field_violations == (errors.FieldViolation(field="input.sampling.top_p", description="is 2"),)
    assert error.retry_after_s == 1.5
    assert error.request_id == "server-id"
    assert error.usage is not None
    assert (error.usage.input_tokens, error.usage.output_tokens) == (5, 2)
    assert str(error) == "bad (INVALID_ARGUMENT_FIELD, request server-id)"


def test_own_request_id_stands_in_for_the_servers(connect: Connect, faults: ScriptedServer) -> None:
    assert failure_of(connect, faults, fail(grpc.StatusCode.INTERNAL, "x")).request_id == "id-1"


FOREIGN: dict[str, Act] = {
    "another domain": fail(
        grpc.StatusCode.NOT_FOUND, "x", error_details_pb2.ErrorInfo(reason="MODEL_NOT_FOUND", domain="example.org")
    ),
    "not a status": fail(grpc.StatusCode.NOT_FOUND, "x", trailing=(("grpc-status-details-bin", b"\xff\xff"),)),
    "a damaged detail": fail(grpc.StatusCode.NOT_FOUND, "x", trailing=(("trivium-usage-bin", b"\xff\xff"),)),
}


@pytest.mark.parametrize("act", FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_or_damaged_details_are_left_aside(connect: Connect, faults: ScriptedServer, act: Act) -> None:
    error = failure_of(connect, faults, act)
    assert type(error) is errors.NotFoundError
    assert error.reason is None
    assert error.usage is None


def test_reason_of_a_newer_server_is_kept(connect: Connect, faults: ScriptedServer) -> None:
    error = failure_of(connect, faults, fail(grpc.StatusCode.ABORTED, "x", reason="NEW_REASON"))
    assert type(error) is errors.AbortedError
    assert error.reason == "NEW_REASON"


def test_unavailable_with_a_reason_is_no_transport_error(connect: Connect, faults: ScriptedServer) -> None:
    error = failure_of(connect, faults, fail(grpc.StatusCode.UNAVAILABLE, "x", reason="SERVER_DRAINING"))
    assert not isinstance(error, errors.TransportError)


def test_errors_cross_processes() -> None:
    error = errors.QueueFull("full", reason="QUEUE_FULL", retry_after_s=2.0, request_id="i", metadata={"a": "b"})
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is errors.QueueFull
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


def test_generated_exceptions_and_catalogue_are_current() -> None:
    check = [sys.executable, "-m", "tools.generate_errors", "--check"]
    assert subprocess.run(check, cwd=ROOT, check=False, capture_output=True, text=True).stderr == ""
