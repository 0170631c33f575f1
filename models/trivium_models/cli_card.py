"""The card of a model as `trivium models show` prints it."""

import textwrap

from trivium_models.manifest import Card

_FEW_LANGUAGES = 10  # as many have a line each


def card_values(card: Card) -> dict[str, object]:
    """Returns what a card says, by name, in the order to show it in."""
    return {
        "name": card.name,
        "display_name": card.display_name,
        "version": card.version,
        "task": card.task,
        "license": card.license,
        "upstream": card.upstream,
        "description": card.description,
        "good_at": list(card.good_at),
        "bad_at": list(card.bad_at),
        "language_codes": list(card.language_codes),
        "limits": {
            "context_length": card.limits.context_length,
            "max_input_tokens": card.limits.max_input_tokens,
            "max_output_tokens": card.limits.max_output_tokens,
        },
        "defaults": dict(card.defaults),
    }


def lines(key: str, value: object) -> list[str]:
    """Returns a value of a card as lines for people."""
    if key == "language_codes" and isinstance(value, list) and len(value) > _FEW_LANGUAGES:
        return [f"{len(value)} codes:", *textwrap.wrap(" ".join(map(str, value)), 80)]
    if isinstance(value, dict):
        return [f"{key} {item}" for key, item in value.items()] or ["-"]
    if isinstance(value, list):
        return [str(item) for item in value] or ["-"]
    return [str(value) if value != "" else "-"]
