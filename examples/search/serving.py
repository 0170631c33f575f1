"""A client of a running server, or of one that is started for it."""

import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

import trivium


@contextmanager
def serving(target: str | None, models: Sequence[str], console: Console) -> Iterator[trivium.Client]:
    """Yields a client of the server at `target`; without one, starts `trivium serve` with the models until the end.

    Waits until the models are ready. Raises trivium.TriviumError when the server at `target` is not there or lacks one,
    RuntimeError when the started one does not come up.
    """
    names = list(dict.fromkeys(models))
    if target is not None:
        with trivium.Client(target) as client:
            for name in names:
                client.wait_ready(timeout_s=30.0, model=name)
            yield client
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = ["trivium", "serve", "--listen", address, *(word for name in names for word in ("--model", name))]
    with tempfile.NamedTemporaryFile("w", prefix="trivium-search-", suffix=".log", delete=False) as log:
        # A Ctrl-C is for this program, which then ends the server.
        process = subprocess.Popen(command, stderr=log, start_new_session=True)
    try:
        with trivium.Client(address) as client:
            with console.status(f"{' '.join(command)} (log: {log.name})"):
                for name in names:
                    _wait(process, client, name, log.name)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _wait(process: "subprocess.Popen[bytes]", client: trivium.Client, model: str, log: str) -> None:
    while True:
        try:
            return client.wait_ready(timeout_s=1.0, model=model)
        except trivium.errors.ServerUnavailable:
            if process.poll() is not None:
                raise RuntimeError(f"the server left with exit code {process.returncode}; {log} says why") from None
