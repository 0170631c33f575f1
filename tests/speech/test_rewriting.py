"""Which words became which."""

import pytest

from trivium_server.speech.rewriting import align

_ALONE = {"9:30am": "nine thirty A.M.", "Dr.": "Dr", "km": "kilometers", "$5": "$5", "2024": "2024"}


def rewrite(word: str) -> list[str]:
    return _ALONE.get(word, word).split()


@pytest.mark.parametrize(
    ("words", "written", "expected"),
    [
        ("a b c", "a b c", "a=a b=b c=c"),
        ("at 9:30am Dr. Who", "at nine thirty A.M. Dr Who", "at=at 9:30am=nine+thirty+A.M. Dr.=Dr Who=Who"),
        ("pay $5 million now", "pay 5 million dollars now", "pay=pay $5=5 million=million+dollars now=now"),
        ("$5 million.", "5 million dollars.", "$5=5 million.=million+dollars."),
        ("ran 5 km", "ran 5 kilometers", "ran=ran 5=5 km=kilometers"),
        ("Jan. 5 came", "January fifth came", "Jan.=January 5=fifth came=came"),
        ("a x y b", "a one two three b", "a=a x+y=one+two+three b=b"),
        ("a TM b", "a b", "a=a TM= b=b"),
        ("b", "a b", "b=a+b"),
        ("a", "a b", "a=a+b"),
        ("a b", "", "a+b="),
        ("", "", ""),
    ],
)
def test_words_are_aligned(words: str, written: str, expected: str) -> None:
    given, left = words.split(), written.split()
    found = []
    for part in align(given, left, rewrite):
        found.append(f"{'+'.join(given[part.start : part.end])}={'+'.join(left[: part.num_written])}")
        left = left[part.num_written :]
    assert not left
    assert " ".join(found) == expected
