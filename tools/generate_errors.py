"""Writes each SDK's errors and the error catalogue page from the enum ErrorReason and its comments.

python -m tools.generate_errors           writes what is not current
python -m tools.generate_errors --check   writes nothing; exits with 1 when something is stale
"""

import argparse
import sys

from tools.errors import catalogue, go, java, python
from tools.errors.reasons import ROOT, load_errors_proto, read_reasons

LANGUAGES = (python, go, java)


def main() -> int:
    """Writes the files, or compares them; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 when a file is stale")
    arguments = parser.parse_args()
    introduction, reasons = read_reasons(load_errors_proto())
    wanted = catalogue.render(introduction, reasons)
    for language in LANGUAGES:
        wanted |= language.render(reasons)
    stale = [name for name, text in wanted.items() if current(name) != text]
    for name in stale:
        if arguments.check:
            print(f"stale: {name}; run make generate", file=sys.stderr)
        else:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(wanted[name], encoding="utf-8")
            print(f"wrote {name}")
    return 1 if stale and arguments.check else 0


def current(name: str) -> str | None:
    """Returns what is in a file of the repository, None where there is none."""
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
