"""Whether SDKs and server of the previous release work with those of this checkout, by that release's real cases.

    python -m tests.conformance.compatibility [LANGUAGE…] [--with TAG]

This checkout's SDKs call the previous server, and the previous SDKs this checkout's server. A release is a tag such as
v1.2.3 on a commit named "Release v1.2.3", by which it is found where there are no tags; the previous one is the latest
before this commit. The previous SDKs are built from it, which takes as long as building this checkout's.
"""

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.case import Case, ServerKind, load_cases
from tests.conformance.real_server import real_server
from tests.conformance.runner import REPOSITORY, command_of, is_there, languages
from tests.conformance.suite import Suite, Verdict

__all__ = ["checkout", "previous_release", "real_cases", "verdicts"]


def previous_release() -> str | None:
    """Returns the tag of the latest release before this commit, or else that release's commit.

    None where there is none or this is no repository.
    """
    return (
        _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^")
        or _git("log", "--max-count=1", "--format=%h", "--grep=^Release v[0-9]", "HEAD^")
        or None
    )


def _git(*arguments: str) -> str:
    """Returns what git says, nothing where it fails."""
    found = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return found.stdout.strip()


@contextmanager
def checkout(tag: str) -> Iterator[Path]:
    """A folder with the files of a tag, for as long as the block runs. The Python that runs it is this checkout's."""
    with tempfile.TemporaryDirectory(prefix="trivium-") as folder:
        packed = subprocess.run(["git", "archive", tag], cwd=REPOSITORY, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        root = Path(folder)
        (root / ".venv").symlink_to(REPOSITORY / ".venv")
        yield root


def real_cases(root: Path) -> list[Case]:
    """The cases that a checkout has for its real server."""
    cases = load_cases(folder=root / "tests/conformance/cases")
    return [case for case in cases if case.server is ServerKind.REAL]


def verdicts(language: str, root: Path, target: str, cases: Sequence[Case]) -> list[Verdict]:
    """Does the cases with a checkout's SDK, which is built already, against a server."""
    suite = Suite(language, command_of(language, root), target, root=root)
    try:
        return [suite.check(case) for case in cases]
    finally:
        suite.close()


def main() -> int:
    """Returns the exit status: 0 where all works together, and where there is nothing to compare with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help="all that are built, unless given")
    parser.add_argument("--with", dest="tag", metavar="TAG", help="this commit instead of the previous release")
    given = parser.parse_args()
    tag = given.tag or previous_release()
    if tag is None:
        print("there is no previous release to compare with")
        return 0
    chosen = given.languages or [language for language in languages() if is_there(command_of(language))]
    with checkout(tag) as old:
        cases = real_cases(old)
        _build(old, chosen)
        failed = 0
        with real_server(old) as target:
            for language in chosen:
                failed += _tell(f"{language} here, server of {tag}", verdicts(language, REPOSITORY, target, cases))
        with real_server() as target:
            for language in chosen:
                failed += _tell(f"{language} of {tag}, server here", verdicts(language, old, target, cases))
    return 1 if failed else 0


def _build(root: Path, chosen: Sequence[str]) -> None:
    for language in chosen:
        if language != "python":
            print(f"building {language}", flush=True)
            subprocess.run(["make", "--silent", "--directory", str(root / "clients" / language), "build"], check=True)


def _tell(pair: str, found: Sequence[Verdict]) -> int:
    """Prints what came of the cases, and returns how many failed."""
    failed = [verdict for verdict in found if not verdict.passed]
    for verdict in failed:
        print(f"FAIL  {pair}: {verdict.case.name}")
        for complaint in verdict.complaints:
            print(f"      {complaint}")
    print(f"{pair}: {len(found) - len(failed)} of {len(found)} cases pass", flush=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
