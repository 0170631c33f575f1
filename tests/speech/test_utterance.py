"""Edges, pauses and word times of a spoken sentence."""

import numpy as np
import pytest

from trivium_server.speech.utterance import WordTime, finished, joined, pause_s, speech_edges, word_times

RATE_HZ = 24_000


def test_words_take_the_time_of_their_phonemes() -> None:
    owners, lengths = [-1, 0, 0, -1, 1, -1, 1, -1], [10, 1, 2, 3, 4, 5, 6, 7]
    times = list(word_times(owners, lengths, first=100))
    assert joined(times) == [WordTime(0, 110, 113), WordTime(1, 116, 131)]
    assert joined([]) == []


@pytest.mark.parametrize(
    ("text", "pause"),
    [("One.", 0.4), ("One", 0.4), ("One,", 0.15), ("“One?”", 0.4), ("One:", 0.3), ("*One;*", 0.25), ("", 0.4)],
)
def test_the_pause_is_that_of_the_last_mark(text: str, pause: float) -> None:
    assert pause_s(text, 1.0, ends_paragraph=False) == pause
    assert pause_s(text, 2.0, ends_paragraph=False) == pause / 2
    assert pause_s(text, 2.0, ends_paragraph=True) == 0.75 / 2


def test_speech_is_cut_out_of_the_silence_around_it() -> None:
    sound = np.zeros(RATE_HZ, np.float32)
    sound[6000:12_000] = 0.1
    start, end = speech_edges(sound, RATE_HZ)
    assert 6000 - 0.06 * RATE_HZ <= start <= 6000 - 0.03 * RATE_HZ
    assert 12_000 + 0.05 * RATE_HZ <= end <= 12_000 + 0.09 * RATE_HZ
    assert speech_edges(np.ones(RATE_HZ, np.float32), RATE_HZ) == (0, RATE_HZ)


@pytest.mark.parametrize("length", [0, 1, 299, 300, 5000])
def test_silence_has_no_speech(length: int) -> None:
    assert speech_edges(np.zeros(length, np.float32), RATE_HZ) == (0, 0)
    assert len(finished(np.zeros(0, np.float32), RATE_HZ, 0.4)) == 0


@pytest.mark.parametrize("length", [1, 100, 5000])
def test_what_is_finished_has_no_clicks_and_does_not_clip(length: int) -> None:
    sound = finished(np.full(length, 3.0, np.float32), RATE_HZ, 0.4)
    assert len(sound) == length + round(0.34 * RATE_HZ)
    assert np.abs(sound).max() <= 1.0
    assert sound[0] == sound[length - 1] == sound[-1] == 0.0
