"""Where long speech is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.speech.segmenting import quietest_place


@pytest.mark.parametrize(
    ("levels", "wanted"),
    [
        ([5.0], 0),
        ([5.0, 1.0], 1),
        ([1.0, 1.0], 1),
        ([9, 9, 1, 1, 1, 9, 9], 3),
        ([9, 0, 9, 9, 1, 1, 1, 9], 5),
        ([1, 1, 1, 9, 1, 1, 1], 5),
        ([2.0] * 8, 6),
    ],
)
def test_middle_of_the_quietest_gap(levels: list[float], wanted: int) -> None:
    assert quietest_place(levels) == wanted


@given(levels=st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_place_is_one_of_the_windows(levels: list[float]) -> None:
    assert 0 <= quietest_place(levels) < len(levels)
