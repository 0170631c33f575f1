"""What Whisper may write, and what is believed of it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivium_server.speech.whisper_rules import Answer, TokenRules, compression_ratio, most_believable

Floats = NDArray[np.float32]

# 0 to 9 text, 10 the end, 11 to 14 control tokens, then times.
RULES = TokenRules(eot=10, first_timestamp=15, last_first_timestamp=17, never=(3,), not_first=(4, 10))
VOCABULARY = 30
T0, T1, T2 = 15, 16, 17


def allowed(written: list[int], logits: Floats | None = None) -> set[int]:
    logprobs = RULES.logprobs(np.zeros(VOCABULARY, np.float32) if logits is None else logits, written)
    assert np.logaddexp.reduce(logprobs) == pytest.approx(0.0, abs=1e-5)
    return {token for token in range(VOCABULARY) if np.isfinite(logprobs[token])}


def texts(strength: float = 10.0) -> Floats:
    """Logits of a model that would rather write a text, or end."""
    logits = np.zeros(VOCABULARY, np.float32)
    logits[: RULES.eot + 1] = strength
    return logits


TEXT = {0, 1, 2, 4, 5, 6, 7, 8, 9}


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ([], {T0, T1, T2}),
        ([T0], TEXT | {10}),
        ([T0, 5], TEXT | {10} | set(range(T1, VOCABULARY))),
        ([T0, 5, T2], {10} | set(range(T2, VOCABULARY))),
        ([T0, 5, T2, T2], TEXT | {10}),
        ([T0, 5, T2, T2, 5], TEXT | {10} | set(range(T2 + 1, VOCABULARY))),
    ],
)
def test_times_come_in_pairs_and_do_not_go_back(written: list[int], wanted: set[int]) -> None:
    assert allowed(written, texts()) == wanted


def test_time_that_is_likelier_than_any_text_is_written() -> None:
    assert allowed([T0, 5], np.zeros(VOCABULARY, np.float32)) == set(range(T1, VOCABULARY))


@given(
    logits=st.lists(st.floats(-20, 20, width=32), min_size=VOCABULARY, max_size=VOCABULARY),
    num_steps=st.integers(1, 12),
)
@settings(max_examples=40)
def test_greedy_answers_are_well_formed(logits: list[float], num_steps: int) -> None:
    written: list[int] = []
    shift = np.array(logits, np.float32)
    for step in range(num_steps):
        token = int(RULES.logprobs(np.roll(shift, step), written).argmax())
        if token == RULES.eot:
            break
        written.append(token)
    times = [token for token in written if token >= RULES.first_timestamp]
    assert times == sorted(times)
    assert T0 <= written[0] <= T2
    assert not {3, 11, 12, 13, 14} & set(written)


@pytest.mark.parametrize(
    ("written", "num_kept", "step"),
    [
        ([], 0, None),
        ([T0, 5, 6], 3, None),
        ([T0, 5, T2], 3, None),
        ([T0, 5, T2, T2, 6, 20], 6, None),
        ([T0, 5, T2, T2, 6], 3, 2),
        ([T0, 5, T2, T2], 3, 2),
        ([T0, 5, T1, T1, 6, 20, 20, 7], 6, 5),
    ],
)
def test_part_whose_end_was_not_heard_is_left_for_later(written: list[int], num_kept: int, step: int | None) -> None:
    assert RULES.kept(written) == (num_kept, step)


SURE = Answer(tokens=(5,), token_logprobs=(-0.1,), logprob=-0.1, no_speech=0.1, text="It was the best of times.")


@pytest.mark.parametrize(
    ("answer", "is_believable", "is_silence"),
    [
        (SURE, True, False),
        (dataclasses.replace(SURE, logprob=-1.01), False, False),
        (dataclasses.replace(SURE, no_speech=0.9), True, False),
        (dataclasses.replace(SURE, no_speech=0.9, logprob=-0.49), True, False),
        (dataclasses.replace(SURE, no_speech=0.9, logprob=-0.51), True, True),
        (dataclasses.replace(SURE, no_speech=0.6, logprob=-0.51), True, False),
        (dataclasses.replace(SURE, text="no " * 40), False, False),
        (dataclasses.replace(SURE, no_speech=0.9, text="no " * 40), True, True),
        (dataclasses.replace(SURE, was_looping=True), False, False),
    ],
)
def test_what_is_believed(answer: Answer, is_believable: bool, is_silence: bool) -> None:
    assert (answer.is_believable, answer.is_silence) == (is_believable, is_silence)


def test_best_of_unbelievable_answers() -> None:
    loop = dataclasses.replace(SURE, text="no " * 40)
    unsure, worse, drawn = (dataclasses.replace(SURE, logprob=logprob) for logprob in (-1.5, -1.9, -2.1))
    assert most_believable([loop, worse, unsure]) is unsure
    assert most_believable([loop, worse, drawn]) is worse
    # What was drawn by lot is worse than a loop.
    assert most_believable([loop, drawn]) is loop
    assert most_believable([loop]) is loop


def test_compression_ratio_is_that_of_the_reference() -> None:
    assert compression_ratio("a" * 100) == pytest.approx(100 / 12)
    assert compression_ratio("") == 0.0
