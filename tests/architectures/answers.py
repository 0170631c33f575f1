"""Asking a loaded model, for the tests of this folder."""

import time
from contextlib import aclosing
from dataclasses import dataclass, field

from trivium_server.architectures.capabilities import (
    CandidateEnd,
    ChatMessage,
    Conversation,
    GenerationRequest,
    GenerationStats,
    Prompt,
    Role,
    SamplingOverrides,
    TextDelta,
    TextPrompt,
)
from trivium_server.architectures.genai import GenaiModel

QUESTIONS = (
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "List three fruits.",
    "Explain gravity in one sentence.",
    "What is 2 + 2?",
    "Who are you?",
    "Name a colour.",
    "Say hi in French, German and Chinese.",
)


@dataclass
class Heard:
    """All that came of one candidate."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    deltas: list[TextDelta] = field(default_factory=list)
    end: CandidateEnd | None = None


def chat(question: str) -> Conversation:
    return Conversation(messages=(ChatMessage(role=Role.USER, text=question),))


def ask(
    prompt: Prompt | str, *, top_logprobs: int | None = None, include_stop_sequence: bool = False, **sampling: object
) -> GenerationRequest:
    overrides: dict[str, object] = {"max_output_tokens": 16, "seed": 1, "temperature": 0.0} | sampling
    return GenerationRequest(
        prompt=TextPrompt(text=prompt) if isinstance(prompt, str) else prompt,
        sampling=SamplingOverrides(**overrides),  # type: ignore[arg-type]  # a table of cases by name
        top_logprobs=top_logprobs,
        include_stop_sequence=include_stop_sequence,
    )


async def hear_all(
    model: GenaiModel, request: GenerationRequest, *, timeout_s: float = 60.0
) -> tuple[list[Heard], GenerationStats]:
    """Collects every candidate of an answer, in order."""
    heard: dict[int, Heard] = {}
    answer = await model.generate(request, deadline_s=time.monotonic() + timeout_s)
    async with aclosing(answer):
        async for event in answer:
            one = heard.setdefault(event.candidate_index, Heard())
            assert one.end is None, "nothing follows the end of a candidate"
            if isinstance(event, CandidateEnd):
                one.end = event
            else:
                one.text += event.text
                one.token_ids += event.token_ids
                one.deltas.append(event)
    return [heard[index] for index in sorted(heard)], answer.stats


async def hear(model: GenaiModel, request: GenerationRequest, *, timeout_s: float = 60.0) -> Heard:
    """Collects the only candidate of an answer."""
    (one,), _ = await hear_all(model, request, timeout_s=timeout_s)
    return one
