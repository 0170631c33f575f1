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

    A server that is started is waited for. Raises trivium.TriviumError when there is no server at `target`, and
    RuntimeError when it does not serve one of the models, or when the started one does not come up.
    """
    names = list(dict.fromkeys(models))
    if target is not None:
        with trivium.Client(target) as client:
            _require_ready(client, names, target)
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


def _require_ready(client: trivium.Client, names: Sequence[str], target: str) -> None:
    """RuntimeError with what to do for models that the server has not got or has not loaded."""
    ready = [model.name for model in client.models.list() if model.is_ready]
    missing = [name for name in names if name not in ready]
    if missing:
        raise RuntimeError(
            f"the server at {target} does not serve {', '.join(missing)}; it serves {', '.join(ready) or 'none'}. Name "
            f"one of those, or start it with {' '.join(f'--model {name}' for name in names)}"
        )


def _wait(process: "subprocess.Popen[bytes]", client: trivium.Client, model: str, log: str) -> None:
    while True:
        try:
            return client.wait_ready(timeout_s=1.0, model=model)
        except trivium.errors.ServerUnavailable:
            if process.poll() is not None:
                raise RuntimeError(f"the server left with exit code {process.returncode}; {log} says why") from None
