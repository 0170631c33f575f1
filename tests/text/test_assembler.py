"""Laws of assembling text from tokens."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.text.assembler import TextAssembler

ALPHABET = "ab\u00e9\u4f60\U0001f642"


def assemble(pieces: Sequence[bytes], stops: Sequence[str], *, include_stop: bool = False) -> tuple[list[str], str]:
    assembler = TextAssembler(stops, include_stop=include_stop)
    texts = []
    for piece in pieces:
        result = assembler.feed(piece)
        texts.append(result.text)
        if result.matched_stop:
            return texts, result.matched_stop
    texts.append(assembler.finish())
    return texts, ""


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@given(
    text=st.text(ALPHABET, max_size=40),
    stops=st.lists(st.text(ALPHABET, min_size=1, max_size=4), max_size=3),
    places=st.lists(st.integers(0, 400), max_size=20),
    include_stop=st.booleans(),
)
def test_any_cut_into_tokens_gives_the_text_up_to_the_first_stop(
    text: str, stops: list[str], places: list[int], include_stop: bool
) -> None:
    texts, matched = assemble(cut(text.encode(), places), stops, include_stop=include_stop)
    first_end = min((text.find(stop) + len(stop) for stop in stops if stop in text), default=None)
    joined = "".join(texts)
    if first_end is None:
        assert (joined, matched) == (text, "")
    else:
        # A token may complete several stop sequences at once; the one that begins first ends the text.
        assert matched in stops
        place = text.find(matched)
        assert joined == (text[: place + len(matched)] if include_stop else text[:place])
        assert all(text.find(stop) >= place for stop in stops if stop in text[:first_end])


@given(text=st.text(ALPHABET, max_size=40), places=st.lists(st.integers(0, 400), max_size=20))
def test_a_character_is_never_split(text: str, places: list[int]) -> None:
    texts, _ = assemble(cut(text.encode(), places), [])
    assert "\ufffd" not in "".join(texts)
    assert "".join(texts) == text


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"a\xffb"], "a\ufffdb"),
        ([b"a\xe4", b"\xbd", b"b"], "a\ufffdb"),
        # The model stopped in the middle of a character: there is no character to show.
        ([b"a\xe4\xbd"], "a"),
        ([], ""),
    ],
)
def test_bytes_that_are_no_character(pieces: list[bytes], expected: str) -> None:
    texts, _ = assemble(pieces, [])
    assert "".join(texts) == expected


def test_only_a_possible_beginning_of_a_stop_is_held_back() -> None:
    assembler = TextAssembler(["END"])
    assert assembler.feed(b"one E").text == "one "
    assert assembler.feed(b"N").text == ""
    assert assembler.feed(b"T").text == "ENT"
    assert assembler.finish() == ""


def test_stops_are_not_looked_for_before_they_may_be() -> None:
    assembler = TextAssembler(["."])
    assert assembler.feed(b"1.", may_stop=False).text == "1."
    assert assembler.feed(b"2.3").matched_stop == "."
