"""What to generate from: a conversation, plain text to continue, or token ids.

Wherever the client takes a prompt, it takes one of

    "Name two colours."                                  one message of the user
    [{"role": "user", "content": "Name two colours."}]   a conversation, as dicts or Message
    Conversation(...)                                    the same, with a system instruction
    TextPrompt("Red, green and")                         text to continue as it is, without the chat template
    TokenPrompt((504, 260, 2240))                        token ids to continue as they are
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, TypeAlias, TypedDict

from trivium.v1 import generation_pb2

__all__ = ["Conversation", "Message", "MessageDict", "Prompt", "Role", "TextPrompt", "TokenPrompt"]


class Role(StrEnum):
    """Who speaks in a Message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


_PROTO_ROLES = {
    Role.SYSTEM: generation_pb2.CHAT_ROLE_SYSTEM,
    Role.USER: generation_pb2.CHAT_ROLE_USER,
    Role.ASSISTANT: generation_pb2.CHAT_ROLE_ASSISTANT,
}


class MessageDict(TypedDict):
    """A Message as a dict."""

    role: Role | Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `role` may be given as a string; ValueError where it is none of Role."""

    role: Role
    content: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "role", Role(self.role))

    @classmethod
    def user(cls, content: str) -> "Message":
        """Returns a message of the person or program that asks."""
        return cls(Role.USER, content)

    @classmethod
    def assistant(cls, content: str) -> "Message":
        """Returns a message of the model."""
        return cls(Role.ASSISTANT, content)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation so far, oldest message first. The last message is the user's, or the beginning of an answer.

    Immutable: the methods return a new conversation. An empty system_instruction leaves the model's own default.
    """

    messages: tuple[Message, ...] = ()
    system_instruction: str = ""

    def with_message(self, message: Message) -> "Conversation":
        """Returns the conversation with one more message."""
        return replace(self, messages=(*self.messages, message))

    def without_oldest_turn(self) -> "Conversation":
        """Returns the conversation without its first user message and the answer to it.

        The same conversation where there is only one turn, since a prompt cannot be empty.
        """
        starts = [index for index, message in enumerate(self.messages) if message.role is Role.USER]
        return replace(self, messages=self.messages[starts[1] :]) if len(starts) > 1 else self


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """Plain text to be continued, not empty, at most 1 MiB in UTF-8. No chat template is applied."""

    text: str


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """Ids of the model's vocabulary to be continued."""

    ids: Sequence[int]


Prompt: TypeAlias = str | Conversation | TextPrompt | TokenPrompt | Message | Iterable[Message | MessageDict]
"""Whatever the client takes as a prompt; see the head of this module."""


def generation_input(prompt: Prompt, model: str | None) -> generation_pb2.GenerationInput:
    """Builds the message.

    Raises TypeError for what is no prompt, ValueError for one that is empty, an id that is no token id, and text that
    is not Unicode.
    """
    built = generation_pb2.GenerationInput(model=model or "")
    try:
        match prompt:
            case TextPrompt(text):
                built.text = text
            case TokenPrompt(ids):
                _set_ids(built, ids)
            case _:
                built.conversation.CopyFrom(_proto_conversation(_as_conversation(prompt)))
    except UnicodeEncodeError as error:
        # What Python makes of bytes that are not UTF-8 in file names, arguments and badly opened files.
        raise ValueError(f"the prompt has half a surrogate pair, which is not text, at {error.start}") from None
    if _is_empty(built):
        raise ValueError("the prompt is empty; there is nothing to answer or to continue")
    return built


def _is_empty(built: generation_pb2.GenerationInput) -> bool:
    if built.HasField("conversation"):
        return not any(part.text for message in built.conversation.messages for part in message.parts)
    return not (built.text or built.tokens.ids)


def _set_ids(built: generation_pb2.GenerationInput, ids: Sequence[int]) -> None:
    built.tokens.SetInParent()
    try:
        built.tokens.ids.extend(ids)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a token id is a whole number from 0 to 4294967295: {error}") from None


def _as_conversation(prompt: "str | Conversation | Message | Iterable[Message | MessageDict]") -> Conversation:
    if isinstance(prompt, Conversation):
        return prompt
    if isinstance(prompt, str):
        return Conversation((Message.user(prompt),))
    if isinstance(prompt, Message):
        return Conversation((prompt,))
    if isinstance(prompt, bytes | bytearray | Mapping) or not isinstance(prompt, Iterable):
        raise TypeError(f"a prompt is text, messages, Conversation, TextPrompt or TokenPrompt, not {_kind(prompt)}")
    return Conversation(tuple(_as_message(entry) for entry in prompt))


def _as_message(entry: Message | MessageDict) -> Message:
    if isinstance(entry, Message):
        return entry
    if not isinstance(entry, Mapping):
        raise TypeError(f"a message is a Message or a dict with role and content, not {_kind(entry)}")
    if set(entry) != {"role", "content"}:
        raise ValueError(f"a message has role and content and nothing else, not {', '.join(sorted(entry))}")
    if not isinstance(entry["content"], str):
        raise TypeError(f"the content of a message is text, not {_kind(entry['content'])}")
    return Message(Role(entry["role"]), entry["content"])


def _proto_conversation(conversation: Conversation) -> generation_pb2.Conversation:
    return generation_pb2.Conversation(
        system_instruction=conversation.system_instruction,
        messages=[
            generation_pb2.ChatMessage(
                role=_PROTO_ROLES[message.role], parts=[generation_pb2.ContentPart(text=message.content)]
            )
            for message in conversation.messages
        ],
    )


def _kind(value: object) -> str:
    return type(value).__name__
