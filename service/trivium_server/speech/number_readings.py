"""Numbers that the reader of plain words would misread, as it reads them right: ranges, ratios, phones, dates."""
# ruff: noqa: RUF001  the dashes and marks that it names are meant

import re
from collections.abc import Callable

from trivium_server.speech.traced_text import Rule, table

NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,5}|\d{1,15})(?:\.\d{1,15})?"
"""As English writes it."""

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = table(
    "Mon Monday; Tue Tuesday; Tues Tuesday; Wed Wednesday; Thu Thursday; Thur Thursday; Thurs Thursday; "
    "Fri Friday; Sat Saturday; Sun Sunday"
)
_WEEKDAY = "|".join(sorted(_WEEKDAYS, key=len, reverse=True))
_MONTH = "|".join(name[:3] for name in _MONTHS)
_PARTS = table(
    "½ a half; ⅓ a third; ¼ a quarter; ⅕ a fifth; ⅙ a sixth; ⅛ an eighth; ⅔ two thirds; ¾ three quarters; "
    "⅖ two fifths; ⅗ three fifths; ⅘ four fifths; ⅚ five sixths; ⅜ three eighths; ⅝ five eighths; "
    "⅞ seven eighths"
)
_NTHS = ("", "", "half", "third", "quarter", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_LOCAL_PHONE = re.compile(r"\d{3}-\d{4}")
_MAX_OCTET = 255


def _put(new: str) -> Callable[[re.Match[str]], str]:
    return lambda _: new


def _spelled(found: re.Match[str]) -> str:
    """Digit by digit, with a pause where there was a gap."""
    groups = ", ".join(" ".join(group) for group in re.findall(r"\d+", found["new"]))
    return f"plus {groups}" if found["new"].startswith("+") else groups


def _long_number(found: re.Match[str]) -> str:
    digits = found[0]
    return digits if digits.endswith("000000") and not digits.startswith("0") else " ".join(digits)


def _range(found: re.Match[str]) -> str:
    return found["new"] if _LOCAL_PHONE.fullmatch(found[0]) else " to "


def _ratio(found: re.Match[str]) -> str:
    first, second = found[1], found[3]
    is_time = len(second) == len("00") and int(first) <= 24 and int(second) <= 59
    return found["new"] if is_time else " to "


def _mixed(found: re.Match[str]) -> str:
    above, below = int(found[2]), int(found[3])
    if not 0 < above < below < len(_NTHS):
        return found["new"]
    nth = _NTHS[below]
    return f" and {'an' if nth == 'eighth' else 'a'} {nth}" if above == 1 else f" and {above} {nth}s"


def _dotted(found: re.Match[str]) -> str:
    """A date, thousands, an address of the internet, or a version."""
    parts = found[0].split(".")
    day, month, *rest = map(int, parts)
    if len(parts) == 3 and len(parts[2]) == 4 and 1 <= day <= 31 and 1 <= month <= 12:
        return f"{day} {_MONTHS[month - 1]} {rest[0]}"
    if all(len(part) == 3 for part in parts[1:]) and len(parts[0]) <= 3 and parts[0] != "0":
        return ",".join(parts)
    is_address = len(parts) == 4 and max(day, month, *rest) <= _MAX_OCTET
    return (" dot " if is_address else " point ").join(parts)


def _power(found: re.Match[str]) -> str:
    sign, digits = found[3], found[4]
    return f" times 10 to the power of {'minus ' if sign == '-' else ''}{int(digits)}"


NUMBER_RULES: tuple[Rule, ...] = (
    # 2024-10-12T14:30Z
    (re.compile(r"(?<=\d-\d\d)T(?=\d\d:\d\d)"), _put(" at ")),
    (re.compile(r"(?<=:\d\d)Z(?!\w)"), _put(" UTC")),
    (
        re.compile(r"(?<![\w./-])(\d{1,2})-(\d{1,2})-(\d{4})(?![\w/-])"),
        lambda found: "/".join(found.groups()),
    ),
    (
        re.compile(r"(?<![\w.])(?P<new>(\d{1,2})\.(\d\d)\s?)(?=[AaPp]\.?[Mm](?!\w))"),
        lambda found: f"{found[2]}:{found[3]} ",
    ),
    (
        re.compile(r"(?:(?<=\d[AaPp][Mm])|(?<=:\d\d)|(?<=\s[AaPp][Mm]))\s?[-–]\s?(?=\d{1,2}(?::\d\d|\s?[AaPp][Mm]))"),
        _put(" to "),
    ),
    (
        re.compile(
            rf"(?<!\w)(?P<new>(?P<day>{_WEEKDAY})(?:\.(?= ))?)(?=\.?,? (?:{_MONTH}|\d)|\s?[-–]\s?(?:{_WEEKDAY})(?!\w))"
        ),
        lambda found: _WEEKDAYS[found["day"]],
    ),
    (re.compile(rf"(?<=day)(?P<new>\s?[-–]\s?)(?=(?:{_WEEKDAY})(?!\w))"), _put(" to ")),
    (re.compile(rf"(?<=day to )(?P<day>{_WEEKDAY})(?!\w)"), lambda found: _WEEKDAYS[found["day"]]),
    (
        re.compile(r"(?<![\w.:])\d{1,2}(?P<new>\s?([AaPp])\.?[Mm](?P<stop>\.(?!$))?)(?!\w)"),
        lambda found: f" {found[2].upper()}.M{'' if found.string[found.end() :].startswith('.') else '.'}",
    ),
    # Phones.
    (
        re.compile(r"(?<![\w.\-(])(?P<new>(?:\+?1[-. ]?)?(?:\(\d{3}\)\s?|\d{3}[-. ])\d{3}[-. ]\d{4})(?![\w\-])"),
        _spelled,
    ),
    (re.compile(r"(?<![\w.\-(])(?P<new>\+\d{1,3}(?:[-. ]?\(?\d{1,4}\)?){2,6})(?![\w\-])"), _spelled),
    (re.compile(r"(?i)\b(?:call|dial|ring|text)(?:s|ed|ing)? (?P<new>\d{3,6})(?![\w:.,%-]\w|\w)"), _spelled),
    # 1.0.2, 10.0.0.1, 1.000.000, 12.10.2024
    (re.compile(r"(?<!\w)v(?=\d{1,9}\.\d)"), _put("version ")),
    (re.compile(r"(?<![\w.])\d{1,9}(?:\.\d{1,9}){2,8}(?![\w])"), _dotted),
    (
        re.compile(r"(?<![\w.,])\d{1,3}(?:(?:[\u00a0\u2009\u202f]\d{3})+|(?: \d{3}){2,})(?!\w)"),
        lambda found: "".join(found[0].split()),
    ),
    (re.compile(r"(?<![\w.,:/$£€¥-])(?:0\d{2,14}|\d{10,15})(?![\w:/-]|[.,]\d)"), _long_number),
    # 2.0
    (
        re.compile(r"(?<![\w.,$£€¥₹₩])\d{1,15}(?P<new>\.(\d{0,14}0))(?!\w|[.,]\d)"),
        lambda found: f" point {' '.join(found[2])}",
    ),
    # 1.5e-3
    (re.compile(rf"(?<![\w.]){NUMBER}(?P<new>([eE])([+-]?)(\d{{1,3}}))(?!\w)"), _power),
    # 2½, 2 1/2
    (re.compile(rf"(?<=\d)\s?([{''.join(_PARTS)}])"), lambda found: f" and {_PARTS[found[1]]}"),
    (re.compile(r"(?<![\w/.,-])\d{1,4}(?P<new> (\d)/(\d{1,2}))(?![\w/])"), _mixed),
    # 16:9, 5-10%, 3x4
    (re.compile(r"(?<![\w:.])(\d{1,3})(?P<new>:)(\d{1,3})(?![\w:]|\.\d)"), _ratio),
    (re.compile(rf"(?<![\w.,/:+–-]){NUMBER}%?(?P<new>[-–]){NUMBER}(?![\d/:–-]|[.,]\d)"), _range),
    (re.compile(r"(?<=\d)(?<!\b0)\s?[xX]\s?(?=\d)"), _put(" by ")),
    (re.compile(r"(?<=\d)x(?!\w)"), _put(" times")),
    # ~5, <5
    (re.compile(r"~\s?(?=[$£€¥]?\d)"), _put("about ")),
    (re.compile(r"(?<!\S)<\s?(?=[$£€¥]?\d)"), _put("less than ")),
    (re.compile(r"(?<!\S)>\s?(?=[$£€¥]?\d)"), _put("more than ")),
    (re.compile(r"(?<!\S)(?:--?|=)>(?!\S)"), _put("to")),
    (re.compile(r"(?<![\w/])(?:24/7|50/50|9/11)(?![\w/])"), lambda found: found[0].replace("/", " ")),
)
