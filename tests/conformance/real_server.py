"""Trivium's own server for the real cases, as a process of its own, with the default models."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from tests.conformance.answer import Answer
from tests.conformance.case import Case
from tests.conformance.matching import differences
from tests.conformance.runner import REPOSITORY
from tests.server.processes import ServerProcess
from trivium.v1 import generation_pb2, generation_pb2_grpc
from trivium_models.store import Store

__all__ = ["MODELS", "real_complaints", "real_server"]

MODELS = (
    "smollm2-135m-instruct",
    "all-minilm-l6-v2",
    "langid-140",
    "efficientnet-lite0",
    "centerface",
    "pp-ocrv6-small",
    "moonshine-tiny-en",
    "silero-vad",
    "hibari-heart",
)
_LOADING_S = 180.0
_ANSWER_S = 60.0


@contextmanager
def real_server(root: Path = REPOSITORY) -> Iterator[str]:
    """Starts it, waits until its models are ready, gives its address, and ends it. Fetches models that are not here.

    root: the checkout whose server it is.
    """
    store = Store()
    folders = [store.pull(model).folder for model in MODELS]
    arguments = [argument for model in MODELS for argument in ("--model", model)]
    code = os.pathsep.join(str(root / part) for part in ("service", "models", "clients/python"))
    with ServerProcess(folders[0].parent, *arguments, ORT_DISABLE_TELEMETRY="1", PYTHONPATH=code) as process:
        address = process.address
        process.wait_for(r"ready  address=", _LOADING_S)
        yield address


def real_complaints(case: Case, answer: Answer, target: str) -> Iterator[str]:
    """Iterates what a real server would have answered otherwise."""
    if case.expect.text_of_generate:
        (request,) = case.requests
        assert isinstance(request, generation_pb2.StreamGenerateRequest)
        yield from differences(_generated_text(target, request.input), answer.text, "text")


def _generated_text(target: str, built: generation_pb2.GenerationInput) -> str:
    """Returns what Generate answers, asked without any SDK."""
    with grpc.insecure_channel(target) as channel:
        stub = generation_pb2_grpc.TextGenerationServiceStub(channel)
        answer = stub.Generate(generation_pb2.GenerateRequest(input=built), timeout=_ANSWER_S)
    return "".join(part.text for part in answer.candidates[0].message.parts)
