"""TextGenerationService: requests in, answers out; the model does the rest."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass

from trivium.v1 import common_pb2
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceServicer
from trivium_server.architectures.abilities import model_is_missing
from trivium_server.architectures.capabilities import (
    CandidateEnd,
    Generation,
    GenerationEvent,
    TextDelta,
    TextGenerator,
)
from trivium_server.architectures.catalog import Catalog, Lease
from trivium_server.config import LimitsConfig
from trivium_server.errors import InputTooLarge
from trivium_server.rpc import answers
from trivium_server.rpc.call import Call, current_call
from trivium_server.rpc.convert import Bounds, generation_request, prompt_to_count
from trivium_server.rpc.violations import Violations

# grpc's servicer context: the boundary alone talks to it.
Context = object
_HEARTBEAT_S = 15.0
# Listing is Python on the event loop: tens of milliseconds for this many.
_MAX_LISTED_TOKENS = 16_384


class TextGenerationService(TextGenerationServiceServicer):
    """See proto/trivium/v1/generation.proto. heartbeat_s is there for tests."""

    def __init__(self, catalog: Catalog, limits: LimitsConfig, heartbeat_s: float = _HEARTBEAT_S) -> None:
        self._catalog = catalog
        self._limits = limits
        self._heartbeat_s = heartbeat_s

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> pb.GenerateResponse:
        async with self._generation(request.input, request.HasField("input"), Violations()) as answer:
            candidates: dict[int, pb.Candidate] = {}
            async for event in await answer.events():
                candidate = candidates.get(event.candidate_index)
                if candidate is None:
                    message = pb.ChatMessage(role=pb.CHAT_ROLE_ASSISTANT)
                    candidate = pb.Candidate(index=event.candidate_index, message=message)
                    candidates[event.candidate_index] = candidate
                if isinstance(event, CandidateEnd):
                    candidate.finish_reason = answers.finish_reason(event.reason)
                    candidate.matched_stop_sequence = event.matched_stop_sequence
                    if event.matched_stop_token_id is not None:
                        candidate.matched_stop_token_id = event.matched_stop_token_id
                else:
                    _append(candidate, event, include_token_ids=request.input.output.include_token_ids)
            return pb.GenerateResponse(
                response_id=answer.response_id,
                candidates=[candidates[index] for index in sorted(candidates)],
                info=answers.generation_info(answer.call, answer.model, answer.generation.stats),
            )

    async def StreamGenerate(
        self, request: pb.StreamGenerateRequest, context: Context
    ) -> AsyncIterator[pb.StreamGenerateResponse]:
        found = Violations()
        options = request.stream
        if options.HasField("min_tokens_per_event"):
            found.number("stream.min_tokens_per_event", options.min_tokens_per_event, "stream.min_tokens_per_event")
        min_tokens = options.min_tokens_per_event if options.HasField("min_tokens_per_event") else 1
        include_token_ids = request.input.output.include_token_ids
        async with self._generation(request.input, request.HasField("input"), found) as answer:
            event_of = _Numbered()
            started = pb.GenerationStarted(
                response_id=answer.response_id,
                model=answer.model,
                input_tokens=answer.generation.stats.input_tokens,
            )
            yield event_of(started=started)
            held: dict[int, pb.ContentDelta] = {}
            events: AsyncIterator[GenerationEvent | None]
            if options.emit_heartbeats:
                events = await answer.events_or_none(event_of, self._heartbeat_s)
            else:
                events = await answer.events()
            async for event in events:
                if event is None:
                    yield event_of(heartbeat=_heartbeat(answer.generation))
                elif isinstance(event, CandidateEnd):
                    rest = held.pop(event.candidate_index, None)
                    if rest is not None:
                        yield event_of(delta=rest)
                    yield event_of(candidate_finished=answers.candidate_finished(event))
                else:
                    delta = _delta(event, include_token_ids)
                    if min_tokens > 1:
                        delta = _joined(held.pop(event.candidate_index, None), delta)
                        if delta.token_count < min_tokens:
                            held[event.candidate_index] = delta
                            continue
                    yield event_of(delta=delta)
            info = answers.generation_info(answer.call, answer.model, answer.generation.stats)
            yield event_of(completed=pb.GenerationCompleted(info=info))

    async def CountTokens(self, request: pb.CountTokensRequest, context: Context) -> pb.CountTokensResponse:
        call = current_call()
        with self._leased(request.input, request.HasField("input"), Violations(), counts_only=True) as (lease, bounds):
            begun = time.monotonic()
            prompt = prompt_to_count(request.input, bounds, Violations())
            ids = await lease.model.tokenize(prompt)
            used = common_pb2.Usage(input_characters=_num_characters(request.input))
            call.usage = lambda: used
            timing = common_pb2.Timing(
                preprocess_duration=answers.duration(time.monotonic() - begun),
                total_duration=answers.duration(call.elapsed_s()),
            )
            model = answers.served_model(lease.card, lease.model.execution_provider)
            if request.include_tokens and len(ids) > _MAX_LISTED_TOKENS:
                raise InputTooLarge("include_tokens", len(ids), _MAX_LISTED_TOKENS, "tokens")
            listed = lease.model.describe(ids) if request.include_tokens else ()
            return pb.CountTokensResponse(
                token_count=len(ids),
                tokens=[pb.Token(id=t.id, token_bytes=t.token_bytes, is_special=t.is_special) for t in listed],
                context_limit=lease.model.limits.max_context_tokens,
                info=common_pb2.CallInfo(request_id=call.request_id, model=model, usage=used, timing=timing),
            )

    @contextlib.contextmanager
    def _leased(
        self, source: pb.GenerationInput, is_given: bool, found: Violations, *, counts_only: bool = False
    ) -> Iterator[tuple[Lease[TextGenerator], Bounds]]:
        """Lends the model that the input names; without a name, reports everything else that is wrong as well."""
        max_prompt_bytes = self._limits.max_prompt_bytes
        if not source.model:
            able = self._catalog.able(TextGenerator)
            found.add("input.model" if is_given else "input", model_is_missing(TextGenerator, able))
            if is_given:
                check = prompt_to_count if counts_only else generation_request
                check(source, Bounds(max_prompt_bytes=max_prompt_bytes), found)
            found.raise_if_any()
        # A Protocol is what the catalog asks of a model; mypy wants concrete classes for type[T].
        with self._catalog.lease(source.model, TextGenerator) as lease:  # type: ignore[type-abstract]
            current_call().model = lease.card.name
            model = lease.model
            yield (
                lease,
                Bounds(max_prompt_bytes=max_prompt_bytes, limits=model.limits, defaults=model.sampling_defaults),
            )

    @contextlib.asynccontextmanager
    async def _generation(
        self, source: pb.GenerationInput, is_given: bool, found: Violations
    ) -> AsyncIterator["_Answer"]:
        """Starts a generation, meters it on the call, and closes it whatever happens."""
        call = current_call()
        with self._leased(source, is_given, found) as (lease, bounds):
            request = generation_request(source, bounds, found)
            generation = await lease.model.generate(request, deadline_s=call.deadline_s)
            call.usage = lambda: answers.usage(generation.stats)
            call.response_id = uuid.uuid4().hex
            async with contextlib.AsyncExitStack() as closing:
                await closing.enter_async_context(contextlib.aclosing(generation))
                yield _Answer(
                    response_id=call.response_id,
                    call=call,
                    model=answers.served_model(lease.card, lease.model.execution_provider),
                    generation=generation,
                    closing=closing,
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    response_id: str
    call: Call
    model: common_pb2.ServedModel
    generation: Generation
    closing: contextlib.AsyncExitStack

    async def events(self) -> AsyncIterator[GenerationEvent]:
        """Returns the events of the generation; closed with it."""
        return await self.closing.enter_async_context(contextlib.aclosing(aiter(self.generation)))

    async def events_or_none(self, sent: "_Numbered", heartbeat_s: float) -> AsyncIterator[GenerationEvent | None]:
        """Returns the events, with None whenever nothing was sent for heartbeat_s seconds."""
        beating = _with_heartbeats(self.generation, sent, heartbeat_s)
        return await self.closing.enter_async_context(contextlib.aclosing(beating))


class _Numbered:
    """Makes the events of one stream, numbers them, and knows when the last one was made."""

    __slots__ = ("_sequence", "last_s")

    def __init__(self) -> None:
        self._sequence = 0
        self.last_s = time.monotonic()

    def __call__(
        self,
        *,
        started: pb.GenerationStarted | None = None,
        delta: pb.ContentDelta | None = None,
        candidate_finished: pb.CandidateFinished | None = None,
        completed: pb.GenerationCompleted | None = None,
        heartbeat: common_pb2.Heartbeat | None = None,
    ) -> pb.StreamGenerateResponse:
        event = pb.StreamGenerateResponse(
            sequence=self._sequence,
            started=started,
            delta=delta,
            candidate_finished=candidate_finished,
            completed=completed,
            heartbeat=heartbeat,
        )
        self._sequence += 1
        self.last_s = time.monotonic()
        return event


async def _with_heartbeats(
    generation: Generation, sent: _Numbered, heartbeat_s: float
) -> AsyncGenerator[GenerationEvent | None]:
    events = aiter(generation)
    pending: asyncio.Future[GenerationEvent] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(events))
            # Counted from what was sent: deltas may be held back until they have enough tokens.
            left_s = sent.last_s + heartbeat_s - time.monotonic()
            done, _ = await asyncio.wait((pending,), timeout=max(0.0, left_s))
            if not done:
                yield None
                continue
            finished, pending = pending, None
            try:
                yield finished.result()
            except StopAsyncIteration:
                return
    finally:
        if pending is not None and pending.cancel():
            with contextlib.suppress(asyncio.CancelledError):
                await pending
        await events.aclose()


def _append(candidate: pb.Candidate, delta: TextDelta, *, include_token_ids: bool) -> None:
    if delta.text:
        if not candidate.message.parts:
            candidate.message.parts.add()
        candidate.message.parts[0].text += delta.text
    if include_token_ids:
        candidate.token_ids.extend(delta.token_ids)
    if delta.logprobs:
        candidate.logprobs.extend(answers.logprobs(delta.logprobs))


def _delta(event: TextDelta, include_token_ids: bool) -> pb.ContentDelta:
    return pb.ContentDelta(
        candidate_index=event.candidate_index,
        text=event.text,
        token_count=len(event.token_ids),
        token_ids=event.token_ids if include_token_ids else None,
        logprobs=answers.logprobs(event.logprobs) if event.logprobs else None,
    )


def _joined(first: pb.ContentDelta | None, second: pb.ContentDelta) -> pb.ContentDelta:
    if first is None:
        return second
    first.text += second.text
    first.token_count += second.token_count
    first.token_ids.extend(second.token_ids)
    first.logprobs.extend(second.logprobs)
    return first


def _heartbeat(generation: Generation) -> common_pb2.Heartbeat:
    beat = common_pb2.Heartbeat(queue_position=generation.stats.queue_position)
    beat.server_time.GetCurrentTime()
    return beat


def _num_characters(source: pb.GenerationInput) -> int:
    if source.HasField("conversation"):
        texts = (part.text for message in source.conversation.messages for part in message.parts)
        return len(source.conversation.system_instruction) + sum(map(len, texts))
    return len(source.text)
