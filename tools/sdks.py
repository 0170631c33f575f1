"""Builds, lints and tests SDKs against a server of its own, then runs the conformance suite on them.

    python -m tools.sdks [LANGUAGE…]      all of clients/ but Python's, which `make test` has, unless given

Each does the same as `make lint build test` in clients/LANGUAGE with TRIVIUM_TARGET set. Ends with exit status 1 where
one failed; the others are tried, too.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.real_server import real_server

CLIENTS = Path(__file__).resolve().parent.parent / "clients"
# What must be installed before; everything else comes by the language's own package manager.
TOOLCHAINS = {
    "go": ("go",),
    "typescript": ("node", "npm"),
    "java": ("javac", "mvn"),
    "rust": ("cargo",),
    "cpp": ("cmake", "c++", "protoc", "grpc_cpp_plugin"),
}
TARGETS = ("lint", "build", "test")
# Those that are built in seconds.
QUICK = ("go", "typescript")


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=f"of {', '.join(TOOLCHAINS)}")
    languages = parser.parse_args().languages or list(TOOLCHAINS)
    for language in languages:
        if language not in TOOLCHAINS:
            parser.error(f"there is no SDK for {language!r} here; there are {', '.join(TOOLCHAINS)}")
    missing = {language: tools for language in languages if (tools := missing_tools(language))}
    if missing:
        for language, tools in missing.items():
            print(f"the {language} SDK needs {', '.join(tools)}; see clients/{language}/README.md", file=sys.stderr)
        others = " ".join(language for language in languages if language not in missing)
        if others:
            print(f'what is there suffices for: make sdks LANGUAGES="{others}"', file=sys.stderr)
        return 2
    with real_server() as target:
        failed = [language for language in languages if not passes(language, target)]
    conformance = subprocess.run([sys.executable, "-m", "tests.conformance", *languages], check=False)
    if conformance.returncode:
        failed.append("conformance")
    # The others take as long to build again as this checkout's; `make compatibility` tries all.
    quick = [language for language in QUICK if language in languages]
    compatibility = subprocess.run(
        [sys.executable, "-m", "tests.conformance.compatibility", "python", *quick], check=False
    )
    if compatibility.returncode:
        failed.append("compatibility")
    print(f"failed: {', '.join(failed)}" if failed else "all SDKs pass", flush=True)
    return 1 if failed else 0


def missing_tools(language: str) -> list[str]:
    """Returns what a language needs and this machine has not."""
    return [tool for tool in TOOLCHAINS[language] if shutil.which(tool) is None]


def passes(language: str, target: str) -> bool:
    """Runs the SDK's own make targets, and says how long each took. target: a server with the default models."""
    environment: Mapping[str, str] = {**os.environ, "TRIVIUM_TARGET": target}
    for name in TARGETS:
        started = time.monotonic()
        command = ["make", "--no-print-directory", "--directory", str(CLIENTS / language), name]
        if subprocess.run(command, env=environment, check=False).returncode:
            print(f"FAILED   {language} {name}", file=sys.stderr, flush=True)
            return False
        print(f"ok       {language} {name} ({time.monotonic() - started:.0f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
