"""The command line of the suite: `python -m tests.conformance [LANGUAGE…] [--case PATTERN] [--runner COMMAND]`."""

import argparse
import fnmatch
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from tests.conformance.case import Case, ServerKind, load_cases
from tests.conformance.real_server import real_server
from tests.conformance.reasons import reason_cases
from tests.conformance.results import RESULTS_FILE, table, unexpected
from tests.conformance.runner import command_of, is_there, languages
from tests.conformance.suite import Suite, Verdict

__all__ = ["main"]

_NUM_SLOWEST = 5
_AT_A_TIME = 3
"""Languages whose scripted cases are done at the same time: they mostly wait."""


def main() -> int:
    """Returns the exit status: 0 where everything is as expected."""
    arguments = _parse()
    wanted = partial(_is_wanted, arguments.case)
    cases = [*load_cases(wanted), *(case for case in reason_cases() if wanted(case.name, case.group))]
    if arguments.scripted:
        cases = [case for case in cases if case.server is not ServerKind.REAL]
    if not cases:
        print(f"no case is named {' or '.join(arguments.case or ())}", file=sys.stderr)
        return 2
    commands = _commands(arguments)
    if not commands:
        return 2
    results = _results(commands, cases)
    if arguments.write_results:
        RESULTS_FILE.write_text(table(results), encoding="utf-8")
        print(f"wrote {RESULTS_FILE.name}")
    return 1 if any(unexpected(language, verdicts) for language, verdicts in results.items()) else 0


def _commands(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Returns how the runner of each language is started; none where one that was asked for cannot be."""
    commands = {}
    for language in arguments.languages or languages():
        try:
            command = shlex.split(arguments.runner) if arguments.runner else command_of(language)
        except FileNotFoundError as error:
            print(f"{language} has no runner: {error.filename} would say how it is started", file=sys.stderr)
            return {}
        if is_there(command):
            commands[language] = command
        else:
            print(f"{language} is not built: there is no {command[0]}", file=sys.stderr)
            if arguments.languages:
                return {}
    return commands


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description="Runs the conformance cases of the SDKs."
    )
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help="all that have a runner, unless given")
    parser.add_argument("--case", action="append", metavar="PATTERN", help="only cases, or files of them, named so")
    parser.add_argument("--scripted", action="store_true", help="leaves out the cases of the real server")
    parser.add_argument("--runner", metavar="COMMAND", help="how the runner is started, from the repository's root")
    parser.add_argument("--write-results", action="store_true", help=f"writes {RESULTS_FILE.name}")
    return parser.parse_args()


def _is_wanted(patterns: Sequence[str] | None, name: str, group: str) -> bool:
    return patterns is None or any(fnmatch.fnmatchcase(text, pattern) for text in (name, group) for pattern in patterns)


def _results(commands: dict[str, list[str]], cases: Sequence[Case]) -> dict[str, list[Verdict]]:
    with ExitStack() as stack:
        is_real = any(case.server is ServerKind.REAL for case in cases)
        target = stack.enter_context(real_server()) if is_real else None
        suites = [Suite(language, command, target) for language, command in commands.items()]
        for suite in suites:
            stack.callback(suite.close)
        alone = [case for case in cases if case.server is ServerKind.REAL]
        together = [case for case in cases if case.server is not ServerKind.REAL]
        with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="conformance") as several:
            done = list(several.map(partial(_checked, cases=together), suites))
        results = {suite.language: verdicts for suite, verdicts in zip(suites, done, strict=True)}
        # There is one real server, whose models some cases load and unload.
        for suite in suites:
            results[suite.language] += _checked(suite, alone)
            _tell(suite.language, results[suite.language])
        return results


def _checked(suite: Suite, cases: Sequence[Case]) -> list[Verdict]:
    verdicts = []
    for case in cases:
        verdicts.append(suite.check(case))
        if text := _told(suite.language, verdicts[-1]):
            print(text, flush=True)
    return verdicts


def _tell(language: str, verdicts: Sequence[Verdict]) -> None:
    """Sums up one language."""
    slowest = sorted(verdicts, key=lambda verdict: -verdict.elapsed_s)[:_NUM_SLOWEST]
    num_passed = sum(verdict.passed for verdict in verdicts)
    took_s = sum(verdict.elapsed_s for verdict in verdicts)
    named = ", ".join(f"{verdict.case.name} {verdict.elapsed_s:.1f} s" for verdict in slowest)
    print(f"{language}: {num_passed} of {len(verdicts)} cases pass, in {took_s:.0f} s; slowest: {named}", flush=True)


def _told(language: str, verdict: Verdict) -> str:
    """What is said of one case; nothing where all is as it should be."""
    name = f"{language}  {verdict.case.group}/{verdict.case.name}"
    is_unexpected = bool(unexpected(language, [verdict]))
    if verdict.passed:
        return f"PASS  {name}, which is known to fail: say so no longer" if is_unexpected else ""
    first = f"{'FAIL' if is_unexpected else 'known'}  {name}: {verdict.case.about} ({verdict.elapsed_s:.1f} s)"
    return "\n".join([first, *(f"      {complaint}" for complaint in verdict.complaints)])
