"""Two hundred requests of every kind, good and bad, from a fixed seed: what a server meets in an hour, in a minute."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import grpc

from benchmarks import grpc_client
from benchmarks.grpc_client import Sampling
from benchmarks.prompts import MODEL, Prompts
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub

_IN_FLIGHT = 12
Kind = Callable[[], Awaitable[str]]


class Mix:
    """The kinds of request, each a coroutine that returns how it ended."""

    def __init__(self, stub: TextGenerationServiceStub, *, seed: int) -> None:
        self._stub = stub
        self._random = random.Random(seed)
        self._prompts = Prompts()

    async def short_answer(self) -> str:
        return await self._generate(self._input(self._between(8, 64), self._between(1, 16)))

    async def long_prompt(self) -> str:
        return await self._generate(self._input(self._between(600, 1200), 8))

    async def whole_stream(self) -> str:
        async for _ in grpc_client.start(
            self._stub, self._stream_request(self._between(16, 128), self._between(16, 64))
        ):
            pass
        return "OK"

    async def cancelled_stream(self) -> str:
        call = grpc_client.start(self._stub, self._stream_request(64, 256))
        seen, enough = 0, self._between(1, 10)
        async for _ in call:
            seen += 1
            if seen > enough:
                call.cancel()
                break
        return "CANCELLED"

    async def four_candidates(self) -> str:
        source = self._input(self._between(16, 64), 24)
        source.sampling.candidate_count = 4
        source.output.top_logprobs = 3
        return await self._generate(source)

    async def bad_request(self) -> str:
        source = self._input(8, 8)
        source.sampling.temperature = float("nan")
        return await self._generate(source)

    async def unknown_model(self) -> str:
        source = self._input(8, 8)
        source.model = "no-such-model"
        return await self._generate(source)

    async def count(self) -> str:
        call = grpc_client.unary(self._stub.CountTokens)
        await call(pb.CountTokensRequest(input=pb.GenerationInput(model=MODEL, text="word " * self._between(1, 2000))))
        return "OK"

    async def run(self, num_requests: int) -> Counter[str]:
        """Runs them, some at once, and returns how many of each kind ended how."""
        kinds: list[Kind] = [self.short_answer] * 8
        kinds += [*[self.whole_stream] * 5, *[self.cancelled_stream] * 3, *[self.count] * 2]
        kinds += [self.long_prompt, self.four_candidates, self.bad_request, self.unknown_model]
        chosen = self._random.choices(kinds, k=num_requests)
        free = asyncio.Semaphore(_IN_FLIGHT)
        ends: Counter[str] = Counter()

        async def one(kind: Kind) -> None:
            async with free:
                try:
                    end = await kind()
                except grpc.aio.AioRpcError as error:
                    end = error.code().name
                ends[f"{getattr(kind, '__name__', '')}: {end}"] += 1

        await asyncio.gather(*(one(kind) for kind in chosen))
        return ends

    def _between(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def _input(self, prompt_len: int, num_tokens: int) -> pb.GenerationInput:
        return self._stream_request(prompt_len, num_tokens).input

    def _stream_request(self, prompt_len: int, num_tokens: int) -> pb.StreamGenerateRequest:
        return grpc_client.request(MODEL, self._prompts.take(prompt_len), num_tokens, Sampling.SAMPLED)

    async def _generate(self, source: pb.GenerationInput) -> str:
        await grpc_client.unary(self._stub.Generate)(pb.GenerateRequest(input=source))
        return "OK"
