"""What is read of a text, and where it was."""
# ruff: noqa: RUF001  the letters and marks that it names are meant

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.speech.spoken_text import speakable_units


def read(text: str) -> str:
    return " ".join(unit.text for unit in speakable_units(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain words, as they are.", "Plain words, as they are."),
        ("It's $9.99, 1,234,567 or 3.14!", "It's $9.99, 1,234,567 or 3.14!"),
        ("see https://www.example.com/a_b?x=1#y.", "see example dot com slash a underscore b."),
        ("(mail john.doe@example.co.uk)", "(mail john dot doe at example dot co dot UK)"),
        ("[x](/y/) is no markup", "(x)(/y/) is no markup"),
        ("**bold** `code` _it_ ~~~~", "bold code it"),
        ("this—that -- those", "this — that -- those"),
        ("hello世界bye 😀 мир", "hello bye"),
        ("ﬁne Ａｂｃ №5 ٣ x² ⅓", "fine Abc No5 3 x² 1/3"),
        ("e\u0301te\u0301 a\u200bb\u00adc", "été abc"),
        ("1,2,3 and 10,000", "1, 2, 3 and 10,000"),
        ("C# in F#m #5 #tag", "C sharp in F sharp m #5 #tag"),
        ("no .5 nor ,so", "no 0.5 nor , so"),
        ("3*4", "3 times 4"),
        ("a ≤ b", "a at most b"),
        ("12345678901234567890", " ".join("12345678901234567890")),
        ("x" * 50, " ".join(["x" * 17, "x" * 17, "x" * 16])),
        ("a-" * 12, "a-a-a-a-a- a-a-a-a-a- a-a-"),
        ("\x00\x1b\u202e", ""),
        ("", ""),
    ],
)
def test_what_is_read(text: str, expected: str) -> None:
    assert read(text) == expected


@given(st.text() | st.text(alphabet="aB1 .,'-/&@$%#:()[]é½²—\"=*_~\u0301😀"))
def test_units_are_in_the_order_of_the_text(text: str) -> None:
    place = 0
    for unit in speakable_units(text):
        assert unit.text
        assert unit.text.split() == [unit.text]
        assert place <= unit.start < unit.end <= len(text)
        assert text[unit.start : unit.end] == text[unit.start : unit.end].strip()
        place = unit.start
