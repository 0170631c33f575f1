"""The composition root: settings -> models -> services -> server; start, drain, stop. The only place that wires."""

import asyncio
import contextlib
import gc
import importlib.metadata
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Coroutine, Iterator

import trivium_server.rpc.server as rpc_server
from trivium_server.architectures import encoder, genai, image, language_id, speech
from trivium_server.architectures.catalog import Catalog, Family
from trivium_server.architectures.image.decoder import ImageDecoder
from trivium_server.architectures.model_state import ModelState
from trivium_server.architectures.workload_samples import workload_samples
from trivium_server.config import Config
from trivium_server.errors import ModelNotFound
from trivium_server.rpc.admin import AdminService, DrainControl, ServerFacts
from trivium_server.rpc.admission import Admission
from trivium_server.rpc.analysis import TextAnalysisService
from trivium_server.rpc.boundary import Boundary
from trivium_server.rpc.embedding import EmbeddingService
from trivium_server.rpc.generation import TextGenerationService
from trivium_server.rpc.health import Health
from trivium_server.rpc.load_report import LoadMeter
from trivium_server.rpc.models import ModelService
from trivium_server.rpc.probes import Probes
from trivium_server.rpc.speech_recognition import SpeechRecognitionService
from trivium_server.rpc.speech_synthesis import SpeechSynthesisService
from trivium_server.rpc.speech_threads import SpeechThreads
from trivium_server.rpc.vision import VisionService
from trivium_server.runtime.session import available_providers
from trivium_server.telemetry import AllMetrics, CallCounts, CallMetrics, LoopLagProbe, Metric, Sample, log

_logger = logging.getLogger("trivium.server")

FAMILIES = {
    "genai": Family(genai.load, genai.LOAD_ERRORS),
    "encoder": Family(encoder.load, encoder.LOAD_ERRORS),
    "image": Family(image.load, image.LOAD_ERRORS),
    "language_id": Family(language_id.load, language_id.LOAD_ERRORS),
    "speech": Family(speech.load, speech.LOAD_ERRORS),
}
"""The families of models, one line each, by `architecture` in model.toml."""

# Calls that have just ended still send their last message and status; streams that only watch are cut after that.
_LAST_WORDS_S = 1.0
# One decoding step, with room: a model that takes longer to close has a thread that hangs.
_CLOSE_S = 5.0
# Threads that are still at work when the server has stopped get this long.
_LAST_THREADS_S = 1.0
# Other threads give the interpreter back this often, so that the event loop answers while they work.
_SWITCH_INTERVAL_S = 0.0005
_EXIT_ON_SECOND_SIGNAL = 130


class NoModelError(Exception):
    """Models were asked for that the store does not have; the text says what to do."""


class App:
    """The server of this process: `start`, then `run` until it has drained. Lives on one event loop."""

    def __init__(self, config: Config, metrics: CallMetrics | None = None) -> None:
        """metrics: told of calls, beside what the server counts itself."""
        self.config = config
        self.address = ""
        self.lag = LoopLagProbe()
        self._grace_s = config.drain.grace_s
        self._drain_asked = asyncio.Event()
        # A signal after DrainServer is the first one: a preStop hook drains, then the orchestrator sends SIGTERM.
        self.was_signalled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.catalog = Catalog(config, FAMILIES)
        self._decoder = ImageDecoder(config.images)
        self._speech_threads = SpeechThreads(config.speech.decoders)
        self._admission = Admission(config.limits.max_concurrent_calls)
        counts = CallCounts()
        self._load = LoadMeter(self.catalog.workloads)
        self.probes = Probes(
            self.catalog, (counts.samples, self.lag.samples, self._samples), is_draining=self._drain_asked.is_set
        )
        instance_id = uuid.uuid4().hex[:12]
        self._health = Health(self.catalog, rpc_server.SERVICES)
        facts = ServerFacts(
            version=importlib.metadata.version("trivium-server"),
            instance_id=instance_id,
            execution_providers=available_providers(),
            start_time=time.time(),
        )
        drain = DrainControl(
            begin=self.begin_drain, is_draining=self._drain_asked.is_set, default_grace_s=config.drain.grace_s
        )
        max_request_bytes = config.limits.max_request_bytes
        self._server = rpc_server.build_server(
            config,
            boundary=Boundary(
                limits=config.limits,
                admission=self._admission,
                metrics=AllMetrics(counts, metrics) if metrics else counts,
                instance_id=instance_id,
                load=self._load if config.server.load_reports else None,
            ),
            generation=TextGenerationService(self.catalog, config.limits),
            embedding=EmbeddingService(self.catalog),
            analysis=TextAnalysisService(self.catalog),
            vision=VisionService(self.catalog, self._decoder),
            recognition=SpeechRecognitionService(self.catalog, config.speech, self._speech_threads, self._admission),
            synthesis=SpeechSynthesisService(
                self.catalog,
                config.speech,
                self._speech_threads,
                self._admission,
                max_sound_bytes=max_request_bytes,
            ),
            models=ModelService(self.catalog, max_request_bytes),
            admin=AdminService(
                facts=facts,
                catalog=self.catalog,
                admission=self._admission,
                drain=drain,
                max_request_bytes=max_request_bytes,
            ),
            health=self._health,
        )

    async def start(self) -> None:
        """Listens and begins to load models; returns as soon as calls are answered.

        Raises NoModelError or rpc.server.ListenError.
        """
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        await self.catalog.scan()
        names = self._models_to_load()
        await self._health.start()
        self.probes.wants_models = bool(names)
        if self.config.metrics_address:
            await self.probes.start(self.config.metrics_address)
        self.address = rpc_server.listen(self._server, self.config)
        await self._server.start()
        log(
            _logger,
            logging.INFO,
            "listening",
            address=self.address,
            tls=self.config.server.tls_certificate is not None,
            reflection=self.config.reflection_is_on,
            pid=os.getpid(),
        )
        self._spawn(self._health.run())
        self._spawn(self.lag.run())
        self._spawn(self._load.run())
        for name in names:
            self.catalog.start_load(name)
        self._spawn(self._announce(names))

    def begin_drain(self, grace_s: float) -> None:
        """Makes `run` drain and return. A second call changes nothing."""
        if not self._drain_asked.is_set():
            self._grace_s = grace_s
            self._drain_asked.set()

    @property
    def is_draining(self) -> bool:
        """A drain was asked for."""
        return self._drain_asked.is_set()

    async def run(self) -> None:
        """Serves until told to drain, and drains: running calls finish, new ones are refused."""
        await self._drain_asked.wait()
        wait_s, grace_s = self.config.health_wait_s, self._grace_s
        self._admission.announce_end(time.monotonic() + wait_s + grace_s)
        in_flight = self._admission.in_flight
        log(_logger, logging.INFO, "draining", in_flight=in_flight, health_wait_s=wait_s, grace_s=grace_s)
        await self.catalog.stop_loading()
        # A watcher of health that does not read must not hold up the drain.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._health.drain()
        await asyncio.sleep(wait_s)
        self._admission.close()
        if not await self._admission.wait_idle(grace_s):
            log(_logger, logging.WARNING, "aborting calls", in_flight=self._admission.in_flight)
            self._admission.cut()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.catalog.close(0.0)
        except TimeoutError:
            log(_logger, logging.ERROR, "models do not close, leaving them", seconds=_CLOSE_S)
        await self._admission.wait_idle(_LAST_WORDS_S)
        await self.stop(_LAST_WORDS_S)
        log(_logger, logging.INFO, "stopped")

    async def stop(self, grace_s: float = 0.0) -> None:
        """Stops listening, and cuts what still runs after grace_s seconds."""
        await self._server.stop(grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._decoder.close(0.0)
        self._speech_threads.close()
        await self.probes.close()

    def _samples(self) -> Iterator[Sample]:
        yield Sample(Metric.UTILIZATION, self._load.utilization)
        yield Sample(Metric.IMAGES_DECODING, self._decoder.num_jobs)
        yield from workload_samples(self.catalog.workloads())

    def _models_to_load(self) -> list[str]:
        """Returns the names to load. Raises NoModelError for names that the store has not, and for an empty store."""
        wanted = self.config.models.load
        if wanted == ():
            return []
        known = [status.card.name for status in self.catalog.statuses()]
        if not known:
            raise NoModelError(
                f"there is no model in {self.config.models.dir}; "
                "get one with `trivium models pull smollm2-135m-instruct`"
            )
        if wanted is None:
            return [status.card.name for status in self.catalog.statuses() if status.state is ModelState.AVAILABLE]
        for name in wanted:
            try:
                self.catalog.status(name)
            except ModelNotFound as error:
                raise NoModelError(
                    f"{error.message}; the store {self.config.models.dir} has {', '.join(known)}; "
                    "`trivium models list` shows which others can be pulled"
                ) from None
        return list(wanted)

    async def _announce(self, names: list[str]) -> None:
        await self.catalog.settled()
        self.probes.has_settled = True
        if self.is_draining:
            return
        states = {name: self.catalog.status(name).state for name in names}
        failed = [name for name, state in states.items() if state is ModelState.FAILED]
        ready = [name for name, state in states.items() if state is ModelState.READY]
        level = logging.WARNING if failed else logging.INFO
        message = "ready" if ready or not names else "no model could be loaded"
        log(_logger, level, message, address=self.address, models=",".join(ready), failed=",".join(failed))

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> None:
        self._tasks.add(asyncio.create_task(coroutine))


async def serve_until_drained(config: Config) -> int:
    """Runs a server until SIGTERM, SIGINT or DrainServer, and returns the exit code.

    A second signal ends the process at once, without waiting for anything.
    """
    app = App(config)
    # What was imported stays: to look through it again, in vain, stops all threads for 30 ms.
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, app, number)
    try:
        await app.start()
        await app.run()
    except BaseException:
        with contextlib.suppress(Exception):
            await app.catalog.close(0.0)
            await app.stop()
        raise
    return 0


def leave(code: int) -> None:
    """Ends the process with this exit code once its threads have ended, or at once if one of them hangs.

    The interpreter would wait for ever for a thread that is inside a model run, a load or a tokenizer.
    """
    end_s = time.monotonic() + _LAST_THREADS_S
    own = threading.current_thread()
    others = [thread for thread in threading.enumerate() if thread is not own and not thread.daemon]
    for thread in others:
        thread.join(max(0.0, end_s - time.monotonic()))
    alive = [thread.name for thread in others if thread.is_alive()]
    if alive:
        log(_logger, logging.WARNING, "leaving threads that are still at work", threads=",".join(alive))
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _on_signal(app: App, number: signal.Signals) -> None:
    if app.was_signalled:
        log(_logger, logging.WARNING, "second signal, leaving at once", signal=number.name)
        logging.shutdown()
        # Threads inside a model run cannot be interrupted; only leaving the process is quick.
        os._exit(_EXIT_ON_SECOND_SIGNAL)
    app.was_signalled = True
    log(_logger, logging.INFO, "signal", signal=number.name)
    app.begin_drain(app.config.drain.grace_s)
