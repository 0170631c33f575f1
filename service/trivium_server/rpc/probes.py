"""The HTTP side door: /metrics for a scraper, /livez and /readyz for an orchestrator's probes.

Live is a server whose event loop answers, whatever its load. Ready is one that calls may be sent to: the models that it
loads at start have settled, one of them is ready at least, and it does not drain.
"""

import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.model_state import ModelState
from trivium_server.config import ListenAddress
from trivium_server.rpc.server import ListenError
from trivium_server.telemetry import Answer, HttpListener, Source, log
from trivium_server.telemetry.exposition import CONTENT_TYPE, exposition

_logger = logging.getLogger("trivium.server")

# However often it is asked for, the text is made this seldom.
_FRESH_S = 0.5


class Probes:
    """For the event loop. `wants_models` and `has_settled` are set by who loads the models at start."""

    def __init__(self, catalog: Catalog, sources: Sequence[Source], is_draining: Callable[[], bool]) -> None:
        self._catalog = catalog
        self._sources = sources
        self._is_draining = is_draining
        self.wants_models = True
        self.has_settled = False
        self.address = ""
        self._metrics = b""
        self._made_s = float("-inf")
        self._listener = HttpListener({"/metrics": self._scraped, "/livez": _live, "/readyz": self._readiness})

    async def start(self, address: ListenAddress) -> None:
        """Listens. Raises ListenError."""
        try:
            port = await self._listener.start(address.host, address.port or 0)
        except OSError as error:
            raise ListenError(f"cannot listen on server.metrics_listen {address.text}: {error.strerror}") from error
        self.address = address.with_port(port)
        log(_logger, logging.INFO, "metrics and probes", address=self.address)
        if not address.is_loopback:
            log(_logger, logging.WARNING, "whoever can connect can read the metrics", address=self.address)

    async def close(self) -> None:
        """Stops listening; harmless where it never did."""
        await self._listener.close()

    def _scraped(self) -> Answer:
        if time.monotonic() - self._made_s > _FRESH_S:
            self._metrics = exposition(self._sources)
            self._made_s = time.monotonic()
        return Answer(body=self._metrics, content_type=CONTENT_TYPE)

    def _readiness(self) -> Answer:
        why_not = self._why_not_ready()
        if why_not:
            return Answer(body=f"{why_not}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)
        return Answer(body=b"ready\n")

    def _why_not_ready(self) -> str:
        if self._is_draining():
            return "the server drains"
        if not self.has_settled:
            return "models are being loaded"
        if self.wants_models and all(status.state is not ModelState.READY for status in self._catalog.statuses()):
            return "no model is ready"
        return ""


def _live() -> Answer:
    return Answer(body=b"alive\n")
