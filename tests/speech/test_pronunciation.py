"""What is said for a text, and for which of its words."""
# ruff: noqa: RUF001  the letters and marks that it names are meant

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.speech.pronunciation import MAX_LEN, NO_WORD, Pronouncer, Pronunciation

# Whatever has a rule of its own.
_PARTS = st.sampled_from(
    [
        *"aB1 .,'-/&@$%#:()[]{}é½°²—\"=*_~<>|^\\`\n\t…",
        *("$5m", "Dr. ", "St. ", "10/12/2019", "2024-10-12", "9:30am", "No. ", "Jan. ", "VIII", "Chapter ", "[x](/y/)"),
        *("5km", "-3°C", "1st", "555-1234", "www.a.com", "世界", "😀", "'s", "n't ", "\u0301", "\u200d", "\ud800"),
        *("¥5 million ", "1/2", "'90s", "3-4", "1,000,000", "0" * 40, "a" * 30),
    ]
)
_TEXTS = st.lists(_PARTS, max_size=40).map("".join) | st.text(max_size=200)


@pytest.fixture(scope="module")
def pronounce() -> Pronouncer:
    """Reads words that the lexicon does not have as X."""
    return Pronouncer(lambda _: "ˈɛks", is_british=False)


def words(pronounce: Pronouncer, text: str) -> list[str]:
    return [piece.text for piece in pronounce(text)[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello there, world!", ["Hello", "there", "world"]),
        ("“Quoted,” she said.", ["Quoted", "she", "said"]),
        ("Dr. Smith paid $9.99 on 2024-10-12.", ["Dr", "Smith", "paid", "$9.99", "on", "2024-10-12"]),
        ("It's $5 million at 9:30am, or 3rd.", ["It's", "$5", "million", "at", "9:30am", "or", "3rd"]),
        ("From 5 km to -3°C: well-known.", ["From", "5", "km", "to", "-3°C", "well-known"]),
        ("Jan. 5th and Henry VIII", ["Jan", "5th", "and", "Henry", "VIII"]),
        ("this—that — those", ["this", "that", "those"]),
        ("at https://www.example.com/a, in the U.S.", ["at", "https://www.example.com/a", "in", "the", "U.S."]),
        ("世界 and 😀 go", ["and", "go"]),
        ("[say](/nˈO/) it", ["say](/nˈO/", "it"]),
        ("call 555-123-4567 now", ["call", "555-123-4567", "now"]),
        ("don’t can't rock'n'roll", ["don’t", "can't", "rock'n'roll"]),
        ("½ cup, 50% off", ["½", "cup", "50%", "off"]),
        ("...", []),
        ("", []),
        ("世界 😀 \x00", []),
    ],
)
def test_words_are_those_of_the_text(pronounce: Pronouncer, text: str, expected: list[str]) -> None:
    assert words(pronounce, text) == expected


def said(pronounce: Pronouncer, text: str) -> dict[str, str]:
    pronunciation, pieces = pronounce(text)
    return {
        piece.text: "".join(
            phoneme
            for phoneme, owner in zip(pronunciation.phonemes, pronunciation.owners, strict=True)
            if owner == place
        )
        for place, piece in enumerate(pieces)
    }


def test_each_word_has_its_phonemes(pronounce: Pronouncer) -> None:
    assert said(pronounce, "Hello, zxqv: it costs $2.") == {
        "Hello": "həlˈO",
        "zxqv": "ˈɛks",
        "it": "ɪt",
        "costs": "kˈɔsts",
        "$2": "tˈudˈɑləɹz",
    }


def test_markup_of_phonemes_is_read_as_text(pronounce: Pronouncer) -> None:
    assert "nˈO" not in pronounce("[say](/nˈO/) it")[0].phonemes


def test_british_readers_read_otherwise() -> None:
    british = Pronouncer(lambda _: "", is_british=True)
    assert british("Hello.")[0].phonemes == "həlˈQ."


@given(text=_TEXTS)
def test_any_text_can_be_read(pronounce: Pronouncer, text: str) -> None:
    pronunciation, pieces = pronounce(text)
    assert len(pronunciation.phonemes) == len(pronunciation.owners)
    owners = [owner for owner in pronunciation.owners if owner != NO_WORD]
    assert owners == sorted(owners)
    assert set(owners) == set(range(len(pieces)))
    place = 0
    for piece in pieces:
        assert piece.text == text[piece.start : piece.end] != ""
        assert piece.start >= place
        place = piece.end
    assert bool(pronunciation.phonemes) == bool(pieces)


def test_a_text_is_read_in_parts_where_it_is_long(pronounce: Pronouncer) -> None:
    text = "one two three. " * 200
    pronunciation, pieces = pronounce(text)
    assert len(pieces) == 600
    assert all(text[piece.start : piece.end] == piece.text for piece in pieces)
    assert pronunciation.phonemes.count("θɹˈi") == 200
    assert words(pronounce, "a" * 1000) == ["a" * 300] * 3 + ["a" * 100]


@given(st.text(alphabet="ab ,.", max_size=200), st.integers(1, 50))
def test_pieces_are_the_whole(phonemes: str, max_len: int) -> None:
    whole = Pronunciation(phonemes=phonemes, owners=tuple(range(len(phonemes))))
    pieces = list(whole.pieces(max_len))
    assert "".join(piece.phonemes for piece in pieces) == phonemes
    assert [owner for piece in pieces for owner in piece.owners] == list(whole.owners)
    assert all(1 <= len(piece.phonemes) <= max_len for piece in pieces)


def test_pieces_end_at_pauses_then_at_words() -> None:
    whole = Pronunciation(phonemes="aa bb, cc dd ee", owners=(0,) * 15)
    assert [piece.phonemes for piece in whole.pieces(12)] == ["aa bb, ", "cc dd ee"]
    assert [piece.phonemes for piece in whole.pieces(5)] == ["aa ", "bb, ", "cc ", "dd ee"]


@pytest.mark.parametrize(
    "part",
    [
        "1",
        "a-",
        "a/b/",
        "a&,@",
        "5k",
        "-1",
        "aB",
        "[](",
        "& ,@ ,",
        "(",
        "'",
        "½",
        "a1b2",
        "Chapter IVX",
        "Jan 1 ",
        "$1.2",
    ],
)
def test_no_sentence_takes_long_to_read(pronounce: Pronouncer, part: str) -> None:
    text = (part * MAX_LEN)[:MAX_LEN]
    pronounce(text)
    took_s = []
    for _ in range(3):
        started = time.thread_time()
        pronounce(text)
        took_s.append(time.thread_time() - started)
    # Seconds and minutes, where nothing is broken up; 10 to 80 ms as it is.
    assert min(took_s) < 0.4
