"""The default model as the server serves it in exact mode, against the numpy reference."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.llama_reference import LlamaReference
from tests.serving import RunningServer
from trivium.v1 import generation_pb2 as pb
from trivium.v1.generation_pb2_grpc import TextGenerationServiceStub
from trivium_models.store import InstalledModel

pytestmark = pytest.mark.long
QUESTIONS = (
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "List three fruits.",
    "Explain gravity in one sentence.",
    "What is 2 + 2?",
    "Who wrote Hamlet?",
)
MAX_TOKENS = 48
END_IDS = frozenset({0, 2})


@pytest.fixture(scope="module")
def stub(smollm2: InstalledModel) -> Iterator[TextGenerationServiceStub]:
    settings = {"runtime__precision": "exact", "generation__max_context_tokens": 512, "models__load": smollm2.name}
    with RunningServer(smollm2.folder.parent, **settings) as server, server.channel() as channel:
        yield TextGenerationServiceStub(channel)


def asked(question: str, model: str) -> pb.GenerationInput:
    return pb.GenerationInput(
        model=model,
        conversation=pb.Conversation(
            messages=[pb.ChatMessage(role=pb.CHAT_ROLE_USER, parts=[pb.ContentPart(text=question)])]
        ),
        sampling=pb.SamplingParameters(temperature=0.0, repetition_penalty=1.0, max_output_tokens=MAX_TOKENS),
        output=pb.GenerationOutputOptions(include_token_ids=True),
    )


def test_the_served_greedy_answer_is_the_references_token_for_token(
    stub: TextGenerationServiceStub, smollm2: InstalledModel, smollm2_gguf: Path
) -> None:
    reference = LlamaReference(smollm2_gguf)
    sources = [asked(question, smollm2.name) for question in QUESTIONS]
    # The first by itself, the others together, which takes as many steps as the longest of them.
    answers = [stub.Generate(pb.GenerateRequest(input=sources[0]))]
    calls = [stub.Generate.future(pb.GenerateRequest(input=source), timeout=240) for source in sources[1:]]
    answers += [call.result() for call in calls]
    for question, source, answer in zip(QUESTIONS, sources, answers, strict=True):
        prompt = [
            token.id for token in stub.CountTokens(pb.CountTokensRequest(input=source, include_tokens=True)).tokens
        ]
        (candidate,) = answer.candidates
        ids = list(candidate.token_ids)
        # One pass over prompt and answer: each token must be the reference's own choice after all that precede it.
        reference.restart()
        choices = reference.forward(prompt + ids)[len(prompt) - 1 :].argmax(-1).tolist()
        assert ids == choices[: len(ids)], question
        if len(ids) < MAX_TOKENS:
            assert choices[len(ids)] in END_IDS
            assert candidate.finish_reason == pb.FINISH_REASON_STOP
            assert candidate.matched_stop_token_id == choices[len(ids)]
        else:
            assert candidate.finish_reason == pb.FINISH_REASON_MAX_OUTPUT_TOKENS
        assert answer.info.usage.tokens.input_tokens == len(prompt)
        assert answer.info.usage.tokens.output_tokens == len(ids)
