"""Requests that tests send."""

from typing import Any  # sampling fields by name have types of many kinds

from tests.serving import MODEL
from trivium.v1 import generation_pb2 as pb


def chat(*texts: str, model: str = MODEL, **sampling: Any) -> pb.GenerationInput:
    """A conversation of alternating user and assistant messages; sampling fields by name."""
    roles = (pb.CHAT_ROLE_USER, pb.CHAT_ROLE_ASSISTANT)
    messages = [
        pb.ChatMessage(role=roles[index % 2], parts=[pb.ContentPart(text=text)]) for index, text in enumerate(texts)
    ]
    return pb.GenerationInput(
        model=model,
        conversation=pb.Conversation(messages=messages),
        sampling=pb.SamplingParameters(**({"max_output_tokens": 12, "seed": 7} | sampling)),
    )


def greedy(*texts: str, **sampling: Any) -> pb.GenerationInput:
    """The same with the likeliest token always taken."""
    return chat(*texts, temperature=0.0, repetition_penalty=1.0, **sampling)
