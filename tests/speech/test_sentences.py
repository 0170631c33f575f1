"""How text is cut into sentences, whole and as it comes."""
# ruff: noqa: RUF001  the quotes and stops that it names are meant

import itertools
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trivium_server.speech.sentences import SentenceSplitter, split_sentences
from trivium_server.speech.text_piece import TextPiece

_MAX_LEN = 120
# Whatever the rules look at, near each other.
_PARTS = st.sampled_from(
    [
        *"abTI19.!?…。,;:—\"')]}( \n\t\r\u2029*-",
        *(
            "\r\n",
            "\n\n",
            "Mr.",
            "e.g.",
            "p.m.",
            "U.S.",
            "Inc.",
            "No.",
            "The ",
            "so ",
            "etc. ",
            "word ",
            "Word ",
            "1. ",
        ),
        *("- ", "https://a.b/c.d?e=f ", "3.14", "😀", "é", "e\u0301", "👍🏽", " " * 20),
    ]
)
_TEXTS = st.lists(_PARTS, max_size=60).map("".join) | st.text(max_size=80)


def sentences(text: str, max_len: int = _MAX_LEN) -> list[str]:
    return [piece.text for piece in split_sentences(text, max_len)]


def streamed(text: str, cuts: list[int], max_len: int) -> list[TextPiece]:
    splitter = SentenceSplitter(max_len)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [piece for start, end in itertools.pairwise(places) for piece in splitter.push(text[start:end])]
    return pieces + splitter.flush()


@pytest.mark.parametrize(
    "expected",
    [
        ["Hello there.", "How are you?", "Fine!"],
        ["Dr. Smith met Mrs. Jones at St. Mary's, e.g. on Jan. 5th.", "Then they left."],
        ["J. R. R. Tolkien and George W. Bush never met.", "C. S. Lewis did."],
        ["By J. A. Smith and I. Newton.", "It is older than I.", "She said so."],
        ["It is 3.14, or $9.99, or version 2.0.1.", "Is it?"],
        ["He works at Acme Inc. in Boston.", "She left Acme Inc.", "The firm closed."],
        ["At 5 p.m. Monday we met.", "We left at 6 p.m.", "Then it rained."],
        ["The U.S. Army came to the U.S.", "It stayed."],
        ["See No. 5 and pp. 3 to 7.", "She said no.", "Well."],
        ["In 2019.", "15 people came."],
        ["“Stop.”", "He stopped.", '"Really?" she asked.', "(See below.)", "Next."],
        ["Wait... what?", "Wait…", "What now?!"],
        ["hello there.", "how are you?", "fine.", "no caps at all"],
        ["Read https://example.com/a.b?c=d.", "Or mail john.doe@example.com.", "Thanks."],
        ["1. First do this.", "2. Then do that.", "a. Or this."],
        ["A tail without an end"],
        ["**Bold.**", "And *so on*.", "Done"],
        ["Cats, dogs, etc. and so on.", "Cats, dogs, etc.", "Birds fly."],
    ],
)
def test_sentences_end_where_a_reader_pauses(expected: list[str]) -> None:
    # A list begins on a line of its own.
    separator = "\n" if expected[0].startswith("1.") else " "
    assert sentences(separator.join(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One line\nAnother line\n\nA paragraph", ["One line", "Another line", "A paragraph"]),
        ("Buy:\n- apples\n- pears\n\nThen go", ["Buy:", "- apples", "- pears", "Then go"]),
        ("Soft\nwrapped by\nhand", ["Soft\nwrapped by\nhand"]),
        ("Windows\r\nlines\r\n\r\nhere", ["Windows\r\nlines", "here"]),
        (
            "This line is as long as lines are where text is wrapped, and\nMarie goes on here.",
            ["This line is as long as lines are where text is wrapped, and\nMarie goes on here."],
        ),
        ("这是一句。这是另一句！对吗？", ["这是一句。", "这是另一句！", "对吗？"]),
        ("  Indented.\n   3. Third", ["Indented.", "3. Third"]),
        ("", []),
        (" \n\t ", []),
        ("...", ["..."]),
        ("Stop.\u2029Go", ["Stop.", "Go"]),
    ],
)
def test_lines_and_paragraphs(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize("gap", ["\n\n", " \n \n ", "\r\n\r\n", "\u2029", "\f"])
def test_the_last_sentence_of_a_paragraph_is_told_from_the_others(gap: str) -> None:
    pieces = split_sentences(f"One. Two.{gap}Three\nand four.\nFive{gap}Six.", _MAX_LEN)
    assert [piece.text for piece in pieces if piece.ends_paragraph] == ["Two.", "Five"]


def test_long_sentences_are_cut_at_clauses_then_at_words() -> None:
    clauses = "one two three, four five six, " * 10
    assert all(len(each) <= 40 and each.endswith(("three,", "six,")) for each in sentences(clauses, 40))
    words = sentences("word " * 100, 42)
    assert all(len(each) <= 42 and set(each.split()) == {"word"} for each in words)
    assert [len(each) for each in sentences("a" * 100, 42)] == [42, 42, 16]


def test_the_first_sentence_is_cut_sooner_at_a_clause_and_only_there() -> None:
    clauses = "It is one of these long sentences, as some write them, which go on and on, and have no end, or " * 2
    first, second, *_ = sentences(clauses + "so.", 300)
    assert first == "It is one of these long sentences, as some write them, which go on and on, and have no end,"
    assert len(second) > 100
    splitter = SentenceSplitter(300)
    assert [piece.text for piece in splitter.push(clauses[:102])] == [first]
    splitter.discard()
    assert [piece.text for piece in splitter.push(clauses[:102])] == [first]
    words = (
        "It is one of these sentences that have no commas at all and yet go on and on till somebody thinks of a stop"
    )
    assert sentences(f"{words}. {words}.", 300) == [f"{words}.", f"{words}."]


def test_a_cut_in_a_word_keeps_marks_with_their_letters() -> None:
    for each in [*sentences("xe\u0301" * 100, 40), *sentences("👍🏽" * 100, 41)]:
        assert not each.startswith(("\u0301", "🏽"))


@given(_TEXTS, st.integers(1, 60))
def test_sentences_and_the_space_between_them_are_the_text(text: str, max_len: int) -> None:
    place = 0
    for piece in split_sentences(text, max_len):
        assert text[piece.start : piece.end] == piece.text
        assert piece.text == piece.text.strip() != ""
        assert len(piece.text) <= max_len
        assert not text[place : piece.start].strip()
        place = piece.end
    assert not text[place:].strip()


@given(_TEXTS, st.lists(st.integers(0, 1000), max_size=12), st.integers(1, 60))
@example("He left. The" + " " * 40 + "End", list(range(60)), 50)
@example("a\n" + " " * 40 + "b", list(range(60)), 50)
def test_a_stream_gives_the_sentences_of_the_whole(text: str, cuts: list[int], max_len: int) -> None:
    assert streamed(text, cuts, max_len) == split_sentences(text, max_len)
    assert streamed(text, list(range(len(text))), max_len) == split_sentences(text, max_len)


def test_a_sentence_is_given_out_once_the_next_begins() -> None:
    splitter = SentenceSplitter(_MAX_LEN)
    assert splitter.push("Hello") == splitter.push(" there. ") == []
    (first,) = splitter.push("H")
    assert (first.text, first.start, first.end) == ("Hello there.", 0, 12)
    assert splitter.pending_len == 1


def test_a_flush_ends_a_sentence_anywhere() -> None:
    splitter = SentenceSplitter(_MAX_LEN)
    assert splitter.push("Hel") == []
    assert splitter.flush() == [TextPiece(text="Hel", start=0, end=3)]
    assert splitter.push("lo. X") == [TextPiece(text="lo.", start=3, end=6)]
    splitter.discard()
    assert splitter.pending_len == 0
    assert splitter.flush() == []
    assert splitter.push("Y") == []
    assert splitter.flush() == [TextPiece(text="Y", start=8, end=9)]


def took_s(text: str) -> float:
    """The least time on the processor of three."""
    times = []
    for _ in range(3):
        started = time.thread_time()
        split_sentences(text, 300)
        times.append(time.thread_time() - started)
    return min(times)


def test_a_long_text_is_split_at_once() -> None:
    prose = "Dr. Smith went to the U.S. in Jan. 2019, and he paid $9.99 for it. It was “good,” she said; but was it? "
    # 11 ms on a busy core of 2.5 GHz.
    assert took_s((prose * 200)[:20_000]) < 0.05


@pytest.mark.parametrize(
    "part", [".", "a", " ", "\n", ". ", "a. ", '"', ".\n", "Mr. ", "1,", "I. ", "a\n", "A\n", "ab \n", "a,\n", "a, "]
)
def test_the_time_is_linear_in_the_text(part: str) -> None:
    text = (part * 20_000)[:20_000]
    # At most 12 us for each of 10,000 sentences.
    assert took_s(text) < 0.5
    started = time.thread_time()
    pieces = streamed(text, list(range(len(text))), 300)
    assert time.thread_time() - started < 1.5
    assert sum(len(piece.text) for piece in pieces) >= len("".join(text.split()))
