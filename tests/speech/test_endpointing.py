"""Utterances in probabilities of speech."""

import dataclasses
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_server.speech.endpointing import (
    Endpointer,
    EndpointingEvent,
    EndpointingRules,
    SpeechBegan,
    SpeechEnded,
    Utterance,
)

RULES = EndpointingRules(
    threshold=0.5, release=0.35, trailing_silence=6, pause=3, min_speech=4, pad_before=2, pad_after=2, max_len=40
)
WINDOWS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.9, 1.0]), st.integers(1, 30)), max_size=20).map(
    lambda runs: [probability for probability, count in runs for _ in range(count)]
)


def events_of(
    probabilities: Sequence[float], rules: EndpointingRules = RULES, levels: Sequence[float] | None = None
) -> list[EndpointingEvent]:
    """All events, the last utterance closed."""
    endpointer = Endpointer(rules)
    found: list[EndpointingEvent] = []
    for probability, level in zip(probabilities, levels or probabilities, strict=True):
        found += endpointer.push(probability, level)
    return found + endpointer.close()


def utterances(events: Sequence[EndpointingEvent]) -> list[tuple[int, int]]:
    return [(event.start, event.end) for event in events if isinstance(event, Utterance)]


@pytest.mark.parametrize(
    ("name", "probabilities", "wanted"),
    [
        ("nothing", [], []),
        ("silence", [0.0] * 50, []),
        ("noise below the threshold", [0.45] * 50, []),
        ("speech, with what is around it", [0.0] * 5 + [0.9] * 8 + [0.0] * 9, [(3, 15)]),
        ("speech at once, to the end", [0.9] * 8, [(0, 8)]),
        ("too short for speech", [0.0] * 5 + [0.9] * 3 + [0.0] * 9, []),
        ("just long enough", [0.0] * 5 + [0.9] * 4 + [0.0] * 9, [(3, 11)]),
        ("short, and cut by the end", [0.0] * 5 + [0.9] * 2, [(3, 7)]),
        ("a click at the end", [0.0] * 5 + [0.9], []),
        ("a pause that is no end", [0.9] * 6 + [0.0] * 5 + [0.9] * 6, [(0, 17)]),
        ("a pause that is one", [0.9] * 6 + [0.0] * 6 + [0.9] * 6, [(0, 8), (10, 18)]),
        ("soft speech goes on", [0.9] * 6 + [0.4] * 9 + [0.0] * 6, [(0, 17)]),
        ("soft speech does not begin anew", [0.9] * 6 + [0.2] + [0.4] * 9, [(0, 8)]),
    ],
)
def test_what_is_an_utterance(name: str, probabilities: list[float], wanted: list[tuple[int, int]]) -> None:
    assert utterances(events_of(probabilities)) == wanted, name


def test_padding_is_not_shared() -> None:
    rules = dataclasses.replace(RULES, pad_before=9, pad_after=5)
    assert utterances(events_of([0.9] * 6 + [0.0] * 6 + [0.9] * 6, rules)) == [(0, 11), (11, 18)]


def test_activity_is_told_as_it_happens() -> None:
    events = events_of([0.0] * 5 + [0.9] * 8 + [0.0] * 4 + [0.9] * 5 + [0.0] * 9)
    assert events == [SpeechBegan(5), SpeechEnded(13), SpeechBegan(17), SpeechEnded(22), Utterance(3, 24)]


def test_long_speech_is_cut_where_it_is_quietest() -> None:
    levels = [1.0] * 60
    levels[33:36] = [0.2, 0.1, 0.2]
    levels[10] = 0.0  # quieter, but long ago
    events = events_of([0.9] * 60, levels=levels)
    assert utterances(events) == [(0, 34), (34, 60)]
    assert [event for event in events if not isinstance(event, Utterance)] == [SpeechBegan(0), SpeechEnded(60)]


def test_what_is_left_of_a_cut_and_is_silent_is_no_utterance() -> None:
    probabilities = [0.9] * 35 + [0.0] * 5
    assert utterances(events_of(probabilities, levels=probabilities)) == [(0, 35)]


def test_closing_in_mid_speech_begins_anew() -> None:
    endpointer = Endpointer(RULES)
    told = [event for _ in range(10) for event in endpointer.push(0.9, 1.0)]
    told += endpointer.close()
    assert endpointer.close() == []
    told += [event for _ in range(10) for event in endpointer.push(0.9, 1.0)]
    assert utterances([*told, *endpointer.close()]) == [(0, 10), (10, 20)]


@given(probabilities=WINDOWS, max_len=st.integers(8, 40), closed_at=st.sets(st.integers(0, 200), max_size=3))
def test_laws(probabilities: list[float], max_len: int, closed_at: set[int]) -> None:
    rules = dataclasses.replace(RULES, max_len=max_len)
    endpointer = Endpointer(rules)
    told: list[EndpointingEvent] = []
    kept = 0
    for window, probability in enumerate(probabilities):
        events = endpointer.push(probability, probability)
        if window in closed_at:
            events += endpointer.close()
        for start, _ in utterances(events):
            assert start >= kept  # nothing is reported that may have been forgotten
        told += events
        assert kept <= endpointer.keep_from <= endpointer.num_heard
        kept = endpointer.keep_from
        if endpointer.open_start is not None:
            assert kept <= endpointer.open_start
    told += endpointer.close()

    spans = utterances(told)
    assert all(0 <= start < end <= len(probabilities) and end - start <= max_len for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    assert all(max(probabilities[start:end]) >= rules.threshold for start, end in spans)
    began = [event for event in told if not isinstance(event, Utterance)]
    assert all(isinstance(event, SpeechEnded if turn % 2 else SpeechBegan) for turn, event in enumerate(began))
    assert len(began) % 2 == 0
    times = [event.window for event in began]
    assert times == sorted(times)


@given(probabilities=WINDOWS)
def test_no_speech_is_lost(probabilities: list[float]) -> None:
    """Every run of loud windows that is an utterance by itself lies in one, or in two that meet in it."""
    covered = {window for start, end in utterances(events_of(probabilities)) for window in range(start, end)}
    run: list[int] = []
    for window, probability in enumerate([*probabilities, 0.0]):
        if probability >= RULES.threshold:
            run.append(window)
            continue
        if len(run) >= RULES.min_speech:
            # What is left of a cut may be too short to be one.
            assert len(set(run) - covered) < RULES.min_speech
        run = []
