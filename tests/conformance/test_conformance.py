"""The Python SDK's conformance, case by case, and the suite's own: it must see what is wrong."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conformance.case import Case, ServerKind, case_names, load_cases
from tests.conformance.contract import ERROR_REASONS, RPCS
from tests.conformance.judgement import answer_complaints
from tests.conformance.real_server import real_server
from tests.conformance.reasons import reason_cases
from tests.conformance.results import known_failing
from tests.conformance.runner import command_of
from tests.conformance.suite import Suite

pytestmark = pytest.mark.long

REASON_CASES = reason_cases()
NAMES = [*case_names(), *(case.name for case in REASON_CASES)]


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    """All cases by name. Made here, since some of their files are fetched."""
    return {case.name: case for case in [*load_cases(), *REASON_CASES]}


@pytest.fixture(scope="module")
def suite(model_store: object) -> Iterator[Suite]:
    with real_server() as target:
        suite = Suite("python", command_of("python"), target)
        yield suite
        suite.close()


@pytest.mark.parametrize("name", NAMES)
def test_python(suite: Suite, cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    verdict = suite.check(case)
    assert verdict.passed, "\n".join((case.about, *verdict.complaints))
    assert verdict.answer is not None
    # What was right must be wrong when it is said otherwise: else nothing was checked.
    assert list(answer_complaints(case, replace(verdict.answer, ok=not verdict.answer.ok)))
    for part in ("kind", "code", "reason"):
        if verdict.answer.error is not None:
            lie = replace(verdict.answer, error={**verdict.answer.error, part: "OTHERWISE"})
            assert list(answer_complaints(case, lie)), part


@pytest.mark.parametrize("kind", ["success", "failure"])
def test_lies_are_not_believed(cases: dict[str, Case], kind: str) -> None:
    suite = Suite("python", [sys.executable, "-m", "tests.conformance.liar", kind], "127.0.0.1:1", settling_s=0)
    try:
        believed = [
            case.name for case in cases.values() if not case.expect.text_of_generate and suite.check(case).passed
        ]
    finally:
        suite.close()
    assert not believed


@pytest.mark.parametrize(
    ("kind", "complaint"), [("silence", "said nothing"), ("rubbish", "no JSON"), ("missing", "ended")]
)
def test_runner_that_does_not_answer_fails(cases: dict[str, Case], kind: str, complaint: str) -> None:
    module = "tests.conformance.liar" if kind != "missing" else "tests.conformance.no_such_module"
    suite = Suite("python", [sys.executable, "-m", module, kind], case_limit_s=2 if kind == "silence" else 20)
    scripted = [case for case in cases.values() if case.server is ServerKind.SCRIPTED]
    try:
        for case in scripted[:2]:  # the second one gets a new process
            (found,) = suite.check(case).complaints
            assert complaint in found
    finally:
        suite.close()


def test_program_that_is_not_there_is_named(cases: dict[str, Case]) -> None:
    suite = Suite("python", ["clients/nowhere/runner"])
    (complaint,) = suite.check(cases[NAMES[0]]).complaints
    assert "clients/nowhere/runner" in complaint


def test_every_method_has_a_case_that_succeeds(cases: dict[str, Case]) -> None:
    assert {case.rpc.name for case in cases.values() if case.expect.ok} == set(RPCS)


def test_every_reason_has_a_case() -> None:
    expected = {case.expect.error["reason"] for case in REASON_CASES if isinstance(case.expect.error, dict)}
    assert expected == set(ERROR_REASONS)


def test_names_are_unique() -> None:
    assert len(NAMES) == len(set(NAMES))


def test_nothing_is_known_to_fail() -> None:
    assert not known_failing()
