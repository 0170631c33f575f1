"""Captions as SubRip and WebVTT."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium_server.speech.captions import (
    MAX_CUE_S,
    MAX_LINE_LEN,
    MAX_LINES,
    Captioned,
    TimedWord,
    make_cues,
    srt,
    webvtt,
)


def said(text: str, start_s: float, end_s: float, *times: tuple[float, float]) -> Captioned:
    words = [TimedWord(text=w, start_s=a, end_s=b) for w, (a, b) in zip(text.split(), times, strict=False)]
    return Captioned(text=text, start_s=start_s, end_s=end_s, words=words)


TWO = [said("Good evening.", 0.5, 1.25), said("If a < b & b > c, go --> there.", 3661.0, 3663.5)]


def test_subrip_is_numbered_and_has_commas() -> None:
    assert srt(TWO) == (
        "1\n00:00:00,500 --> 00:00:01,250\nGood evening.\n\n"
        "2\n01:01:01,000 --> 01:01:03,500\nIf a < b & b > c, go --> there.\n\n"
    )


def test_webvtt_has_a_header_and_escapes() -> None:
    assert webvtt(TWO) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nGood evening.\n\n"
        "01:01:01.000 --> 01:01:03.500\nIf a &lt; b &amp; b &gt; c, go --&gt; there.\n\n"
    )


def test_nothing_said_is_a_file_without_cues() -> None:
    silent = [said("  \n ", 0, 3)]
    assert (srt([]), webvtt([]), srt(silent)) == ("", "WEBVTT\n\n", "")


def test_lines_are_of_about_the_same_length() -> None:
    (cue,) = make_cues([said("It was the best of times, it was the worst of times.", 0, 4)])
    assert cue.lines == ("It was the best of times,", "it was the worst of times.")


def test_a_long_text_is_cut_where_its_words_are() -> None:
    text = " ".join(f"word{number:02}" for number in range(20))
    times = [(number * 0.5, number * 0.5 + 0.4) for number in range(20)]
    first, second = make_cues([said(text, 0, 10, *times)])
    assert (first.start_ms, first.end_ms) == (0, 5_900)
    assert (second.start_ms, second.end_ms) == (6_000, 9_900)
    assert " ".join(first.lines).endswith("word11")


def test_without_times_a_text_is_spoken_at_one_pace() -> None:
    text = " ".join(["seven77"] * 24)
    cues = make_cues([said(text, 10, 22)])
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(10_000, 15_000), (15_000, 20_000), (20_000, 22_000)]


def test_a_pause_parts_cues() -> None:
    cues = make_cues([said("one two", 0, 20, (0, 1), (19, 20))])
    assert [(cue.start_ms, cue.end_ms, cue.lines) for cue in cues] == [
        (0, 1_000, ("one",)),
        (19_000, 20_000, ("two",)),
    ]


def test_times_of_other_words_are_not_believed() -> None:
    # Text that was changed after it was recognised: there are more words than times.
    cues = make_cues([said("three words here", 2, 5, (2, 3))])
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [(2_000, 5_000)]


@pytest.mark.parametrize("text", ["x" * 200, "漢" * 130])
def test_a_word_longer_than_a_line_is_cut(text: str) -> None:
    cues = make_cues([said(text, 0, 6)])
    assert "".join(line for cue in cues for line in cue.lines) == text


def test_cues_begin_in_the_order_of_time() -> None:
    cues = make_cues([said("second", 4, 5), said("first", 1, 2), said("meanwhile", 4.5, 6)])
    assert [cue.lines[0] for cue in cues] == ["first", "second", "meanwhile"]


_SEGMENT = st.builds(
    lambda text, start, length, times: said(text, start, start + length, *times),
    st.text("ab.,<&> \n漢", max_size=300),
    st.floats(0, 1e5),
    st.floats(0, 60),
    st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)), max_size=40),
)


@settings(max_examples=300)
@given(segment=_SEGMENT)
def test_cues_keep_their_promises(segment: Captioned) -> None:
    cues = make_cues([segment])
    assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == "".join(segment.text.split())
    for cue in cues:
        assert 1 <= len(cue.lines) <= MAX_LINES
        assert all(0 < len(line) <= MAX_LINE_LEN for line in cue.lines)
        assert 0 < cue.end_ms - cue.start_ms <= MAX_CUE_S * 1000
    for cue, after in pairwise(cues):
        assert cue.end_ms <= after.start_ms
    clock = r"\d{2,}:\d\d:\d\d"
    assert len(re.findall(rf"^{clock},\d{{3}} --> {clock},\d{{3}}$", srt([segment]), re.MULTILINE)) == len(cues)
    assert len(re.findall(rf"^{clock}\.\d{{3}} --> {clock}\.\d{{3}}$", webvtt([segment]), re.MULTILINE)) == len(cues)
