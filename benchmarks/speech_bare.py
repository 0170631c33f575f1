"""The limit: what the server does with speech, in one process without a server.

The server's own functions and sessions: read, resample, find utterances, recognise them; no gRPC, no messages, no event
loop, no queue. A file is read and cut on one thread, and its utterances are recognised on as many threads as there are
processors. Live sound comes in chunks, as fast as it is taken: one thread hears every utterance anew after each period
of sound, and once more at its end, as the server does when it is not busy. Text is spoken sentence by sentence on one
thread.

Reads one JSON line for each burst from standard input: {"model", "files", "threads"}, with "chunk_s" and "period_s" for
live sound, or {"model", "speak": [text, …]}. Answers {"texts", "num_updates", "audio_s"}.
"""

import argparse
import json
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.speech.listening import Listener, ListenerEvent, Piece, UtteranceEnds, rules_for
from trivium_server.architectures.speech.load import load
from trivium_server.architectures.speech.moonshine import MoonshineModel
from trivium_server.architectures.speech.runner import SpeechRunner
from trivium_server.architectures.speech.synthesizer import Synthesizer
from trivium_server.architectures.speech.voice_activity import VoiceActivityModel, _Memory, _Work
from trivium_server.architectures.speech.whisper import WhisperModel
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    VOICE_WINDOW,
    Heard,
    RecognitionOptions,
    SpeechMeter,
    SpeechRecognizer,
    Urgency,
    VoiceStream,
)
from trivium_server.config import Config
from trivium_server.speech.audio_file import open_audio
from trivium_server.speech.audio_format import AudioEncoding, AudioFormat
from trivium_server.speech.resampling import Resampler, mix
from trivium_server.speech.sentences import split_sentences

Floats = NDArray[np.float32]

_NEVER_S = float("inf")
# As much as the server reads at a time.
_READ_S = 4.0

_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Burst(TypedDict):
    """As above. num_updates: how often an utterance that went on was heard. audio_s: of what was spoken."""

    texts: list[str]
    num_updates: int
    audio_s: float


class _Here(SpeechRunner[_Item, _Result]):
    """Has no queue and no threads: work is done where it is asked for, at once."""

    def __init__(self, work: Callable[[Sequence[_Item]], Sequence[_Result | Exception]]) -> None:
        """Makes none of what a SpeechRunner has."""
        self._work = work

    async def run(self, item: _Item, *, urgency: Urgency, deadline_s: float, meter: SpeechMeter) -> _Result:  # noqa: ARG002  as the server's
        (outcome,) = self._work([item])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class _Stream:
    """The detector's memory of one sound. Implements speech_capabilities.VoiceStream."""

    def __init__(self, detector: VoiceActivityModel) -> None:
        self._detector = detector
        self._memory = _Memory()

    async def push(self, samples: Floats, *, deadline_s: float, meter: SpeechMeter) -> Floats:  # noqa: ARG002  as the server's
        (found,) = self._detector._run([_Work(self._memory, samples.reshape(-1, VOICE_WINDOW))])
        if isinstance(found, Exception):
            raise found
        return found


class _Detector:
    """Implements speech_capabilities.VoiceActivityDetector."""

    def __init__(self, model: VoiceActivityModel) -> None:
        self.execution_provider = model.execution_provider
        self._model = model

    def open_voice_stream(self) -> VoiceStream:
        return _Stream(self._model)


class Pipelines:
    """All models of a measurement."""

    def __init__(self, store: Path, names: Sequence[str]) -> None:
        models = {name: load(store / name, Config(), lambda _: None) for name in names}
        self._recognizers: dict[str, MoonshineModel | WhisperModel] = {}
        self._synthesizers: dict[str, Synthesizer] = {}
        for name, model in models.items():
            if isinstance(model, VoiceActivityModel):
                self._detector = _Detector(model)
                continue
            # This is the one difference from the server's.
            model._runner = _Here(model._runner._run)  # type: ignore[assignment]  # each kind has its own items
            if isinstance(model, Synthesizer):
                self._synthesizers[name] = model
            else:
                self._recognizers[name] = model

    def files(self, name: str, files: Sequence[str], threads: int) -> Burst:
        """Transcribes files, one after the other."""
        recognizer = self._recognizers[name]
        rules = rules_for(recognizer.recognizer_info.max_segment_s)
        texts = []
        with ThreadPoolExecutor(threads) as pool:
            for file in files:
                listener = Listener(self._detector, rules, deadline_s=_NEVER_S, meter=SpeechMeter())
                under_way = [
                    pool.submit(_hear, recognizer, event.piece)
                    for event in _listen(listener, _blocks(Path(file), _READ_S))
                    if isinstance(event, UtteranceEnds)
                ]
                texts.append(_whole(one.result() for one in under_way))
        return Burst(texts=texts, num_updates=0, audio_s=0.0)

    def live(self, name: str, files: Sequence[str], *, chunk_s: float, period_s: float) -> Burst:
        """Transcribes each file as a stream, with interim results."""
        recognizer = self._recognizers[name]
        rules = rules_for(recognizer.recognizer_info.max_segment_s)
        texts, num_updates = [], 0
        for file in files:
            listener = Listener(self._detector, rules, deadline_s=_NEVER_S, meter=SpeechMeter())
            heard: list[Heard] = []
            last_s = 0.0
            for chunk in _blocks(Path(file), chunk_s):
                for event in _finished(listener.push(chunk)):
                    if isinstance(event, UtteranceEnds):
                        heard.append(_hear(recognizer, event.piece))
                        last_s = event.piece.end_s
                piece = None if listener.is_pausing else listener.open_piece()
                if piece is not None and piece.end_s - max(last_s, piece.start_s) >= period_s:
                    last_s = piece.end_s
                    _hear(recognizer, piece)
                    num_updates += 1
            heard += (_hear(recognizer, event.piece) for event in listener.close() if isinstance(event, UtteranceEnds))
            texts.append(_whole(heard))
        return Burst(texts=texts, num_updates=num_updates, audio_s=0.0)

    def speak(self, name: str, texts: Sequence[str]) -> Burst:
        """Speaks texts, one after the other."""
        voice = self._synthesizers[name]
        num_samples = 0
        for text in texts:
            for sentence in split_sentences(text, voice.max_sentence_len):
                spoken = _finished(
                    voice.speak_sentence(
                        sentence.text,
                        voice=voice.voices[0].name,
                        speaking_rate=1.0,
                        ends_paragraph=sentence.ends_paragraph,
                        deadline_s=_NEVER_S,
                        meter=SpeechMeter(),
                    )
                )
                num_samples += len(spoken.samples)
        return Burst(texts=[], num_updates=0, audio_s=num_samples / voice.sample_rate_hz)


def _blocks(file: Path, seconds: float) -> Iterator[Floats]:
    """Reads a file in pieces of about so many seconds, as models hear it."""
    with open_audio(file.read_bytes(), AudioFormat(encoding=AudioEncoding.AUTO), max_s=3600, field="audio") as reader:
        resampler = Resampler(reader.sample_rate_hz, SAMPLE_RATE_HZ)
        sound = np.zeros(0, np.float32)
        length = round(seconds * SAMPLE_RATE_HZ)
        for block in reader.blocks():
            sound = np.concatenate([sound, resampler.push(mix(block))])
            while len(sound) >= length:
                yield sound[:length]
                sound = sound[length:]
        yield np.concatenate([sound, resampler.finish()])


def _listen(listener: Listener, blocks: Iterator[Floats]) -> Iterator[ListenerEvent]:
    for block in blocks:
        yield from _finished(listener.push(block))
    yield from listener.close()


def _hear(recognizer: SpeechRecognizer, piece: Piece) -> Heard:
    return _finished(
        recognizer.recognize_speech(
            piece.samples,
            RecognitionOptions(language_codes=recognizer.recognizer_info.language_codes[:1]),
            urgency=Urgency.FILE,
            deadline_s=_NEVER_S,
            meter=SpeechMeter(),
        )
    )


def _whole(heard: Iterable[Heard]) -> str:
    """As the server puts the texts of segments together."""
    return " ".join(one.text for one in heard if one.text)


def _finished(steps: Coroutine[object, None, _T]) -> _T:
    """Runs a coroutine that has nothing to wait for."""
    try:
        steps.send(None)
    except StopIteration as end:
        made: _T = end.value
        return made
    raise AssertionError("it waits for something")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path, help="the model store")
    parser.add_argument("models", nargs="+", help="those of the measurement, a detector of voice activity among them")
    given = parser.parse_args()
    pipelines = Pipelines(given.store, given.models)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if "speak" in asked:
            burst = pipelines.speak(asked["model"], asked["speak"])
        elif "chunk_s" in asked:
            burst = pipelines.live(asked["model"], asked["files"], chunk_s=asked["chunk_s"], period_s=asked["period_s"])
        else:
            burst = pipelines.files(asked["model"], asked["files"], asked["threads"])
        print(json.dumps(burst), flush=True)


if __name__ == "__main__":
    main()
