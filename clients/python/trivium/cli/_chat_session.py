"""The conversation behind `trivium chat`: what is sent, what is kept, and what is dropped when it grows too long."""

from collections.abc import Callable, Generator, Iterator

from trivium import Client
from trivium.errors import InputTooLong
from trivium.generation import FinishReason, GenerationResult
from trivium.prompts import Conversation, Message, Role
from trivium.sampling import SamplingOptions


class ChatSession:
    """A conversation with a model. Used by one thread.

    timeout_s limits one answer, None does not. notify gets what the person should know, such as turns that were
    dropped.
    """

    def __init__(
        self,
        client: Client,
        model: str,
        system: str,
        sampling: SamplingOptions,
        timeout_s: float | None,
        notify: Callable[[str], None],
    ) -> None:
        self.model = model
        self.conversation = Conversation((), system)
        self.last_result: GenerationResult | None = None
        self._client = client
        self._sampling = sampling
        self._timeout_s = timeout_s
        self._notify = notify

    def ask(self, text: str) -> Iterator[str]:
        """Yields the answer while it is made and keeps both sides.

        When the iteration is stopped early, what was said so far is kept; when nothing was said, the question is
        forgotten too, so that it can be asked again. A conversation that is too long loses its oldest turns.
        """
        self.last_result = None
        asked = self.conversation.with_message(Message.user(text))
        said: list[str] = []
        try:
            while True:
                try:
                    result = yield from self._answer(asked, said)
                    break
                except InputTooLong as error:
                    asked = self._shortened(asked, error)
        finally:
            if answer := "".join(said):
                self.conversation = asked.with_message(Message.assistant(answer))
        self.last_result = result
        if result.finish_reason is FinishReason.CONTEXT_FULL:
            self._notify("the answer was cut: the conversation fills the model's context; /clear starts a new one")

    def _answer(self, asked: Conversation, said: list[str]) -> Generator[str, None, GenerationResult]:
        with self._client.text.stream(asked, model=self.model, timeout_s=self._timeout_s, **self._sampling) as stream:
            for delta in stream:
                said.append(delta.text)
                yield delta.text
        return stream.result

    def _shortened(self, asked: Conversation, error: InputTooLong) -> Conversation:
        shorter = asked.without_oldest_turn()
        if shorter == asked:
            raise error
        actual, limit = error.metadata.get("actual", "?"), error.metadata.get("limit", "?")
        self._notify(
            f"the conversation has {actual} tokens and the model, as it is served, takes {limit}: "
            "the oldest turn was dropped"
        )
        return shorter

    def clear(self) -> None:
        """Forgets what was said; the system instruction stays."""
        self.conversation = Conversation((), self.conversation.system_instruction)

    def set_system(self, text: str) -> None:
        """Sets the instructions to the model for what follows."""
        self.conversation = Conversation(self.conversation.messages, text)

    def as_markdown(self) -> str:
        """Returns the conversation as a document."""
        names = {Role.USER: "You", Role.ASSISTANT: self.model, Role.SYSTEM: "System"}
        system = self.conversation.system_instruction
        parts = [f"**System:** {system}"] if system else []
        parts += [f"**{names[message.role]}:** {message.content}" for message in self.conversation.messages]
        return "\n\n".join(parts) + "\n"
