"""Compares what is expected, as cases say it, with what came. What is not expected may be anything.

A mapping expects its keys, an empty one nothing; a list as many entries, pair by pair; a number one that float32 cannot
tell from it, also where ProtoJSON writes it as text. A mapping whose keys begin with `$` has rules:

    {$at_least: 1, $at_most: 2}     a number
    {$matches: REGEX}               a text that has it somewhere
    {$lacks: REGEX}                 a text that has it nowhere
    {$length: RULE}                 a list, text or mapping that long
    {$any_of: [VALUE, …]}           one of these
    {$has: VALUE}                   a list with such an entry
    {$given: true}                  anything but null, "" and nothing at all
"""

import re
from collections.abc import Iterator, Mapping

__all__ = ["differences"]

_SHOWN_LEN = 200
_TOLERANCE = 1e-5


def differences(expected: object, actual: object, place: str) -> Iterator[str]:
    """Iterates what is otherwise than expected, a line each: the place, what is wanted there, and what came."""
    if isinstance(expected, Mapping) and any(str(key).startswith("$") for key in expected):
        for rule, wanted in expected.items():
            yield from _rule_differences(str(rule), wanted, actual, place)
    elif isinstance(expected, Mapping):
        yield from _mapping_differences(expected, actual, place)
    elif isinstance(expected, list):
        yield from _list_differences(expected, actual, place)
    elif not _is_same(expected, actual):
        yield _difference(place, shown(expected), actual)


def shown(value: object) -> str:
    """Returns a value as a person wants to read it: not all of a long one."""
    text = repr(value)
    return text if len(text) <= _SHOWN_LEN else f"{text[:_SHOWN_LEN]}… ({len(text)} characters)"


def _difference(place: str, wanted: str, actual: object) -> str:
    return f"{place}: expected {wanted}, got {shown(actual)}"


def _mapping_differences(expected: Mapping[str, object], actual: object, place: str) -> Iterator[str]:
    if isinstance(actual, Mapping):
        for key, wanted in expected.items():
            yield from differences(wanted, actual.get(key), f"{place}.{key}")
    elif expected:
        yield _difference(place, shown(dict(expected)), actual)


def _list_differences(expected: list[object], actual: object, place: str) -> Iterator[str]:
    if not isinstance(actual, list) or len(actual) != len(expected):
        count = f", of which there are {len(actual)}" if isinstance(actual, list) else ""
        yield _difference(place, f"{len(expected)} entries", actual) + count
        return
    for index, (wanted, entry) in enumerate(zip(expected, actual, strict=True)):
        yield from differences(wanted, entry, f"{place}[{index}]")


def _rule_differences(rule: str, wanted: object, actual: object, place: str) -> Iterator[str]:
    match rule, wanted:
        case "$length", _:
            length = len(actual) if isinstance(actual, list | str | Mapping) else None
            yield from differences(wanted, length, f"length of {place}")
        case "$any_of", list(choices):
            if all(any(True for _ in differences(choice, actual, place)) for choice in choices):
                yield _difference(place, f"one of {shown(choices)}", actual)
        case "$has", _:
            entries = actual if isinstance(actual, list) else []
            if all(any(True for _ in differences(wanted, entry, place)) for entry in entries):
                yield _difference(place, f"an entry like {shown(wanted)}", actual)
        case _ if not _follows(rule, wanted, actual):
            yield _difference(place, f"{rule.removeprefix('$').replace('_', ' ')} {shown(wanted)}", actual)


def _follows(rule: str, wanted: object, actual: object) -> bool:
    number = _number(actual)
    match rule, wanted:
        case "$at_least", int() | float():
            return number is not None and number >= wanted
        case "$at_most", int() | float():
            return number is not None and number <= wanted
        case "$matches", str():
            return isinstance(actual, str) and re.search(wanted, actual) is not None
        case "$lacks", str():
            return isinstance(actual, str) and re.search(wanted, actual) is None
        case "$given", bool():
            return (actual not in (None, "", [], {})) is wanted
    raise ValueError(f"no rule: {rule}: {wanted!r}")


def _is_same(expected: object, actual: object) -> bool:
    is_number = isinstance(expected, int | float) and not isinstance(expected, bool)
    if is_number and not isinstance(actual, bool) and (number := _number(actual)) is not None:
        assert isinstance(expected, int | float)
        return abs(number - expected) <= _TOLERANCE * max(1.0, abs(expected))
    return type(expected) is type(actual) and expected == actual


def _number(value: object) -> float | None:
    """ProtoJSON writes 64-bit numbers as text."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    return value if isinstance(value, int | float) else None
