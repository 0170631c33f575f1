"""Prompts into token ids: a caller's text stays text, and only the model's own chat template puts control tokens in."""

from collections.abc import Iterable, Mapping, Sequence

from tokenizers import Encoding, Tokenizer

from trivium_server.architectures.capabilities import Conversation, Prompt, TextPrompt, TokenPrompt
from trivium_server.errors import FieldViolation, InvalidArgument, UnsupportedFeature
from trivium_server.text.bounded_jinja import Budget, TemplateOverrunError
from trivium_server.text.chat_template import ChatTemplate, ChatTemplateError, PromptPiece
from trivium_server.text.vocabulary import Vocabulary, text_tokenizer

# Shorter prompts are tokenized on the event loop: a tenth of a millisecond, less than a hop to a thread and back.
_INLINE_CHARACTERS = 2048
# What a template roughly adds to a message.
_TEMPLATE_CHARACTERS = 40
# A short conversation takes a template tens of microseconds. What takes more than this goes to a thread.
_INLINE_TEMPLATE_S = 0.003
_INLINE_CHARACTERS_MADE = 16 * _INLINE_CHARACTERS
_MAX_TEMPLATE_S = 2.0
_MAX_CHARACTERS_MADE = 100_000_000


class PromptEncoder:
    """Encodes for one model. May be used by several threads."""

    def __init__(
        self,
        model: str,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        *,
        chat_template: str | None,
        template_variables: Mapping[str, str],
    ) -> None:
        """model: its name, for errors. Raises ChatTemplateError when the template does not compile."""
        self._model = model
        self._control = vocabulary.control
        self._control_ids = {text: index for index, text in vocabulary.control.items()}
        self._template_tokenizer = tokenizer
        self._text_tokenizer = text_tokenizer(tokenizer, vocabulary.control)
        self._template = None
        if chat_template is not None:
            self._template = ChatTemplate(
                chat_template,
                control_tokens=self._control_ids,
                written_tokens=self._control_ids.keys() - vocabulary.special.values(),
                variables=template_variables,
            )

    def encode_at_once(self, prompt: Conversation | TextPrompt) -> list[int] | None:
        """Returns what `encode` returns if that takes less than a few milliseconds, else None. Raises as that does."""
        num_messages = len(prompt.messages) if isinstance(prompt, Conversation) else 1
        if num_characters(prompt) + _TEMPLATE_CHARACTERS * num_messages > _INLINE_CHARACTERS:
            return None
        if isinstance(prompt, TextPrompt):
            return self._text_ids(prompt.text)
        try:
            pieces = self._render(prompt, Budget(cpu_s=_INLINE_TEMPLATE_S, characters=_INLINE_CHARACTERS_MADE))
        except TemplateOverrunError:
            return None
        return self._ids_of(pieces)

    def encode(self, prompt: Conversation | TextPrompt) -> list[int]:
        """Returns the ids of a prompt. May take seconds, so call it off the event loop.

        Raises InvalidArgument, and UnsupportedFeature when the model's template does not come to an end with it.
        """
        if isinstance(prompt, TextPrompt):
            return self._text_ids(prompt.text)
        try:
            pieces = self._render(prompt, Budget(cpu_s=_MAX_TEMPLATE_S, characters=_MAX_CHARACTERS_MADE))
        except TemplateOverrunError as error:
            raise UnsupportedFeature(
                "input.conversation", f"the chat template of model {self._model!r} {error} for it"
            ) from error
        return self._ids_of(pieces)

    def _render(self, prompt: Conversation, budget: Budget) -> list[PromptPiece]:
        if self._template is None:
            raise UnsupportedFeature(
                "input.conversation", f"model {self._model!r} has no chat template; send text instead"
            )
        try:
            return self._template.render([(message.role.value, message.text) for message in prompt.messages], budget)
        except ChatTemplateError as error:
            raise InvalidArgument(
                FieldViolation("input.conversation", f"the model's template refused it: {error}")
            ) from error

    def _text_ids(self, text: str) -> list[int]:
        encoding = _encoded(self._text_tokenizer, text, add_special_tokens=True)
        marked = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
        self._refuse_control((index for index, is_added in marked if not is_added), "input.text")
        return encoding.ids

    def _ids_of(self, pieces: Sequence[PromptPiece]) -> list[int]:
        """Returns the ids of a rendered conversation; its control tokens are those of the pieces, and no others."""
        control = [self._control_ids[piece.text] for piece in pieces if piece.is_control]
        if not any(piece.is_spelled_out for piece in pieces):
            # In one go, as the model was trained: a token may depend on what is beside it.
            text = "".join(piece.text for piece in pieces)
            ids = _encoded(self._template_tokenizer, text, add_special_tokens=False).ids
            # A tokenizer that normalizes text may have found a control token that nobody wrote.
            if [index for index in ids if index in self._control] == control:
                return ids
        ids = []
        for piece in pieces:
            if piece.is_control:
                ids.append(self._control_ids[piece.text])
            else:
                own = _encoded(self._text_tokenizer, piece.text, add_special_tokens=False).ids
                self._refuse_control(own, "input.conversation")
                ids.extend(own)
        return ids

    def _refuse_control(self, ids: Iterable[int], field: str) -> None:
        """Raises InvalidArgument where text became a control token after all, as a Unigram vocabulary may have it."""
        found = next((index for index in ids if index in self._control), None)
        if found is not None:
            problem = f"spells out {self._control[found]!r}, a control token that this model cannot read as text"
            raise InvalidArgument(FieldViolation(field, problem))


def input_field(prompt: Prompt) -> str:
    """Returns the path of the request field that a prompt came from."""
    match prompt:
        case Conversation():
            return "input.conversation"
        case TextPrompt():
            return "input.text"
        case TokenPrompt():
            return "input.tokens"


def num_characters(prompt: Prompt) -> int:
    """Counts the characters of a prompt; token ids have none."""
    match prompt:
        case Conversation():
            return sum(len(message.text) for message in prompt.messages)
        case TextPrompt():
            return len(prompt.text)
        case TokenPrompt():
            return 0


def _encoded(tokenizer: Tokenizer, text: str, *, add_special_tokens: bool) -> Encoding:
    if len(text) <= _INLINE_CHARACTERS:
        return tokenizer.encode(text, add_special_tokens=add_special_tokens)
    # Unlike encode, this releases the GIL: a prompt of a megabyte takes seconds, during which others are served.
    return tokenizer.encode_batch_fast([text], add_special_tokens=add_special_tokens)[0]
