"""Abbreviations and Roman numbers that the reader of plain words would misread, written as it reads them right."""

# ruff: noqa: RUF001  the quotes that it names are meant

import re

from hibari.g2p.normalize import ROMAN_ORDINAL

from trivium_server.speech.traced_text import Rule, table

_ABBREVIATIONS = table(
    "dept department; govt government; misc miscellaneous; incl including; tel telephone; ext extension; "
    "max maximum; temp temperature; attn attention; esp especially; asst assistant; mgr manager; "
    "intl international; natl national; ref reference; para paragraph; resp respectively; avg average; "
    "qty quantity; hrs hours"
)
_ROADS = table("Blvd Boulevard; Hwy Highway; Pkwy Parkway")
_AFTER_NAMES = table("Ave Avenue; Rd Road; Ln Lane")
_SPOKEN = {"JSON": "Jason", "nginx": "engine X", "CO2": "C.O. 2", "CO₂": "C.O. 2"}
_ROMAN = re.compile(r"(X{0,3})(IX|IV|V?I{0,3})")
_ONES = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
_NO_NAMES = frozenset({"A", "An", "The", "And", "Or", "In", "On", "At", "For", "With", "By", "From", "To", "Of", "My"})
_NO_VOWEL = re.compile(r"[^AEIOUY]{4}")
_KINGS = tuple(ROMAN_ORDINAL)
_TEEN = range(10, 20)


def _value(roman: str) -> int:
    """Returns what a Roman number is, up to 39; 0 for what is none."""
    found = _ROMAN.fullmatch(roman)
    return 10 * len(found[1]) + _ONES.index(found[2]) if found else 0


def _ordinal(found: re.Match[str]) -> str:
    value = _value(found["roman"])
    if not value:
        return found["new"]
    ending = "th" if value in _TEEN else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"


def _after_name(found: re.Match[str]) -> str:
    """The names of kings are left to the reader, who knows them."""
    value = _value(found["new"])
    is_known = found[1] in _NO_NAMES or found.string[: found.end(1)].endswith(_KINGS)
    return str(value) if value and not is_known else found["new"]


def _shouted(found: re.Match[str]) -> str:
    """A name in capitals is read, not spelled, where it can be."""
    return found[0] if _NO_VOWEL.search(found[0]) else found[0].capitalize()


def _cased(found: re.Match[str]) -> str:
    word = found["word"]
    full = _ABBREVIATIONS[word.lower()]
    return full.capitalize() if word[0].isupper() else full


WORD_RULES: tuple[Rule, ...] = (
    (re.compile(r"(?<![\w.])(?:e\.\s?g\.|eg\.)(?=[\s,])"), lambda _: "for example"),
    (re.compile(r"(?<![\w.])(?:i\.\s?e\.|ie\.)(?=[\s,])"), lambda _: "that is"),
    (re.compile(r"(?<![\w.])(?P<new>[pP]\.) ?(?=\d)"), lambda _: "page"),
    (re.compile(rf"(?<![\w.])(?P<new>(?P<word>(?i:{'|'.join(_ABBREVIATIONS)}))(?:\.(?=\s)|(?=\.(?!\w))))"), _cased),
    (re.compile(r"(?<!\w)(?P<new>min\.)(?= \d)"), lambda _: "minimum"),
    (re.compile(rf"(?<![\w.])(?:{'|'.join(_ROADS)})(?![\w.])"), lambda found: _ROADS[found[0]]),
    (
        re.compile(rf"(?<=[a-z] )(?:{'|'.join(_AFTER_NAMES)})(?![\w.'’])(?! [A-Z][a-z]+a\b)"),
        lambda found: _AFTER_NAMES[found[0]],
    ),
    (re.compile(r"(?<=[a-z] )St(?=,|$)"), lambda _: "Street"),
    (re.compile(r"(?<=[a-z] )(?P<new>Dr)(?=\.?,|\.?$)"), lambda _: "Drive"),
    (re.compile(rf"(?<!\w)(?:{'|'.join(_SPOKEN)})(?!\w)"), lambda found: _SPOKEN[found[0]]),
    (re.compile(r"(?<![\w.])[A-Z]{6,20}(?!\w)"), _shouted),
    (re.compile(r"(?<!\w)(?P<new>(?P<roman>[IVX]{1,7})(?:st|nd|rd|th)?)(?=[\s-]+(?:[Cc]entur|[Dd]ynast))"), _ordinal),
    (re.compile(r"(?<!\w)([A-Z][a-z]+) (?P<new>[IVX]{2,6})(?![\w.'’-]\w|\w)"), _after_name),
)
