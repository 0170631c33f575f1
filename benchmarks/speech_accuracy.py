"""Word error rates of what our server hears in files: of real speech, in noise, and of another synthesiser.

And how many words it hears where nobody speaks, which are to be none.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks import command_line, machine
from benchmarks.machine import package_versions
from benchmarks.report import Report, Table
from benchmarks.speech_client import hearing, recognize_in_pieces, shared_out
from benchmarks.speech_contenders import (
    DETECTOR,
    MOONSHINE,
    PEERS,
    PEERS_PYTHON,
    SCORERS,
    WHISPER,
    Loop,
    Served,
    awake,
    faster_whisper,
    moonshine_voice,
    require_peers,
    started,
    word_counter,
)
from benchmarks.speech_sets import FIRST_PROMPTS, PROMPTS, READINGS, Recording, Sets, require_espeak

_CALLERS = 4
# The peers are asked for these alone: they take several times as long.
_OF_PEERS = (READINGS, FIRST_PROMPTS)

_NOTES = """\
- Readings: seven recordings, 79 seconds, Dickens, Beckett and Austen read aloud, 16 and 48 kHz, as moonshine-voice and
  pocketsphinx ship them. Prompts: 314 of a telephone exchange (Debian's asterisk-core-sounds-en-wav, one woman in a
  studio, 8 kHz) of two words or more, 20.7 minutes, joined to recordings of about five minutes with pauses of 0.6 to
  1.5 s, which are in the minutes below. What is said is what she was given to read, some of it misspelled; some prompts
  do not say quite that. It has many words that are written apart or not (voice mail, touch tone), which count as wrong.
- Noise: pink, added to the first of these; its power is so much below that of the speech, pauses left out.
- espeak-ng: 60 sentences of the World Factbook, spoken by a formant synthesiser, as sound that no model was trained on.
- Files are sent in pieces over StreamRecognize, {callers} at a time: the server finds the utterances itself. Nothing is
  set but the model.
- Word error rate: substituted, deleted and inserted words of all words, by jiwer, after the normalisation that
  Whisper's authors published (case, punctuation, spelling, contractions, figures; package whisper-normalizer).
- Nobody speaks: five pieces of music for callers who wait (Debian's asterisk-moh-opsound-wav), two chimes, a minute of
  zeros, and minutes of pink noise 60, 40 and 25 dB below full scale.
- Peers transcribe the readings and the first prompts, each as in benchmarks/speech.py.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What one contender wrote for one recording."""

    contender: str
    of: str
    name: str
    audio_s: float
    spoken: str
    heard: str


def main() -> None:
    given = command_line.parse(__doc__, rounds=1, require=require_peers, add=_options)
    require_peers()  # they count the words
    models: list[str] = given.model or [MOONSHINE, WHISPER]
    facts = machine.describe(PEERS_PYTHON if given.peers else None, peers=PEERS)
    facts |= {"other voice": require_espeak(), "counted by": package_versions(PEERS_PYTHON, SCORERS)}
    report = Report(
        name="speech_accuracy",
        title="Word error rates",
        notes=_NOTES.format(callers=_CALLERS),
        facts=facts | {"threads": str(given.threads)},
    )
    sets = Sets(quick=given.quick)
    speech, others = list(sets.speech()), list(sets.without_speech())
    ours = Served([*models, DETECTOR], threads=given.threads)
    transcripts: list[Transcript] = []
    with started(ours), awake(ours):
        for model in models:
            transcripts += _timed(model, partial(_served, ours, model, [*speech, *others]))
    if given.peers:
        peers = [moonshine_voice(), faster_whisper(threads=given.threads)]
        for peer in peers:
            with started(peer), awake(peer):
                asked = [one for one in speech if one.of in _OF_PEERS]
                transcripts += _timed(peer.name, partial(_of_peer, peer, asked))
    counter = word_counter()
    counter.start()
    with contextlib.closing(counter):
        report.tables.extend(_tables(counter, transcripts))
    report.samples = {"transcripts": [asdict(one) for one in transcripts]}
    report.write(given.results)


def _options(parser: argparse.ArgumentParser) -> None:
    default = f"{MOONSHINE} and {WHISPER}"
    parser.add_argument("--model", action="append", help=f"may be repeated, whisper-base too (default: {default})")


def _timed(name: str, transcribe: "partial[list[Transcript]]") -> list[Transcript]:
    begun = time.monotonic()
    made = transcribe()
    print(
        f"{name}: {sum(one.audio_s for one in made) / 60:.1f} minutes in {time.monotonic() - begun:.0f} s", flush=True
    )
    return made


def _served(ours: Served, model: str, recordings: Sequence[Recording]) -> list[Transcript]:
    async def transcribe() -> list[str]:
        async with contextlib.AsyncExitStack() as stack:
            stubs = [await stack.enter_async_context(hearing(ours.address)) for _ in range(_CALLERS)]
            callers = [partial(recognize_in_pieces, stub, model) for stub in stubs]
            return await shared_out([one.content for one in recordings], callers)

    return list(_transcripts(model, recordings, asyncio.run(transcribe())))


def _of_peer(peer: Loop, recordings: Sequence[Recording]) -> list[Transcript]:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.wav" for number in range(len(recordings))]
        for file, one in zip(files, recordings, strict=True):
            file.write_bytes(one.content)
        texts = peer.ask({"files": list(map(str, files))})["texts"]
    assert isinstance(texts, list)
    return list(_transcripts(peer.name, recordings, texts))


def _transcripts(contender: str, recordings: Sequence[Recording], texts: Iterable[str]) -> Iterator[Transcript]:
    for one, heard in zip(recordings, texts, strict=True):
        yield Transcript(
            contender=contender, of=one.of, name=one.name, audio_s=one.audio_s, spoken=one.text, heard=heard
        )


def _tables(counter: Loop, transcripts: Sequence[Transcript]) -> Iterator[Table]:
    spoken = [one for one in transcripts if one.spoken]
    every = _grouped(spoken)
    real: dict[tuple[str, str], list[Transcript]] = {}
    for (contender, of), group in every.items():
        if of in (READINGS, FIRST_PROMPTS, PROMPTS) and (contender, PROMPTS) in every:
            real.setdefault((contender, "real speech, all of it"), []).extend(group)
    rows = [_row(counter, *key, group) for key, group in (*real.items(), *every.items())]
    columns = ["", "of", "minutes", "words", "substituted", "deleted", "inserted", "word error rate"]
    yield Table(title="Words", columns=columns, rows=rows)
    rows = []
    for (contender, of), group in _grouped([one for one in transcripts if not one.spoken]).items():
        heard = [one.heard for one in group if one.heard]
        minutes = sum(one.audio_s for one in group) / 60
        rows.append([contender, of, f"{minutes:.1f}", str(sum(len(text.split()) for text in heard)), " / ".join(heard)])
    yield Table(title="Where nobody speaks", columns=["", "of", "minutes", "words heard", "they are"], rows=rows)


def _row(counter: Loop, contender: str, of: str, group: Sequence[Transcript]) -> list[str]:
    found = _counted(counter, group)
    minutes = sum(one.audio_s for one in group) / 60
    kinds = ("substituted", "deleted", "inserted")
    rate = sum(found[kind] for kind in kinds) / max(1, found["words"])
    return [contender, of, f"{minutes:.1f}", str(found["words"]), *(str(found[kind]) for kind in kinds), f"{rate:.2%}"]


def _counted(counter: Loop, group: Sequence[Transcript]) -> Mapping[str, int]:
    answer = counter.ask({"spoken": [one.spoken for one in group], "heard": [one.heard for one in group]})
    return {kind: count for kind, count in answer.items() if isinstance(count, int)}


def _grouped(transcripts: Iterable[Transcript]) -> dict[tuple[str, str], list[Transcript]]:
    """By contender and set, in the order in which they come."""
    groups: dict[tuple[str, str], list[Transcript]] = {}
    for one in transcripts:
        groups.setdefault((one.contender, one.of), []).append(one)
    return groups


if __name__ == "__main__":
    main()
