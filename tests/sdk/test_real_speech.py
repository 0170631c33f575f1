"""Both clients and the commands against the real service, the real models, and real recordings."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.recordings import SPOKEN, load_speech, recording
from tests.sdk.command import Command
from tests.sdk.faces import Face
from tests.serving import RunningServer
from trivium import Capability, errors, speech
from trivium_models.store import Store

Connect = Callable[..., Face]
MODELS = ("moonshine-tiny-en", "silero-vad", "hibari-heart")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    folders = [Store().pull(name).folder for name in MODELS]
    with RunningServer(folders[0].parent, models__load=",".join(MODELS)) as running:
        yield running


@pytest.fixture
def face(connect: Connect, server: RunningServer) -> Face:
    return connect(server.address)


def words(text: str) -> list[str]:
    return "".join(letter if letter.isalpha() else " " for letter in text.lower().replace("'", "")).split()


def wrong_words(said: str, heard: str) -> int:
    """How many words must be added, dropped or changed."""
    row = list(range(len(words(heard)) + 1))
    for index, word in enumerate(words(said), start=1):
        above, row[0] = row[0], index
        for place, other in enumerate(words(heard), start=1):
            above, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, above + (word != other))
    return row[-1]


def chunks(samples: NDArray[np.float32], length: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(samples), length):
        yield samples[start : start + length]


def test_recording_is_understood_whole_and_in_pieces(face: Face) -> None:
    name = "two_cities.wav"  # 4 MB, so that it goes in pieces
    seen: list[speech.TranscriptionProgress] = []
    transcript = face.call("speech.transcribe", recording(name), on_progress=seen.append)
    assert wrong_words(SPOKEN[name], transcript.text) <= 0.15 * len(words(SPOKEN[name]))
    assert transcript.duration_s == pytest.approx(44.374, abs=0.001)
    assert transcript.language_code == "en"
    assert seen[-1].fraction == 1
    heard = [far.processed_s for far in seen if far.audio_s]
    assert heard == sorted(heard)
    cues = transcript.srt().strip().split("\n\n")
    assert words(" ".join(" ".join(cue.split("\n")[2:]) for cue in cues)) == words(transcript.text)
    assert transcript.webvtt().startswith("WEBVTT\n")
    audio = transcript.info.usage.audio
    assert 30 < audio.speech_s <= audio.input_s == pytest.approx(transcript.duration_s)


def test_every_form_of_a_recording_is_heard_alike(face: Face) -> None:
    file = recording("beckett.wav")
    samples = load_speech("beckett.wav")
    integers = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
    forms: list[tuple[object, dict[str, object]]] = [
        (file, {}),
        (file.read_bytes(), {}),
        (file, {"on_progress": lambda _: None}),
        (integers, {"sample_rate_hz": 16000}),
        (integers.tobytes(), {"sample_rate_hz": 16000, "encoding": "pcm_s16le"}),
    ]
    first, *others = [face.call("speech.transcribe", audio, **options) for audio, options in forms]
    assert wrong_words(SPOKEN["beckett.wav"], first.text) <= 2
    for other in others:
        assert other.text == first.text
        assert [(segment.start_s, segment.end_s) for segment in other.segments] == [
            (segment.start_s, segment.end_s) for segment in first.segments
        ]
        assert other.srt() == first.srt()


def test_mulaw_of_a_telephone_is_heard(face: Face) -> None:
    samples = load_speech("beckett.wav", 8000)
    magnitude = np.log1p(255 * np.abs(np.clip(samples, -1, 1))) / np.log(256)
    companded = ~(np.floor(magnitude * 127).astype(np.uint8) | np.where(samples < 0, 0x80, 0).astype(np.uint8))
    heard = face.call("speech.transcribe", companded.tobytes(), encoding="mulaw", sample_rate_hz=8000)
    assert heard.duration_s == pytest.approx(9.963, abs=0.01)
    assert wrong_words(SPOKEN["beckett.wav"], heard.text) <= 4


def test_live_finals_are_the_segments_of_the_file(face: Face) -> None:
    samples = load_speech("beckett.wav")
    file = face.call("speech.transcribe", samples, sample_rate_hz=16000)
    for length in (777, 16000):
        updates, stream = face.events(
            "speech.stream", chunks(samples, length), encoding="pcm_f32le", sample_rate_hz=16000
        )
        finals = [update for update in updates if update.is_final and update.text]
        assert [update.text for update in finals] == [segment.text for segment in file.segments]
        assert stream.text == file.text
        assert stream.duration_s == pytest.approx(file.duration_s)
        for update in updates:
            assert update.text.startswith(update.stable_text)


def test_live_events_tell_who_speaks_when(face: Face) -> None:
    samples = load_speech("beckett.wav")[: 16000 * 3]
    stream = face.open("speech.stream", chunks(samples, 1600), sample_rate_hz=16000, activity=True)
    events = face.read(stream.events())
    assert isinstance(events[0], speech.RecognitionReady)
    kinds = [event.kind for event in events if isinstance(event, speech.SpeechActivity)]
    assert kinds[:2] == [speech.ActivityKind.SPEECH_START, speech.ActivityKind.SPEECH_END]
    offsets = [event.offset_s for event in events if isinstance(event, speech.SpeechActivity)]
    assert 0 <= offsets[0] < 0.6


def test_finalize_closes_an_utterance_in_mid_speech(face: Face) -> None:
    samples = load_speech("two_cities.wav")
    source = [samples[: 16000 * 3], speech.FINALIZE, samples[16000 * 3 : 16000 * 6]]
    updates, _ = face.events("speech.stream", source, sample_rate_hz=16000, interim_results=False)
    assert updates[0].segment.end_s == pytest.approx(3, abs=0.1)


def test_stopped_reader_frees_the_server(face: Face, server: RunningServer) -> None:
    def microphone() -> Iterator[NDArray[np.float32]]:
        while True:
            yield from chunks(load_speech("beckett.wav"), 1600)

    assert face.first("speech.stream", microphone(), sample_rate_hz=16000) is not None
    assert face.first("speech.speak_stream", ["One sentence. "] * 100) is not None
    deadline = time.monotonic() + 5
    while server.app._admission.in_flight:
        assert time.monotonic() < deadline, "a call goes on at the server"
        time.sleep(0.02)


def test_what_is_spoken_is_understood(face: Face) -> None:
    said = "The weather is fine today. We will go to the river."
    for encoding in ("wav", "flac", "ogg_opus", "mp3"):
        spoken = face.call("speech.speak", said, encoding=encoding)
        assert [mark.value for mark in spoken.marks] == ["The weather is fine today.", "We will go to the river."]
        heard = face.call("speech.transcribe", spoken.audio)
        assert heard.duration_s == pytest.approx(spoken.duration_s, abs=0.15)
        assert wrong_words(said, heard.text) <= 1
    spoken = face.call("speech.speak", said, word_timings=True)
    assert len(spoken.samples) == pytest.approx(spoken.duration_s * spoken.format.sample_rate_hz, abs=1)
    marked = [mark.value for mark in spoken.marks if mark.kind is speech.SpeechMarkKind.WORD]
    assert [word.strip(".") for word in marked] == said.replace(".", "").split()
    faster = face.call("speech.speak", said, speaking_rate=1.5)
    assert faster.duration_s < 0.8 * spoken.duration_s


def test_stream_of_fragments_sounds_as_the_whole(face: Face) -> None:
    said = "The weather is fine today. We will go to the river."
    whole = face.call("speech.speak", said, encoding="pcm_s16le")
    pieces, stream = face.events("speech.speak_stream", [said[place : place + 5] for place in range(0, len(said), 5)])
    assert b"".join(piece.audio for piece in pieces) == whole.audio
    assert stream.duration_s == pytest.approx(whole.duration_s)
    starts = [piece.start_s for piece in pieces]
    assert starts == sorted(starts)
    assert starts[0] == 0


def test_interrupt_tells_what_was_dropped(face: Face) -> None:
    said = "This is said. This will not be said, since somebody interrupts."
    events = face.read(face.open("speech.speak_stream", [said, speech.INTERRUPT, " And on."]).events())
    (interrupted,) = [event for event in events if isinstance(event, speech.SpeechInterrupted)]
    assert said[interrupted.discarded_start :].startswith(("This is said.", "This will"))
    assert interrupted.discarded_end == len(said)
    assert events[-1].__class__ is speech.AudioChunk
    sentences = [event.value for event in events if isinstance(event, speech.SpeechMark)]
    assert sentences[-1] == "And on."


def test_models_and_voices_tell_what_they_do(face: Face) -> None:
    recognizer = face.call("models.get", "moonshine-tiny-en")
    assert recognizer.capabilities == (Capability.RECOGNIZE_SPEECH,)
    assert recognizer.recognition.tasks == (speech.RecognitionTask.TRANSCRIBE,)
    assert (recognizer.recognition.gives_word_timings, recognizer.recognition.max_segment_s) == (False, 10)
    assert recognizer.limits.max_audio_s >= 3600
    assert face.call("models.get", "hibari-heart").limits.max_input_characters == 20000
    (voice,) = face.call("speech.voices", language="en")
    assert (voice.name, voice.model, voice.sample_rate_hz) == ("heart", "hibari-heart", 24000)
    assert face.call("speech.voices", language="ja") == []


def test_errors_are_the_errors_of_the_call(face: Face) -> None:
    for audio in (b"no sound", b"no sound" * 300_000):
        with pytest.raises(errors.UndecodableMedia):
            face.call("speech.transcribe", audio)
    with pytest.raises(errors.UnsupportedFeature, match="words"):
        face.call("speech.transcribe", recording("beckett.wav"), word_timings=True)
    with pytest.raises(errors.InvalidArgumentField, match="rate"):
        face.call("speech.speak", "Hello.", speaking_rate=9)
    with pytest.raises(errors.InputTooLarge):
        face.call("speech.speak", "word " * 5000)
    with pytest.raises(errors.ModelNotFound):
        face.call("speech.speak", "Hello.", model="nobody")


def test_where_nobody_speaks_nothing_is_heard(face: Face) -> None:
    noise = (0.01 * np.random.default_rng(5).standard_normal(16000 * 3)).astype(np.float32)
    transcript = face.call("speech.transcribe", noise, sample_rate_hz=16000)
    assert (transcript.text, transcript.segments, transcript.language_code) == ("", (), "")
    assert transcript.webvtt().strip() == "WEBVTT"
    assert transcript.srt() == ""


def test_commands(tmp_path: Path, server: RunningServer) -> None:
    command, out = Command(tmp_path, server.address), tmp_path / "said.mp3"
    told = json.loads(command.run("say", "We will go to the river.", "-o", str(out), "--json").stdout)
    assert told["marks"][0]["value"] == "We will go to the river."
    assert command.run("transcribe", str(out)).stdout == "We will go to the river.\n"
    captions = command.run("transcribe", str(out), "--srt").stdout
    assert captions.startswith("1\n00:00:00")
    wav = tmp_path / "said.wav"
    assert command.run("say", "-o", str(wav), stdin="We will go to the river.").returncode == 0
    assert command.run("dictate", str(wav)).stdout == "We will go to the river.\n"
    assert "heart" in command.run("voices").stdout


def test_text_longer_than_the_server_takes_ahead_is_said_whole(tmp_path: Path) -> None:
    folder = Store().pull("hibari-heart").folder
    text, out = "It rains. " * 150, tmp_path / "long.flac"
    with RunningServer(folder.parent, models__load="hibari-heart", speech__max_text_len=500) as running:
        done = Command(tmp_path, running.address).run("say", "-r", "2", "-o", str(out), "--json", stdin=text)
    told = json.loads(done.stdout)
    assert len(told["marks"]) == 150
    assert told["marks"][-1]["source_end"] == len(text) - 1
