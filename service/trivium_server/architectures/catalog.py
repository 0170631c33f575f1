"""The models of this server: finds, loads, warms, lends and unloads them, and says how they are.

    AVAILABLE -> LOADING -> WARMING -> READY -> DRAINING -> AVAILABLE
                    \\          \\
                     `----------`----> FAILED   (a later load may try again)

Lives on the event loop; loading itself happens in a thread. One load runs at a time, so that two models do not fight
for memory while their graphs are optimised.
"""

import asyncio
import contextlib
import datetime
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from trivium_server.architectures.abilities import cannot
from trivium_server.architectures.capabilities import ModelCard, ServedModel
from trivium_server.architectures.image_facts import image_facts
from trivium_server.architectures.model_folder import ModelFolder, read_store
from trivium_server.architectures.model_loading import LOADED_PERCENT, Family, load_folder, told_cause, without_paths
from trivium_server.architectures.model_state import ModelState, ModelStatus, StatusBoard
from trivium_server.architectures.near_matches import near_matches
from trivium_server.architectures.speech_facts import speech_facts
from trivium_server.architectures.text_facts import text_facts
from trivium_server.config import Config
from trivium_server.errors import (
    CallAborted,
    ModelFailed,
    ModelNotFound,
    ModelNotReady,
    ServerDraining,
    UnsupportedFeature,
)
from trivium_server.runtime.workload import Workload
from trivium_server.telemetry import log

_logger = logging.getLogger("trivium.models")

__all__ = ["Catalog", "Family", "Lease"]

_T = TypeVar("_T")
_AT_REST = frozenset({ModelState.AVAILABLE, ModelState.FAILED})
_LOADING = frozenset({ModelState.LOADING, ModelState.WARMING})
_RETRY_AFTER_S = {ModelState.LOADING: 2.0, ModelState.WARMING: 1.0, ModelState.DRAINING: 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease(Generic[_T]):
    """A model for the time of one call. gone: set once it is taken away, because the call has gone on for too long."""

    model: _T
    card: ModelCard
    gone: asyncio.Event


class _Entry:
    """A model, what it is doing now, and who uses it."""

    def __init__(self, folder: ModelFolder) -> None:
        self.folder = folder
        self.model: ServedModel | None = None
        # Of the present model.
        self.gone = asyncio.Event()
        self.leases = 0
        self.unused = asyncio.Event()
        self.unused.set()
        self.task: asyncio.Task[None] | None = None
        # Until when an unloading waits for the leases, on the clock of the event loop, and that waiting itself.
        self.unload_by_s = 0.0
        self.waiting: asyncio.Timeout | None = None


class _AbandonedError(Exception):
    """Ends a load in its thread, because the server stops."""


class Catalog:
    """See the module. `families` has each family by the `architecture` of model.toml."""

    def __init__(self, config: Config, families: Mapping[str, Family]) -> None:
        self._config = config
        self._families = families
        self._entries: dict[str, _Entry] = {}
        self._board = StatusBoard()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="model-load")
        # Reading the store waits for no load.
        self._scanner = ThreadPoolExecutor(1, thread_name_prefix="model-scan")
        self._one_load = asyncio.Lock()
        self._closed = False

    async def scan(self) -> None:
        """Reads the store again: new folders are added, vanished ones removed unless their model is in use."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._scanner, read_store, self._config.models.dir)
        for folder in found:
            entry = self._entries.get(folder.card.name)
            if entry is None:
                entry = self._entries[folder.card.name] = _Entry(folder)
            elif entry.folder == folder or self._board.get(folder.card.name).state not in _AT_REST:
                continue
            entry.folder = folder
            self._board.put(
                ModelStatus(
                    card=folder.card,
                    state=ModelState.FAILED if folder.problem else ModelState.AVAILABLE,
                    failure=without_paths(folder.problem, folder.path),
                )
            )
        for name in self._entries.keys() - {folder.card.name for folder in found}:
            if self._board.get(name).state in _AT_REST:
                del self._entries[name]
                self._board.remove(name)

    def statuses(self) -> tuple[ModelStatus, ...]:
        """How all models are, by name."""
        return self._board.all()

    def status(self, name: str) -> ModelStatus:
        """How one model is. Raises ModelNotFound with near matches."""
        if name not in self._entries:
            raise self._not_found(name)
        return self._board.get(name)

    def workloads(self) -> Iterator[tuple[str, Workload]]:
        """Yields name and workload of the models that are ready or drain."""
        for name, entry in self._entries.items():
            if entry.model is not None:
                yield name, entry.model.workload

    def watch(self) -> AsyncGenerator[ModelStatus | str | None]:
        """Yields every model, None after the last, then a status for each change and a name for each model gone.

        A slow reader sees only the latest status of a model.
        """
        return self._board.watch()

    @contextlib.contextmanager
    def lease(self, name: str, capability: type[_T], field: str = "input.model") -> Iterator[Lease[_T]]:
        """Lends the model for one call. `field` of the request names it.

        Raises ModelNotFound, ModelNotReady, ModelFailed, or UnsupportedFeature when the model has not this capability.
        """
        status = self.status(name)
        entry = self._entries[name]
        if status.state is ModelState.FAILED:
            raise ModelFailed(name, status.failure)
        if status.state is not ModelState.READY or entry.model is None:
            raise ModelNotReady(name, status.state.name, _RETRY_AFTER_S.get(status.state))
        if not isinstance(entry.model, capability):
            raise UnsupportedFeature(field, cannot(name, capability, self.able(capability)))
        entry.leases += 1
        entry.unused.clear()
        try:
            yield Lease(model=entry.model, card=status.card, gone=entry.gone)
        finally:
            entry.leases -= 1
            if not entry.leases:
                entry.unused.set()

    def able(self, capability: type) -> list[str]:
        """The names of the models that are ready and have a capability, sorted."""
        ready = (status.card.name for status in self.statuses() if status.state is ModelState.READY)
        return [name for name in ready if isinstance(self._entries[name].model, capability)]

    async def load(self, name: str) -> AsyncGenerator[ModelStatus]:
        """Loads a model and yields how it is until it is ready; joins a load that is under way.

        Closing the iterator does not stop the load. Raises ModelNotFound, ModelNotReady while it drains, ModelFailed,
        and ServerDraining once loading was stopped.
        """
        self._require_open()
        if name not in self._entries or self._board.get(name).state in _AT_REST:
            # The folder may have been added or replaced since the store was last read.
            await self.scan()
        status = self.status(name)
        if status.state is ModelState.DRAINING:
            raise ModelNotReady(name, ModelState.DRAINING.name, _RETRY_AFTER_S[ModelState.DRAINING])
        async with contextlib.aclosing(self._board.follow(name)) as statuses:
            if status.state in _AT_REST:
                self.start_load(name)
            async for status in statuses:
                if status.state is ModelState.FAILED:
                    raise ModelFailed(name, status.failure)
                if status.state is not ModelState.READY:
                    self._require_open()
                if status.state in {ModelState.AVAILABLE, ModelState.DRAINING}:
                    raise CallAborted(name)
                yield status
                if status.state is ModelState.READY:
                    return

    def start_load(self, name: str) -> None:
        """Begins to load a model that is neither loaded nor loading. Raises ModelNotFound."""
        status = self.status(name)
        if self._closed or status.state not in _AT_REST:
            return
        entry = self._entries[name]
        self._board.put(ModelStatus(card=entry.folder.card, state=ModelState.LOADING))
        entry.task = asyncio.create_task(self._load(entry), name=f"load {name}")

    async def settled(self) -> None:
        """Waits until no load is under way."""
        while tasks := [entry.task for entry in self._entries.values() if entry.task and not entry.task.done()]:
            await asyncio.wait(tasks)

    async def unload(self, name: str, drain_s: float) -> ModelStatus:
        """Finishes the model's calls, aborts those that still run after drain_s seconds, and frees it.

        Where it is being unloaded already, the shorter time counts. Cancelling this does not stop the unloading. Raises
        ModelNotFound, and ModelNotReady while it loads.
        """
        status = self.status(name)
        entry = self._entries[name]
        if status.state in _LOADING:
            raise ModelNotReady(name, status.state.name, None)
        unload_by_s = asyncio.get_running_loop().time() + drain_s
        if status.state is ModelState.READY:
            entry.unload_by_s = unload_by_s
            self._board.change(name, state=ModelState.DRAINING)
            entry.task = asyncio.create_task(self._unload(entry), name=f"unload {name}")
        elif unload_by_s < entry.unload_by_s:
            entry.unload_by_s = unload_by_s
            if entry.waiting:
                entry.waiting.reschedule(unload_by_s)
        if self._board.get(name).state is ModelState.DRAINING and entry.task:
            await asyncio.shield(entry.task)
        return self._board.get(name)

    async def stop_loading(self) -> None:
        """Abandons loads that are under way. Nothing can be loaded afterwards."""
        self._closed = True
        loading = [entry for name, entry in self._entries.items() if self._board.get(name).state in _LOADING]
        tasks = [entry.task for entry in loading if entry.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A thread inside ONNX Runtime cannot be interrupted: what it loads is dropped when it comes back.
        for entry in loading:
            if self._board.get(entry.folder.card.name).state in _LOADING:
                self._board.put(ModelStatus(card=entry.folder.card, state=ModelState.AVAILABLE))

    async def close(self, grace_s: float) -> None:
        """Unloads everything, also what is being unloaded with a longer grace. Nothing can be loaded afterwards."""
        await self.stop_loading()
        used = {ModelState.READY, ModelState.DRAINING}
        names = [status.card.name for status in self.statuses() if status.state in used]
        await asyncio.gather(*(self.unload(name, grace_s) for name in names))
        self._loader.shutdown(wait=False)
        self._scanner.shutdown(wait=False)

    async def _load(self, entry: _Entry) -> None:
        name = entry.folder.card.name
        try:
            async with self._one_load:
                log(_logger, logging.INFO, "loading", model=name, folder=str(entry.folder.path))
                await self._load_now(entry, name)
            log(_logger, logging.INFO, "model is ready", model=name, digest=entry.folder.card.digest)
        except Exception as error:  # files that others made: whatever comes, the other models go on
            cause = told_cause(error, self._families)
            if cause is None:
                _logger.exception("loading %s met a defect", name)
                cause = f"internal error ({type(error).__name__}), see the server's log"
            self._fail(entry, "model could not be loaded", cause)

    async def _load_now(self, entry: _Entry, name: str) -> None:
        loop = asyncio.get_running_loop()

        def progress(percent: float) -> None:
            if self._closed:
                raise _AbandonedError
            loop.call_soon_threadsafe(self._progress, name, percent)

        def read() -> tuple[ModelFolder, ServedModel]:
            return load_folder(entry.folder.path, self._families, self._config, progress)

        # The folder may have been replaced while the load waited for its turn.
        entry.folder, model = await loop.run_in_executor(self._loader, read)
        self._board.change(name, card=entry.folder.card, state=ModelState.WARMING, progress_percent=LOADED_PERCENT)
        try:
            await model.warm_up()
        except BaseException:
            await model.close(0.0)
            raise
        entry.model, entry.gone = model, asyncio.Event()
        self._board.change(
            name,
            state=ModelState.READY,
            progress_percent=100,
            ready_time=datetime.datetime.now(datetime.UTC),
            limits=getattr(model, "limits", None),
            sampling_defaults=getattr(model, "sampling_defaults", None),
            encoder=text_facts(model),
            image=image_facts(model, self._config.images.max_pixels),
            speech=speech_facts(model, self._config.speech),
        )

    def _progress(self, name: str, percent: float) -> None:
        status = self._board.get(name)
        if status.state is ModelState.LOADING and int(percent) > status.progress_percent:
            self._board.change(name, progress_percent=min(LOADED_PERCENT, int(percent)))

    def _fail(self, entry: _Entry, event: str, cause: str) -> None:
        name = entry.folder.card.name
        log(_logger, logging.ERROR, event, model=name, cause=cause)
        failure = without_paths(cause, entry.folder.path)
        self._board.put(ModelStatus(card=entry.folder.card, state=ModelState.FAILED, failure=failure))

    async def _unload(self, entry: _Entry) -> None:
        name = entry.folder.card.name
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(entry.unload_by_s) as entry.waiting:
                await entry.unused.wait()
        entry.waiting = None
        model, entry.model = entry.model, None
        entry.gone.set()
        try:
            if model is not None:
                await model.close(0.0)
        except Exception as error:
            _logger.exception("unloading %s met a defect", name)
            cause = f"unloading it met an internal error ({type(error).__name__}), see the server's log"
            self._fail(entry, "model could not be unloaded", cause)
            return
        self._board.put(ModelStatus(card=entry.folder.card, state=ModelState.AVAILABLE))
        log(_logger, logging.INFO, "model is unloaded", model=name)

    def _require_open(self) -> None:
        if self._closed:
            raise ServerDraining(_RETRY_AFTER_S[ModelState.DRAINING])

    def _not_found(self, name: str) -> ModelNotFound:
        return ModelNotFound(name[:256], near_matches(name[:256], self._entries))
