"""How what was read is compared with what is there."""

import random

import pytest

from benchmarks.ocr_score import Score, edit_distance, scored


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("a", "a", 0),
        ("a", "b", 1),
        ("abc", "abcd", 1),
        ("abcd", "bcd", 1),
        ("ab", "ba", 2),
        ("kitten", "sitting", 3),
        ("saturday", "sunday", 3),
        ("aaaa", "aa", 2),
        ("日本語", "日本", 1),
        ("x" * 64, "x" * 65, 1),
        ("x" * 200, "y" * 200, 200),
        ("ab" * 100, "ba" * 100, 2),
    ],
)
def test_edit_distance(left: str, right: str, expected: int) -> None:
    assert edit_distance(left, right) == expected
    assert edit_distance(right, left) == expected


def by_table(left: str, right: str) -> int:
    """Wagner and Fischer 1974."""
    row = list(range(len(right) + 1))
    for above, character in enumerate(left, 1):
        diagonal, row[0] = row[0], above
        for place, other in enumerate(right, 1):
            best = min(row[place] + 1, row[place - 1] + 1, diagonal + (character != other))
            diagonal, row[place] = row[place], best
    return row[-1]


@pytest.mark.parametrize("seed", range(20))
def test_edit_distance_equals_the_table_of_all_prefixes(seed: int) -> None:
    chance = random.Random(seed)
    left, right = ("".join(chance.choices("abc", k=chance.randrange(90))) for _ in range(2))
    assert edit_distance(left, right) == by_table(left, right)


def test_spaces_lines_and_widths_do_not_count() -> None:
    assert scored(["ab c", "\uff24\uff25"], ["abcD", "E"]) == Score(characters=5, found=5, distance=0)
    assert scored(["ab", "cd"], ["cd", "ab"]) == Score(characters=4, found=4, distance=4)
    assert scored(["abc"], []) == Score(characters=3, found=0, distance=3)
    assert scored([], ["a"]) == Score(characters=0, found=0, distance=1)
