"""Starts replicas of the server and a real Envoy before them, on this machine only, until Ctrl-C.

Each process that dies is started again. Kill what you like: the status lines say what happens, and `stack.json` in the
folder has the process ids.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from deploy.envoy.options import Balancer
from tools.stack.settings import StackSettings
from tools.stack.stack import Stack

_DEFAULTS = StackSettings(folder=Path())


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.stack", description=__doc__)
    add = parser.add_argument
    add("--replicas", type=int, default=_DEFAULTS.replicas, metavar="N", help="%(default)s unless given")
    add("--port", type=int, default=_DEFAULTS.tls_port, help="for callers, with TLS; 0: any free one (%(default)s)")
    add("--web-port", type=int, default=_DEFAULTS.web_port, help="plaintext, for pages and curl (%(default)s)")
    add("--balancer", choices=[str(kind) for kind in Balancer], default=str(_DEFAULTS.balancer))
    add("--model", action="append", metavar="NAME", help=f"may be repeated ({', '.join(_DEFAULTS.models)})")
    add("--threads", type=int, default=_DEFAULTS.threads, metavar="N", help="of each replica (%(default)s)")
    add("--origin", action="append", metavar="URL", help="pages of it may call (http://localhost:8000)")
    add("--folder", type=Path, help="for certificates, logs and stack.json; a new temporary one unless given")
    given = parser.parse_args()
    if not 1 <= given.replicas <= 16:
        parser.error("--replicas is 1 to 16")
    settings = StackSettings(
        folder=(given.folder or Path(tempfile.mkdtemp(prefix="trivium-stack-"))).absolute(),
        replicas=given.replicas,
        tls_port=given.port,
        web_port=given.web_port,
        balancer=Balancer(given.balancer),
        models=tuple(given.model or _DEFAULTS.models),
        threads=given.threads,
        allowed_origins=tuple(given.origin or _DEFAULTS.allowed_origins),
    )
    try:
        asyncio.run(_serve(settings))
    except FileNotFoundError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: StackSettings) -> None:
    stack = Stack(settings)
    was_signalled = False

    def on_signal() -> None:
        nonlocal was_signalled
        stack.kill() if was_signalled else stack.end()
        was_signalled = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    await stack.run()


if __name__ == "__main__":
    sys.exit(main())
