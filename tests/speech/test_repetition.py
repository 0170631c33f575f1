"""Loops in answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.speech.repetition import loop_start


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [
        ([], None),
        ([1, 2, 3], None),
        ([7] * 15, None),
        ([7] * 16, 1),
        ([1, 2] + [7] * 16, 3),
        ([1, 2, 3, 4, 5] * 3, None),
        ([9, 8] + [1, 2, 3, 4, 5] * 4, 7),
        ([9, 8] + [1, 2, 3, 4, 5] * 4 + [6], None),
        (list(range(30)), None),
    ],
)
def test_where_a_loop_begins(tokens: list[int], wanted: int | None) -> None:
    assert loop_start(tokens) == wanted


@given(
    start=st.lists(st.integers(100, 200), unique=True, max_size=5),
    cycle=st.lists(st.integers(0, 9), min_size=1, max_size=12),
)
def test_one_round_is_left(start: list[int], cycle: list[int]) -> None:
    tokens = start + cycle * 16
    found = loop_start(tokens)
    assert found is not None
    assert len(start) < found <= len(start) + len(cycle)
