"""onnxruntime-genai behind the same RPC as ours, StreamGenerate, in the best ways that it offers on a CPU.

--mode engine: its own Engine, which takes requests at any time but starts none before its running batch ends.
--mode lockstep: one Generator for all requests that wait, up to --slots; they start and step together. Requests that
come later wait for the whole batch, which lasts as long as its longest answer. Prompts within a batch must have equal
lengths, as ours here have.

Greedy search in both, which is the cheapest. Prints `ready` when it answers; runs until SIGTERM.
"""

import argparse
import asyncio
import json
import queue
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import grpc
import numpy as np
import onnxruntime_genai as og

from trivium.v1 import generation_pb2 as pb

# How long a batch waits for more requests after the latest one, so that a burst of them starts together. It is part of
# the time to the first token in this mode; the other mode has no such wait.
_GATHER_S = 0.02
_ENGINE_EVENTS = 64


@dataclass(eq=False, slots=True)
class Job:
    """A request; its tokens' texts come through the queue, None at the end."""

    ids: list[int]
    num_tokens: int
    pieces: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)


class Worker:
    """Runs jobs on a thread of its own and hands texts to the event loop, one crossing for each step."""

    def __init__(self, model: og.Model, loop: asyncio.AbstractEventLoop, *, slots: int) -> None:
        self._model = model
        self._tokenizer = og.Tokenizer(model)
        self._loop = loop
        self._slots = slots
        self._inbox: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def submit(self, job: Job) -> None:
        self._inbox.put(job)

    def start(self, run: Callable[[], None]) -> None:
        threading.Thread(target=run, daemon=True).start()

    def run_lockstep(self) -> None:
        """Serves batch after batch, for ever."""
        while True:
            batch = self._gather()
            num_tokens = max(job.num_tokens for job in batch)
            length = len(batch[0].ids) + num_tokens
            params = og.GeneratorParams(self._model)
            params.set_search_options(batch_size=len(batch), min_length=length, max_length=length, do_sample=False)
            generator = og.Generator(self._model, params)
            streams = [self._tokenizer.create_stream() for _ in batch]
            ids = np.array([job.ids for job in batch], np.int32)
            generator.append_tokens(ids if len(batch) > 1 else ids[0])
            for number in range(1, num_tokens + 1):
                generator.generate_next_token()
                tokens = generator.get_next_tokens()
                news: list[tuple[Job, str | None]] = []
                for job, stream, token in zip(batch, streams, tokens, strict=True):
                    # A shorter answer is over for its caller, and goes on as padding until the longest is.
                    if number <= job.num_tokens:
                        news.append((job, stream.decode(int(token))))
                    if number == job.num_tokens:
                        news.append((job, None))
                self._deliver(news)

    def run_engine(self) -> None:
        """Feeds the engine whatever has arrived before each of its steps, for ever."""
        engine = og.Engine(self._model)
        events = engine.create_event_buffer(_ENGINE_EVENTS)
        # The engine's requests do not hash by identity, so jobs are found by comparing them.
        running: list[tuple[og.Request, Job, og.TokenizerStream]] = []
        while True:
            for job in self._arrived(wait=not running):
                request = engine.create_request()
                options = og.TurnOptions(request)
                options.set_min_generated_tokens(job.num_tokens)
                options.set_max_generated_tokens(job.num_tokens)
                request.begin_turn(np.array(job.ids, np.int32), options)
                running.append((request, job, self._tokenizer.create_stream()))
            news: list[tuple[Job, str | None]] = []
            for event in engine.run(events):
                entry = next(entry for entry in running if entry[0] == event.request)
                request, job, stream = entry
                news.append((job, stream.decode(event.token)))
                if event.flags.value & og.EngineEventFlags.TURN_FINISHED.value:
                    news.append((job, None))
                    running.remove(entry)
                    request.close()
            self._deliver(news)

    def _gather(self) -> list[Job]:
        batch = [self._inbox.get()]
        while len(batch) < self._slots:
            try:
                batch.append(self._inbox.get(timeout=_GATHER_S))
            except queue.Empty:
                break
        if any(len(job.ids) != len(batch[0].ids) for job in batch):
            raise ValueError("a batch in lock step needs prompts of one length")
        return batch

    def _arrived(self, *, wait: bool) -> Iterable[Job]:
        if wait:
            yield self._inbox.get()
        while True:
            try:
                yield self._inbox.get_nowait()
            except queue.Empty:
                return

    def _deliver(self, news: list[tuple[Job, str | None]]) -> None:
        self._loop.call_soon_threadsafe(_put, news)


def _put(news: list[tuple[Job, str | None]]) -> None:
    for job, text in news:
        job.pieces.put_nowait(text)


class Service:
    """StreamGenerate for token prompts of equal minimum and maximum length; nothing else."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def stream_generate(
        self, request: pb.StreamGenerateRequest, _context: object
    ) -> AsyncIterator[pb.StreamGenerateResponse]:
        source = request.input
        job = Job(list(source.tokens.ids), source.sampling.max_output_tokens)
        self._worker.submit(job)
        sequence = 0
        while (text := await job.pieces.get()) is not None:
            yield pb.StreamGenerateResponse(sequence=sequence, delta=pb.ContentDelta(text=text, token_count=1))
            sequence += 1


def _load(folder: str, *, threads: int, slots: int, context: int) -> og.Model:
    config = og.Config(folder)
    session = {"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}
    batching = {"engine": {"static_batching": {"max_batch_size": slots}}, "search": {"max_length": context}}
    config.overlay(json.dumps(session | batching))
    return og.Model(config)


async def _serve(given: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    model = _load(given.folder, threads=given.threads, slots=given.slots, context=given.context)
    worker = Worker(model, loop, slots=given.slots)
    server = grpc.aio.server()
    method = grpc.unary_stream_rpc_method_handler(
        Service(worker).stream_generate,
        request_deserializer=pb.StreamGenerateRequest.FromString,
        response_serializer=pb.StreamGenerateResponse.SerializeToString,
    )
    service = "trivium.v1.TextGenerationService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"StreamGenerate": method}),))
    server.add_insecure_port(f"127.0.0.1:{given.port}")
    await server.start()
    worker.start(worker.run_lockstep if given.mode == "lockstep" else worker.run_engine)
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    await server.stop(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="model folder in onnxruntime-genai's layout")
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    parser.add_argument("--mode", choices=("engine", "lockstep"), required=True, help="see above")
    parser.add_argument("--threads", type=int, required=True, help="threads of a run")
    parser.add_argument("--slots", type=int, default=8, help="most requests in a batch")
    parser.add_argument("--context", type=int, default=2048, help="most tokens of prompt and answer together")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
