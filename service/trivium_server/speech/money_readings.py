"""Amounts of money and of other things that the reader of plain words would misread, written as it reads them right."""
# ruff: noqa: RUF001  the dashes and marks that it names are meant

import re
from collections.abc import Callable

from trivium_server.speech.number_readings import NUMBER
from trivium_server.speech.traced_text import Rule, table

_SIGN = "[$£€¥₹₩]"
_SIZES = table("k thousand; m million; mm million; mn million; b billion; bn billion; tn trillion")
_SIZE = r"hundred|thousand|million|billion|trillion"
_SHORT_SIZE = r"(?:[kKmMbB]|bn|mn|mm|tn)(?!\w)"
_COINS = table("$ dollars; £ pounds; € euros; ¥ yen; ₹ rupees; ₩ won")
_OTHER_DOLLARS = table(
    "US U.S.; A Australian; AU Australian; C Canadian; CA Canadian; HK Hong Kong; NZ New Zealand; S Singapore"
)
_CODES = table(
    "USD U.S. dollars; EUR euros; GBP pounds; CHF Swiss francs; JPY yen; CNY yuan; CAD Canadian dollars; "
    "AUD Australian dollars; INR rupees; KRW won; BRL reais; SEK Swedish kronor; NOK Norwegian kroner; "
    "DKK Danish kroner; PLN zlotys; MXN pesos"
)
_CODE = "|".join(_CODES)
# Those that the reader does not know, or not with what may stand before and after them.
_UNITS = table(
    "m meter; g gram; l liter; L liter; h hour; W watt; V volt; dB decibel; mW milliwatt; mV millivolt; "
    "kV kilovolt; mA milliamp; kJ kilojoule; kcal kilocalorie; cl centiliter; dl deciliter; mL milliliter; "
    "ha hectare; kPa kilopascal; hPa hectopascal; ns nanosecond; µs microsecond; μs microsecond; "
    "μm micrometer; μg microgram; Ω ohm; kΩ kiloohm; PB petabyte; TW terawatt; MWh megawatt hour; "
    "Wh watt hour; Kbps kilobit per second; kbps kilobit per second; px pixel; wk week; wks week; yr year; "
    "yrs year; mo month; mos month; m² square meter; km² square kilometer; cm² square centimeter; "
    "mm² square millimeter; ft² square foot; m³ cubic meter; cm³ cubic centimeter; m/s meter per second; "
    "km/s kilometer per second; gal gallon; m/s² meter per second squared; kg/m³ kilogram per cubic meter; "
    "tsp teaspoon; tbsp tablespoon"
)
_SAME = table("rpm R.P.M.; bpm beats per minute; psi P.S.I.; ppm parts per million; GT/s gigatransfers per second")
_UNIT = "|".join(re.escape(unit) for unit in sorted([*_UNITS, *_SAME], key=len, reverse=True))
_PER = table(
    "s second; sec second; min minute; h hour; hr hour; hour hour; d day; day day; night night; wk week; "
    "week week; mo month; month month; yr year; year year; person person; user user; kg kilogram; lb pound; "
    "GB gigabyte; kWh kilowatt hour; piece piece; unit unit; token token; mile mile; km kilometer"
)
_ONE = frozenset({"1", "1.0", "-1"})


def _size(found: re.Match[str], group: int) -> str:
    size = found[group] or ""
    return f" {_SIZES.get(size.lower(), size)}" if size else ""


def _amount_range(found: re.Match[str]) -> str:
    sign, low, high = found[1], found[2], found[4]
    size = _size(found, 5)
    if "." in low + high and not size:
        return f"{sign}{low} to {found[3] or sign}{high}"
    if found[3] not in {None, sign}:
        return found[0]
    return f"{low} to {high}{size} {_COINS[sign]}"


def _unit(found: re.Match[str]) -> str:
    number, unit = found[1], found[3]
    if unit in _SAME:
        return f" {_SAME[unit]}"
    name = _UNITS[unit]
    return f" {name if number in _ONE else _plural(name)}"


def _plural(name: str) -> str:
    first, *rest = name.split(" per ")
    many = "square feet" if first == "square foot" else f"{first}s"
    return " per ".join([many, *rest])


def _sized(found: re.Match[str]) -> str:
    return f" {_SIZES[found['new'].strip().lower()]}"


def _in_coin(coins: dict[str, str], coin: int, number: int, size: int) -> Callable[[re.Match[str]], str]:
    return lambda found: f"{found[number]}{_size(found, size)} {coins[found[coin]]}"


_DOLLARS = {name: f"{whose} dollars" for name, whose in _OTHER_DOLLARS.items()}

MONEY_RULES: tuple[Rule, ...] = (
    (re.compile(rf"(?<![\w)])[-−–](?={_SIGN}\s?\d)"), lambda _: "minus "),
    (re.compile(rf"({_SIGN})[-−](?=\d)"), lambda found: f"minus {found[1]}"),
    (re.compile(r"(?<![\w.,])(\d{1,6}),(\d\d)\s?€(?!\w)"), lambda found: f"€{found[1]}.{found[2]}"),
    (
        re.compile(rf"(?<![\w$])({'|'.join(_DOLLARS)})\$\s?({NUMBER})(?:\s?({_SIZE}|{_SHORT_SIZE}))?"),
        _in_coin(_DOLLARS, 1, 2, 3),
    ),
    (
        re.compile(rf"(?<![\w.,$£€¥])({NUMBER})(?:\s?({_SIZE}|{_SHORT_SIZE}))?\s?({_CODE})(?!\w)"),
        _in_coin(_CODES, 3, 1, 2),
    ),
    (re.compile(rf"(?<!\w)({_CODE})\s?({NUMBER})(?:\s?({_SIZE}|{_SHORT_SIZE}))?"), _in_coin(_CODES, 1, 2, 3)),
    (
        re.compile(rf"(?<![\w.,$£€¥₹₩])({NUMBER})(?:\s?({_SIZE}|{_SHORT_SIZE}))?\s?({_SIGN})(?![\w$£€¥])"),
        lambda found: f"{found[3]}{found[1]}{_size(found, 2)}",
    ),
    (
        re.compile(rf"({_SIGN})({NUMBER})\s?[-–—]\s?({_SIGN})?({NUMBER})(?:\s?({_SIZE}|{_SHORT_SIZE}))?(?![\d.,-]\d)"),
        _amount_range,
    ),
    (re.compile(rf"{_SIGN}{NUMBER}(?P<new>\s?(?:bn|mn|mm|tn))(?!\w)"), _sized),
    (re.compile(rf"(?<![\w.,]){NUMBER}(?P<new>\s?bn|[MB](?= [a-z]{{3}}))(?!\w)"), _sized),
    (re.compile(rf"\d\w{{0,2}}(?P<new>/({'|'.join(_PER)}))(?![\w/])"), lambda found: f" per {_PER[found[2]]}"),
    (re.compile(rf"(?<![\w.,$£€¥₹₩])(-?{NUMBER})(?P<new>\s?({_UNIT}))(?![\w²³/'’])"), _unit),
    (
        re.compile(rf"(?<![\w.,$£€¥₹₩])(-?{NUMBER})(?P<new> s)(?![\w/'’])"),
        lambda found: " second" if found[1] in _ONE else " seconds",
    ),
    (
        re.compile(rf"(?<![\w.,$£€¥])({NUMBER})(?P<new>\s?in)\.(?=\s|$|[,;)])"),
        lambda found: " inch" if found[1] in _ONE else " inches",
    ),
    (re.compile(r"(?<![\w.,\"“])(\d{1,2})['’′]\s?(\d{1,2})[\"”″]"), lambda found: f"{found[1]} foot {found[2]}"),
    (re.compile(r"(?<=\d)″"), lambda _: " inches"),
    (re.compile(r"(?<=\d)′"), lambda _: " feet"),
)
