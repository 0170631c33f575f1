"""Says whether a full stop, or a line break, ends an English sentence.

A judgement is given once what follows has come, as far as it matters: until then it is None, and what comes later never
changes one that was given. How far that is has a bound.
"""
# ruff: noqa: RUF001  the quotes and stops that it names are meant

import re

# What follows a possible end is looked at so far: more space than that ends a sentence anyway.
_MAX_GAP = 16
_MAX_OPENERS = 3
_MAX_STARTER_LEN = 12
# A line that is longer was broken to fit a page; one that is shorter ended where its writer wanted.
_WRAPPED_LINE_LEN = 55
_LONGEST_TOKEN = 24
# The shortest word that is no abbreviation, where it is not known as one.
_SURE_WORD_LEN = 4

_SPACE = re.compile(r"\s*+")
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_OPENERS = "\"'“‘([{«¿¡*_"
_CLOSERS = "\"'”’)]}»*_"
_CJK_STOPS = "。！？｡"
_LIST_NUMBER = re.compile(r"\d{1,3}|[A-Za-z]|[ivxIVX]{1,5}")
_WORD = re.compile(r"[^\W\d_]+")
_ABBREVIATED_LETTERS = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BEFORE_NAMES = _words(
    "adm approx atty brig capt cf cmdr col cpl dr e.g esp fr gen gov hon i.e lt maj messrs mgr mme mr mrs ms msgr pfc "
    "pres prof pvt rep rev sen sgt supt viz vs"
)
_BEFORE_NUMBERS = _words("art ca ch chap eq eqn fig figs no nos nr p par pg pp sec sect tab vol vols")
_OFTEN_INSIDE = _words(
    "al apr assn aug ave bldg blvd bros ca co corp dec dept div dist est feb fri ft gmbh govt hwy inc jan jr jul jun "
    "llc ln ltd mar mon mt nov oct ph pkwy plc rd rt sat sep sept sq sr st sun thu thur thurs tue tues univ "
    "wed"
)
_ABBREVIATIONS = _BEFORE_NAMES | _BEFORE_NUMBERS | _OFTEN_INSIDE
# With these a sentence begins, where the word before them may be an abbreviation.
_STARTERS = _words(
    "a after all although an and another any are as at because before both but by can did do does during each even for "
    "from had has have he hence her here his how however i if in is it its just let many maybe meanwhile more most my "
    "no not now of on once one only or our perhaps please she since so some soon still such that the their then there "
    "therefore these they this those though through thus to today tomorrow under until was we were what when where "
    "which while who why will with would yes yesterday yet you your"
)


def ends_at_stop(text: str, begin: int, stop: int, after: int, *, opens_line: bool, is_last: bool) -> bool | None:
    """Judges text[stop:after], full stops and the like with the quotes and brackets that close after them.

    The sentence is text[begin:after]. opens_line: it is the first of its line. is_last: no more text will come.
    """
    if after == len(text):
        return True if is_last else None
    if text[stop] in _CJK_STOPS:
        return True
    gap = _gap(text, after)
    if not gap:
        return False
    if len(gap) == _MAX_GAP or _num_breaks(gap) > 1:
        return True
    head = _head(text, after + len(gap))
    if head == len(text):
        return True if is_last else None
    marks = text[stop:after]
    token = _token_before(text, begin, stop)
    if text[head].islower():
        return _is_sure_end(marks, token)
    if marks.rstrip(_CLOSERS) != ".":
        return True
    return _ends_at_point(token, text, head, opens=opens_line and stop == begin + len(token), is_last=is_last)


def ends_at_break(text: str, stop: int, after: int, *, line_len: int, is_last: bool) -> bool | None:
    """Judges text[stop:after], one or more line breaks with the space after them.

    line_len: how long the line before is, of which text[:stop] has the end at least.
    """
    gap = text[stop:after]
    if _num_breaks(gap) > 1 or len(gap) >= _MAX_GAP:
        return True
    if after == len(text):
        return True if is_last else None
    while stop and text[stop - 1].isspace():
        stop -= 1
    last = text[stop - 1 : stop]
    if last in {":", ";"}:
        return True
    if text[after].islower() or last == ",":
        return False
    return line_len < _WRAPPED_LINE_LEN or not text[after].isalpha()


def ends_paragraph(text: str, place: int) -> bool:
    """Says whether an empty line or the like follows, so near that it was known when the sentence before it ended."""
    # Nothing has to follow these.
    return text[place - 1 : place] not in _CJK_STOPS and _num_breaks(_gap(text, place)) > 1


def last_line_start(text: str) -> int:
    """Returns where the last line of a text begins."""
    start = 0
    for found in _LINE_BREAK.finditer(text):
        start = found.end()
    return start


def _num_breaks(gap: str) -> int:
    return len(_LINE_BREAK.findall(gap)) + gap.count("\u2029") + gap.count("\f")


def _gap(text: str, place: int) -> str:
    space = _SPACE.match(text, place, place + _MAX_GAP)
    return space[0] if space else ""


def _head(text: str, place: int) -> int:
    """Returns the place of the first character of the word that follows."""
    end = min(len(text), place + _MAX_OPENERS)
    while place < end and text[place] in _OPENERS:
        place += 1
    return place


def _token_before(text: str, begin: int, stop: int) -> str:
    tokens = text[max(begin, stop - _LONGEST_TOKEN) : stop].split()
    return tokens[-1].lstrip(_OPENERS) if tokens else ""


def _is_sure_end(marks: str, token: str) -> bool:
    """Judges an end that a small letter follows: "Really?" he said; but people write without capitals, too."""
    if len(marks) > 1 or marks == "…":
        return False
    return marks != "." or (
        len(token) >= _SURE_WORD_LEN and token.isalpha() and token.islower() and token not in _ABBREVIATIONS
    )


def _ends_at_point(token: str, text: str, head: int, *, opens: bool, is_last: bool) -> bool | None:
    """Judges a lone full stop after a token; the word that follows begins at head, and with no small letter."""
    if opens and _LIST_NUMBER.fullmatch(token):
        return False
    word = token.lower()
    if word in _BEFORE_NAMES:
        return False
    if word in _BEFORE_NUMBERS and text[head].isdigit():
        return False
    is_letter = len(word) == 1 and word.isalpha()
    if not is_letter and word not in _OFTEN_INSIDE and not _ABBREVIATED_LETTERS.fullmatch(word):
        return True
    following = _WORD.match(text, head, head + _MAX_STARTER_LEN + 1)
    if following is None:
        return False
    if following.end() == len(text) and not is_last and len(following[0]) <= _MAX_STARTER_LEN:
        return None
    # An initial is no article and no pronoun: J. A. Smith.
    is_initial = len(following[0]) == 1 and text[following.end() : following.end() + 1] == "."
    return following[0].lower() in _STARTERS and not is_initial
