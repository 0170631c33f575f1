"""Which part of an interim result stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.speech.stable_prefix import StablePrefix

WORDS = st.lists(st.sampled_from(["a", "b", "it", "was.", "\N{GRINNING FACE}"]), max_size=6)


@pytest.mark.parametrize(
    ("hypotheses", "wanted"),
    [
        (["It was"], ""),
        (["It was", "It was the best"], "It"),
        (["It was", "It was the best", "It was the best of"], "It was the"),
        (["It was the best.", "It was the best of times."], "It was the"),
        (["It was the", "He was the"], ""),
        (["It was the best", "It was the best of", "It was a test of times"], "It was"),
        (["Is was the best", "It was the best of", "It was a test of times"], "It was"),
        (["", "It"], ""),
        (["It was the", ""], ""),
        (["\N{GRINNING FACE} was the", "\N{GRINNING FACE} was the"], "\N{GRINNING FACE} was"),
    ],
)
def test_settled_part(hypotheses: list[str], wanted: str) -> None:
    stable = StablePrefix()
    lengths = [stable.update(hypothesis) for hypothesis in hypotheses]
    assert hypotheses[-1][: lengths[-1]] == wanted


@given(hypotheses=st.lists(WORDS.map(" ".join), min_size=2, max_size=8))
def test_settled_part_stood_in_the_hypothesis_before(hypotheses: list[str]) -> None:
    stable = StablePrefix()
    before = ""
    for hypothesis in hypotheses:
        settled = hypothesis[: stable.update(hypothesis)]
        assert before.startswith(settled)
        assert settled == "" or hypothesis[len(settled) : len(settled) + 1] in {"", " "}
        before = hypothesis


@given(words=WORDS, more=st.lists(WORDS, max_size=4))
def test_settled_part_grows_while_hypotheses_only_grow(words: list[str], more: list[list[str]]) -> None:
    stable = StablePrefix()
    length = 0
    for each in more:
        words = words + each
        grown = stable.update(" ".join(words))
        assert grown >= length
        length = grown
