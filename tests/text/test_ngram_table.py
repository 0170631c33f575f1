"""NgramTable against a search through all n-grams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.text.tiny_languages import numbered
from trivium_server.text.ngram_table import MAX_NGRAM_LEN, NgramTable

LETTERS = st.sampled_from(b"\x00ab\xff")
NGRAMS = st.lists(LETTERS, min_size=1, max_size=MAX_NGRAM_LEN).map(bytes).filter(lambda ngram: b"\xff" not in ngram)


@given(st.lists(NGRAMS, min_size=1, max_size=40, unique=True), st.lists(LETTERS, max_size=50).map(bytes))
def test_the_longest_ngram_that_ends_at_each_byte(ngrams: list[bytes], content: bytes) -> None:
    found = NgramTable(numbered(ngrams)).longest(content)
    for end, index in enumerate(found.tolist(), 1):
        ending = [ngram for ngram in ngrams if content[:end].endswith(ngram)]
        assert (ngrams[index] if index >= 0 else b"") == max(ending, key=len, default=b"")


def test_a_hundred_thousand_ngrams_all_find_themselves() -> None:
    random = np.random.default_rng(5)
    made = (random.bytes(int(length)).replace(b"\xff", b"\xfe") for length in random.integers(2, 8, 100_000))
    ngrams = sorted(set(made))
    table = NgramTable(numbered(ngrams))
    assert len(ngrams) > 90_000
    assert [int(table.longest(ngram)[-1]) for ngram in ngrams[::100]] == list(range(0, len(ngrams), 100))


@pytest.mark.parametrize("ngram", [0, 8 << 56, 255 << 56])
def test_what_is_no_ngram_is_refused(ngram: int) -> None:
    with pytest.raises(ValueError, match="1 to 7 bytes"):
        NgramTable(np.array([ngram], np.uint64))


def test_an_ngram_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="different"):
        NgramTable(numbered([b"a", b"b", b"a"]))
