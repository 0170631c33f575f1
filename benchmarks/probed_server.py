"""Our server as `trivium serve` runs it, with its event-loop lag probe readable: SIGUSR1 prints the lag and forgets it.

Takes the flags of `trivium serve` that the measurements use. The line is JSON: {"p99_s", "max_s"}, over the wake-ups
since the last one, at most as many as the probe's window.
"""

import argparse
import asyncio
import json
import os
import signal

from trivium_server.app import App
from trivium_server.config import load_config
from trivium_server.telemetry import LoopLagProbe, configure_logging


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--models-dir", required=True)
    parser.add_argument("--threads", required=True)
    given = parser.parse_args()
    flags: dict[str, object] = {
        "server.listen": given.listen,
        "models.load": [given.model],
        "models.dir": given.models_dir,
        "runtime.intra_op_threads": given.threads,
    }
    config = load_config(env=os.environ, flags=flags)
    configure_logging(config.log.level, config.log.format)

    async def serve() -> None:
        app = App(config)
        # Often enough for the percentiles of a few seconds.
        app.lag = LoopLagProbe(interval_s=0.02, window=500)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, app.begin_drain, 1.0)
        loop.add_signal_handler(signal.SIGUSR1, _print_lag, app)
        await app.start()
        await app.run()

    asyncio.run(serve())


def _print_lag(app: App) -> None:
    print(json.dumps({"p99_s": app.lag.p99_s(), "max_s": app.lag.max_s()}), flush=True)
    app.lag.reset()


if __name__ == "__main__":
    main()
