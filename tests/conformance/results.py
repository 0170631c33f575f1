"""What became of the cases in each language: the table in results.md, and the list of known failures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from tests.conformance.suite import Verdict

__all__ = ["RESULTS_FILE", "known_failing", "table", "unexpected"]

_FOLDER = Path(__file__).parent
RESULTS_FILE = _FOLDER / "results.md"


def known_failing() -> Mapping[str, Sequence[str]]:
    """Returns the names of the cases that a language does not pass yet."""
    content = yaml.safe_load((_FOLDER / "known_failing.yaml").read_text(encoding="utf-8"))
    return {str(language): list(names) for language, names in (content or {}).items()}


def unexpected(language: str, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Returns those that failed and should not have, and those that passed although they are known to fail."""
    known = known_failing().get(language, ())
    return [verdict for verdict in verdicts if verdict.passed is (verdict.case.name in known)]


def table(results: Mapping[str, Sequence[Verdict]]) -> str:
    """Returns the page, in Markdown: a table of counts, then one of the cases of each group."""
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Sequence[Verdict]]) -> Iterator[str]:
    languages = list(results)
    cases = [verdict.case for verdict in next(iter(results.values()))]
    passed = {
        language: {verdict.case.name for verdict in verdicts if verdict.passed}
        for language, verdicts in results.items()
    }
    yield "# Conformance of the SDKs"
    yield ""
    yield "Written by `python -m tests.conformance --write-results`. A case passes, or it fails; none is left out."
    yield ""
    yield from _row("", *languages)
    yield from _row("---", *("---" for _ in languages))
    yield from _row(f"of {len(cases)} cases", *(f"{len(passed[language])} pass" for language in languages))
    for group in dict.fromkeys(case.group for case in cases):
        yield ""
        yield f"## {group.replace('_', ' ').capitalize()}"
        yield ""
        yield from _row("case", *languages)
        yield from _row("---", *("---" for _ in languages))
        for case in cases:
            if case.group == group:
                marks = ("passes" if case.name in passed[language] else "**fails**" for language in languages)
                yield from _row(f"`{case.name}`: {case.about}", *marks)


def _row(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
