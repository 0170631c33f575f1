"""A program: pulls a model over an installed one again and again, each time killed one file-system step later.

Arguments: the store, and two GGUF files. Prints one JSON line per pull: the step before which it was killed (null when
it ended by itself), the models that the store then lists, their problems, and which of the two files is installed.
"""

import json
import os
import signal
import sys
from pathlib import Path

from trivium_models.catalog_recipe import CatalogRecipe  # noqa: F401 - imported once here, not in every child
from trivium_models.store import Store

STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}


def is_step(event: str, arguments: tuple[object, ...]) -> bool:
    """Whether the audit event announces a change of files; writing counts by the opening of the file."""
    return event in STEPS or (
        event == "open" and isinstance(arguments[1], str) and bool(set(arguments[1]) & set("wax"))
    )


def kill_before(step: int) -> None:
    """Has this process killed before its step-th change of files, counted from 1."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if is_step(event, arguments):
            seen += 1
            if seen == step:
                os.write(1, f"{event} ".encode())
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main(store_path: Path, sources: tuple[str, str]) -> None:
    store, current = Store(store_path), 0
    first = store.pull(sources[0], name="mine")
    digests = [first.manifest.digest if first.manifest else ""]
    for step in range(1, 1000):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writer, 1)
            kill_before(step)
            Store(store_path).pull(sources[1 - current], name="mine", force=True)
            os._exit(0)
        os.close(writer)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        with os.fdopen(reader) as said:
            event = said.read().strip()
        before = sorted(path.name for path in store_path.iterdir() if not path.name.startswith("."))
        installed = store.installed()
        digest = next((one.manifest.digest for one in installed if one.manifest), "")
        if digest not in digests:
            digests.append(digest)
        current = digests.index(digest)
        report = {
            "killed_before": event if killed else None,
            "seen_by_others": before,
            "installed": [one.name for one in installed],
            "problems": [one.problem for one in installed if one.problem] + list(store.verify("mine").problems),
            "content": current,
        }
        print(json.dumps(report), flush=True)
        if not killed:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), (sys.argv[2], sys.argv[3]))
