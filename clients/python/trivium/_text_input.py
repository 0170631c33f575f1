"""Texts as callers give them, checked before anything is sent. Pure."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, TypeVar

__all__ = ["TextInput", "Texts", "checked_choice", "checked_item", "checked_items", "checked_text"]

TextInput: TypeAlias = str | tuple[str, str]
"""A text, or (id, text); the id comes back in the result."""

Texts: TypeAlias = str | Iterable[TextInput]
"""One text, or a list, tuple or another sized collection in a fixed order, such as an array or a column."""

_EnumT = TypeVar("_EnumT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Item:
    """An id, which may be empty, and a text."""

    item_id: str
    text: str


def checked_items(given: object, name: str, *, instead: str = "") -> list[Item]:
    """Returns the items of a sized collection; one text is a collection of one.

    Raises TypeError for what is no text or no such collection, ValueError for an empty one and for text that UTF-8
    cannot carry; each names the argument and the place. instead: what to say to somebody who gives a generator.
    """
    if isinstance(given, str):
        return [checked_item(given, name, None)]
    if isinstance(given, bytes | Mapping | AbstractSet) or not isinstance(given, Iterable):
        raise TypeError(f"{name} is {_kind(given)}, not text or a list of texts")
    if not hasattr(given, "__len__"):
        raise TypeError(f"{name} is {_kind(given)}, not a list of texts{instead}")
    items = [checked_item(entry, name, place) for place, entry in enumerate(given)]
    if not items:
        raise ValueError(f"{name} is empty; give at least one text")
    return items


def checked_item(given: object, name: str, place: int | None) -> Item:
    """Returns one item. TypeError or ValueError as for checked_items."""
    if isinstance(given, Item):
        return given
    where = name if place is None else f"{name}[{place}]"
    if isinstance(given, tuple):
        if len(given) != 2:
            raise TypeError(f"{where} is a tuple of {len(given)}; give a text or (id, text)")
        return Item(checked_text(given[0], f"the id of {where}"), checked_text(given[1], where))
    return Item("", checked_text(given, where))


def checked_text(given: object, name: str) -> str:
    """Returns the text. TypeError for anything else, ValueError for a half of a surrogate pair."""
    if not isinstance(given, str):
        raise TypeError(f"{name} is {_kind(given)}, not text")
    try:
        given.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} has half of a surrogate pair at {error.start}, which UTF-8 cannot carry") from None
    return given


def _kind(given: object) -> str:
    if given is None:
        return "None"
    if isinstance(given, float) and given != given:
        return "NaN"
    return type(given).__name__


def checked_choice(kind: type[_EnumT], given: object, name: str, *, suffix: str = "") -> _EnumT:
    """Returns the value of a name in any case. suffix: what a name may leave out at its end.

    Raises TypeError for what is no name, ValueError, with the names that there are, for another one.
    """
    if not isinstance(given, str):
        raise TypeError(f"{name} is {_kind(given)}, not one of {_names(kind)}")
    for spelled in (given.upper(), f"{given.upper()}{suffix}"):
        if spelled in kind.__members__:
            return kind[spelled]
    raise ValueError(f"{name} is {given!r}, not one of {_names(kind)}")


def _names(kind: type[StrEnum]) -> str:
    return ", ".join(value.lower() for value in kind if value != "UNSPECIFIED")
