"""A real server of this process, on a real socket, in a thread with an event loop of its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar  # metadata values are text or bytes, by their keys

import grpc
from google.rpc import error_details_pb2, status_pb2

from trivium_server.app import App
from trivium_server.config import Config, load_config
from trivium_server.telemetry import MemoryMetrics

MODEL = "smollm2-135m-instruct"
_T = TypeVar("_T")


class LoopThread:
    """An event loop that runs in a thread until closed."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[object, object, _T], timeout_s: float = 120.0) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout_s)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class RunningServer:
    """The whole server as `trivium serve` runs it, but for the process and its signals."""

    def __init__(self, store: Path, **settings: object) -> None:
        """settings: by key with `__` for the dot, for example limits__max_concurrent_calls=2."""
        values = {key.replace("__", "."): value for key, value in settings.items()}
        self.config: Config = load_config(
            flags={"server.listen": "127.0.0.1:0", "models.dir": str(store), "drain.grace_s": 5.0} | values
        )
        self.metrics = MemoryMetrics()
        self._thread = LoopThread()
        self.app = self.run(self._start())

    @property
    def address(self) -> str:
        return self.app.address

    def run(self, coroutine: Coroutine[object, object, _T]) -> _T:
        return self._thread.run(coroutine)

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.address)

    async def _start(self) -> App:
        app = App(self.config, self.metrics)
        await app.start()
        await app.catalog.settled()
        return app

    async def _stop(self) -> None:
        self.app.begin_drain(grace_s=0.0)
        await self.app.run()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.run(self._stop())
        self._thread.close()


class Failure:
    """What a failed call told its caller: code, message, and the google.rpc details by type."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.trailing: dict[str, Any] = {item.key: item.value for item in error.trailing_metadata() or ()}
        # grpc-stubs leave initial_metadata out; every failed call has it.
        self.initial: dict[str, Any] = dict(error.initial_metadata() or ())  # type: ignore[attr-defined]
        self.status = status_pb2.Status.FromString(self.trailing.get("grpc-status-details-bin", b""))

    def detail(self, detail_type: type[_T]) -> _T | None:
        """The only detail of that type; None when there is none."""
        found = []
        for packed in self.status.details:
            message = detail_type()
            if packed.Unpack(message):
                found.append(message)
        assert len(found) <= 1, "AIP-193: at most one detail of a type"
        return found[0] if found else None

    @property
    def reason(self) -> str:
        info = self.detail(error_details_pb2.ErrorInfo)
        return info.reason if info else ""

    @property
    def metadata(self) -> dict[str, str]:
        info = self.detail(error_details_pb2.ErrorInfo)
        return dict(info.metadata) if info else {}

    @property
    def fields(self) -> dict[str, str]:
        """Violated fields with their descriptions."""
        bad = self.detail(error_details_pb2.BadRequest)
        return {violation.field: violation.description for violation in bad.field_violations} if bad else {}


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Waits for what another thread does; False when it did not happen in time. A busy machine may take long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
