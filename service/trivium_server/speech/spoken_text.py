"""Rewrites text so that an English reader of plain words can speak it, and keeps track of where each word was.

Drops what has no sound, and what the reader would take for something else than text; spells out addresses; puts into
words what the reader would misread; breaks up what would take the reader long. The other numbers, dates and
abbreviations are left: the reader knows them.
"""
# ruff: noqa: RUF001  the quotes, dashes and letters that it names are meant

import bisect
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trivium_server.speech.addresses import address_words
from trivium_server.speech.money_readings import MONEY_RULES
from trivium_server.speech.number_readings import NUMBER_RULES
from trivium_server.speech.traced_text import TracedText
from trivium_server.speech.word_readings import WORD_RULES

_RULES = (*MONEY_RULES, *NUMBER_RULES, *WORD_RULES)
_WORD = re.compile(r"\S+")

# A unit is spoken as one part of a sentence: a word with its punctuation, or a dash between two.
_UNIT = re.compile(r"—|--+|(?:(?!—|--)\S)+")
_LETTER_RUN = re.compile(r"[^\W\d_]{25,}")
_MAX_LETTERS = 24
_DIGIT_RUN = re.compile(r"\d{16,}")
_COMMA_NUMBER = re.compile(r"\d+(?:,\d+)+")
_GROUPED_NUMBER = re.compile(r"\d{1,3}(?:,\d{3}){1,4}")
# Beyond so many changes between letters, digits and marks a unit is broken up: the reader tries all parts of one.
_MAX_RUNS = 10
_STOPS = ",.;:!?"
_RUN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]|\d+|[\W_]")
_RULE = re.compile(r"([^\w\s.!?])\1{2,}")
_SHARP = re.compile(r"(?<![^\W_])([A-G])#")
# Marks that mean something to the reader beside those of ASCII.
_SPOKEN_MARKS = frozenset("€£¥₹₩°¢§±×÷→½¼¾²³µ…—–‘’“”©")
_REPLACED = str.maketrans(
    {"[": "(", "]": ")", "{": "(", "}": ")", "`": " ", "\\": " ", "|": " ", "_": " ", "*": " ", "«": "“", "»": "”"}
    | {"‐": "-", "‑": "-", "‒": "-", "―": "—", "−": "-", "„": "“", "‚": "‘", "′": "'", "″": '"', "ʼ": "'", "⁄": "/"}
    | {"≈": " about ", "≤": " at most ", "≥": " at least ", "≠": " is not ", "√": " the root of ", "∞": " infinity "}
    | {"。": ". ", "、": ", ", "・": " ", "™": " ", "®": " ", "•": " ", "←": " ", "¶": " "}
)
_MATHS = re.compile(r"(?<=[\w)])\s?\*\s?(?=\d)")
_ALPHABETS = ("LATIN ", "GREEK ")
# Characters of these categories stand for nothing of their own.
_UNSEEN = frozenset({"Cf", "Mn", "Me"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A word as it will be read, and where it was: text[start:end]. It is read without space in it."""

    text: str
    start: int
    end: int


def speakable_units(text: str) -> list[Unit]:
    """Returns what there is to be read in a text, in order.

    Several units may be of the same place, and places may overlap: then they are of one word, which may have space in
    it where what was written in several is read as one.
    """
    units: list[Unit] = []
    start = 0
    for found in _WORD.finditer(text):
        address = list(address_words(_plain(found[0])))
        if address:
            units += _read(text, start, found.start())
            parts = [short for part in address for short in _LETTER_RUN.sub(_broken, part).split()]
            units += [Unit(text=part, start=found.start(), end=found.end()) for part in parts]
            start = found.end()
    units += _read(text, start, len(text))
    return units


def _read(text: str, first: int, last: int) -> Iterator[Unit]:
    """Yields the units of text[first:last], which holds no address."""
    original = text[first:last]
    traced = TracedText.of(original)
    for rule in _RULES:
        traced = traced.replaced(rule)
    places = [found.span() for found in _UNIT.finditer(original)]
    for found in _UNIT.finditer(traced.text):
        # Whole units of the original: those that hold its first character that is no space, and its last.
        start, end = traced.starts[found.start()], traced.ends[found.end() - 1]
        read = original[start:end]
        first_place = _place_of(places, end - len(read.lstrip()))
        last_place = _place_of(places, start + len(read.rstrip()) - 1)
        for part in _parts(found[0]):
            yield Unit(text=part, start=first + first_place[0], end=first + last_place[1])


def _place_of(places: Sequence[tuple[int, int]], character: int) -> tuple[int, int]:
    """Returns the last of the places that begins at a character or before it."""
    return places[max(0, bisect.bisect_right(places, character, key=lambda place: place[0]) - 1)]


def _plain(word: str) -> str:
    word = unicodedata.normalize("NFC", "".join(map(_readable, word)))
    return "".join(each for each in word if not unicodedata.combining(each))


def _parts(word: str) -> Iterator[str]:
    """Yields what is read for a word, without space."""
    word = _RULE.sub(_rule, _plain(word))
    word = _SHARP.sub(r"\1 sharp ", _MATHS.sub(" times ", word)).translate(_REPLACED)
    word = _COMMA_NUMBER.sub(_number, word)
    word = _DIGIT_RUN.sub(lambda found: " ".join(found[0]), word)
    word = _LETTER_RUN.sub(_broken, word)
    for part in word.split():
        yield from _short_parts(part)


def _readable(character: str) -> str:
    """Returns what a character is read as, or a space."""
    if character.isascii():
        return character if character.isprintable() else " "
    if character in _SPOKEN_MARKS or ord(character) in _REPLACED:
        return character
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    plain = unicodedata.normalize("NFKC", character).replace("⁄", "/")
    category = unicodedata.category(character)
    if category == "No":
        return f" {plain} " if plain.isascii() else " "
    kept = "".join(each for each in plain if each.isascii() or _is_spoken_letter(each) or unicodedata.combining(each))
    if not kept and category in _UNSEEN:
        return ""
    return kept if kept.isprintable() and kept else " "


def _is_spoken_letter(character: str) -> bool:
    return character.isalpha() and unicodedata.name(character, "").startswith(_ALPHABETS)


def _rule(found: re.Match[str]) -> str:
    """A row of the same mark is a line, and no word; some are read as a dash, or as one of them."""
    mark = found[1]
    return "—" if mark in "-—–" else mark if mark in ",;:\"'()“”" else " "


def _number(found: re.Match[str]) -> str:
    """Commas that do not part thousands part numbers."""
    return found[0] if _GROUPED_NUMBER.fullmatch(found[0]) else found[0].replace(",", ", ")


def _broken(found: re.Match[str]) -> str:
    letters = found[0]
    count = -(-len(letters) // _MAX_LETTERS)
    size = -(-len(letters) // count)
    return " ".join(letters[start : start + size] for start in range(0, len(letters), size))


def _short_parts(part: str) -> Iterator[str]:
    """Breaks up a word that has too many parts of its own.

    The reader puts a word that begins with a stop or the like together with the one before; so it stands alone.
    """
    stops = part[: len(part) - len(part.lstrip(_STOPS))]
    if stops and stops != part:
        part = part[len(stops) :]
        if stops[-1] == "." and part[0].isdigit():
            part = f"0.{part}"
        else:
            yield stops
    runs = _RUN.findall(part)
    for start in range(0, len(runs), _MAX_RUNS):
        short = "".join(runs[start : start + _MAX_RUNS])
        yield short.lstrip(_STOPS) or short if start else short
