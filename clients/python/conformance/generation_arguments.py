"""Generation requests as arguments of the SDK."""

from trivium import prompts
from trivium.sampling import SamplingOptions
from trivium.v1 import generation_pb2

__all__ = ["options_of", "prompt_of"]

_ROLES = {
    generation_pb2.CHAT_ROLE_SYSTEM: prompts.Role.SYSTEM,
    generation_pb2.CHAT_ROLE_USER: prompts.Role.USER,
    generation_pb2.CHAT_ROLE_ASSISTANT: prompts.Role.ASSISTANT,
}


def prompt_of(built: generation_pb2.GenerationInput) -> prompts.Prompt:
    """Returns the prompt. An absent one is text that is empty, which the SDK refuses."""
    match built.WhichOneof("prompt"):
        case "conversation":
            messages = tuple(
                prompts.Message(_ROLES[message.role], "".join(part.text for part in message.parts))
                for message in built.conversation.messages
            )
            return prompts.Conversation(messages, built.conversation.system_instruction)
        case "tokens":
            return prompts.TokenPrompt(tuple(built.tokens.ids))
        case _:
            return prompts.TextPrompt(built.text)


def options_of(built: generation_pb2.GenerationInput) -> SamplingOptions:
    """Returns what shapes the answer."""
    given = {
        field.name: dict(value) if field.name == "logit_bias" else value
        for message in (built.sampling, built.output)
        for field, value in message.ListFields()
    }
    options: SamplingOptions = given  # type: ignore[assignment]  # the fields of two messages are its keys
    return options
