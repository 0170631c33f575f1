"""Renders a conversation with a model's own chat template, as Hugging Face tokenizers define it, safely.

Templates come with models, so they run in a sandbox and within a budget, and with the same extras that transformers
gives them: `raise_exception`, `strftime_now`, loop controls and trimmed blocks. Control tokens that a message spells
out stay text: otherwise a user could end their turn and speak as the system. Only in the assistant's own messages do
those stay control tokens that models write as text, such as `<think>`: templates look for them there.
"""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jinja2 import TemplateError as JinjaError

from trivium_server.text.bounded_jinja import BoundedEnvironment, Budget

# What a template's own expressions can raise, besides jinja2's errors.
_TEMPLATE_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, MemoryError)


class ChatTemplateError(Exception):
    """The template is broken, or refuses the conversation; the message is the template's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPiece:
    """A piece of a rendered prompt: text, or one control token. is_spelled_out: the text looks like control tokens."""

    text: str
    is_control: bool
    is_spelled_out: bool = False


class ChatTemplate:
    """A compiled template. May be used concurrently."""

    def __init__(
        self,
        source: str,
        *,
        control_tokens: Iterable[str],
        variables: Mapping[str, str],
        written_tokens: Iterable[str] = (),
    ) -> None:
        """Compiles a template.

        control_tokens: all of them. written_tokens: those of them that the model's answers show as text. variables:
        `bos_token`, `eos_token` and such, as templates use them. Raises ChatTemplateError.
        """
        self._environment = BoundedEnvironment()
        self._environment.globals["raise_exception"] = _raise
        self._environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        try:
            self._template = self._environment.from_string(source)
        except (JinjaError, RecursionError) as error:
            raise ChatTemplateError(f"the chat template does not compile: {error}") from error
        self._variables = dict(variables)
        names = set(control_tokens)
        self._control = _any_of(names)
        self._hidden_control = _any_of(names - set(written_tokens))

    def render(self, messages: Sequence[tuple[str, str]], budget: Budget) -> list[PromptPiece]:
        """Renders (role, text) messages, oldest first, as the pieces of a prompt.

        If the last one is the assistant's, its text is left open to be continued; otherwise the assistant's turn is
        opened. Raises ChatTemplateError, and TemplateOverrunError when the budget does not suffice.
        """
        mark = _mark_not_in([text for _, text in messages])
        escaped = [{"role": role, "content": self._escape(role, text, mark)} for role, text in messages]
        is_open = messages[-1][0] == "assistant"
        end = mark + "end" + mark
        if is_open:
            escaped[-1]["content"] += end

        def render() -> str:
            return self._template.render(messages=escaped, add_generation_prompt=not is_open, **self._variables)

        try:
            rendered = self._environment.spending(budget, render)
        except (JinjaError, *_TEMPLATE_FAULTS) as error:
            raise ChatTemplateError(str(error)) from error
        if is_open:
            rendered, found, _ = rendered.partition(end)
            if not found:
                raise ChatTemplateError("the model's chat template cannot continue an assistant's message")
        return self._split(rendered, mark)

    def _escape(self, role: str, text: str, mark: str) -> str:
        """Breaks control tokens in a caller's text with a mark that is taken out again after the template was split."""
        control = self._hidden_control if role == "assistant" else self._control
        if control is None:
            return text
        return control.sub(lambda match: match[0][0] + mark + match[0][1:], text)

    def _split(self, rendered: str, mark: str) -> list[PromptPiece]:
        pieces: list[PromptPiece] = []
        start = 0
        for match in self._control.finditer(rendered) if self._control else ():
            if len(match[0]) == 1 and rendered.startswith(mark, match.end()):
                continue  # there was no place for the mark but behind it
            pieces.append(_text(rendered[start : match.start()], mark))
            pieces.append(PromptPiece(text=match[0], is_control=True))
            start = match.end()
        pieces.append(_text(rendered[start:], mark))
        return [piece for piece in pieces if piece.text]


def _any_of(names: Iterable[str]) -> re.Pattern[str] | None:
    """Returns a pattern that finds any of these names, the longest first."""
    ordered = sorted(filter(None, names), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None


def _mark_not_in(texts: Sequence[str]) -> str:
    """Returns a mark that none of these texts contains: noncharacters, and chance."""
    while True:
        mark = "".join(chr(0xFDD0 + byte % 32) for byte in secrets.token_bytes(24))
        if not any(mark in text for text in texts):
            return mark


def _text(rendered: str, mark: str) -> PromptPiece:
    text = rendered.replace(mark, "")
    return PromptPiece(text=text, is_control=False, is_spelled_out=text != rendered)


def _raise(message: str) -> None:
    raise JinjaError(message)
