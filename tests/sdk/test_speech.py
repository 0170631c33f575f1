"""Recordings and texts: what is sent, what comes back, and what is refused before it is sent."""

import io
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, fail, hang, reply
from tests.sdk.speech_script import hear_file, list_models, recognize, synthesize, voices, wav
from trivium import _calls, errors, speech
from trivium.v1 import models_pb2, speech_pb2

Connect = Callable[..., Face]
SMALL = wav(bytes(1000))
LARGE = wav(bytes(3 * 1024 * 1024 + 7))


@pytest.fixture
def kept() -> list[bytes]:
    """The files that were sent in pieces."""
    return []


@pytest.fixture
def hearing(faults: ScriptedServer, kept: list[bytes]) -> ScriptedServer:
    faults.script(_calls.RECOGNIZE, recognize)
    faults.script(_calls.STREAM_RECOGNIZE, hear_file(kept))
    faults.script(_calls.SYNTHESIZE, synthesize)
    faults.script(_calls.LIST_VOICES, reply(voices("heart")))
    faults.script(_calls.LIST_MODELS, list_models)
    return faults


def sent(server: ScriptedServer) -> list[Any]:
    """The requests of Recognize and Synthesize."""
    return [call.request for call in server.received if call.path in (_calls.RECOGNIZE.path, _calls.SYNTHESIZE.path)]


def test_small_recording_is_sent_whole(connect: Connect, hearing: ScriptedServer, kept: list[bytes]) -> None:
    transcript = connect(hearing.target).call("speech.transcribe", SMALL)
    (request,) = sent(hearing)
    assert request.audio.content == SMALL
    assert (request.config.model, list(request.config.language_codes), request.config.prompt) == ("ear", [], "")
    assert request.config.format.encoding == speech_pb2.AUDIO_ENCODING_AUTO
    assert kept == []
    assert (transcript.text, transcript.language_code, transcript.duration_s) == ("Hello.", "en", 2.5)
    (segment,) = transcript.segments
    assert (segment.text, segment.start_s, segment.end_s, segment.index) == ("Hello.", 0.5, 1.25, 0)
    assert (segment.confidence, segment.no_speech_probability, segment.words) == (0.5, 0.25, ())
    assert transcript.srt() == "1\n00:00:00,500 --> 00:00:01,250\nHello.\n"
    assert transcript.webvtt() == "WEBVTT\n"
    audio = transcript.info.usage.audio
    assert (audio.input_s, audio.speech_s, audio.output_s, audio.channel_count) == (2.5, 0.75, None, 1)


def test_options_are_sent(connect: Connect, hearing: ScriptedServer) -> None:
    transcript = connect(hearing.target).call(
        "speech.transcribe",
        SMALL,
        model="other",
        language=["en", "de"],
        task="translate",
        word_timings=True,
        prompt="Estragon",
        separate_channels=True,
    )
    (request,) = sent(hearing)
    config = request.config
    assert (config.model, list(config.language_codes), config.prompt) == ("other", ["en", "de"], "Estragon")
    assert config.task == speech_pb2.RECOGNITION_TASK_TRANSLATE
    assert (config.include_word_timings, config.separate_channels) == (True, True)
    (word,) = transcript.words
    assert (word.word, word.start_s, word.end_s, word.confidence) == ("Hello.", 0.5, 1.0, 0.75)


def test_every_form_of_a_recording_is_sent_alike(
    connect: Connect, hearing: ScriptedServer, kept: list[bytes], tmp_path: Path
) -> None:
    face = connect(hearing.target)
    for content in (SMALL, LARGE):
        file = tmp_path / "sound.wav"
        file.write_bytes(content)
        forms: list[object] = [file, str(file), content, bytearray(content), memoryview(content), io.BytesIO(content)]
        for form in forms:
            face.call("speech.transcribe", form)
        with file.open("rb") as opened:
            face.call("speech.transcribe", opened)
            assert not opened.closed
    assert [request.audio.content for request in sent(hearing)] == [SMALL] * 7
    assert kept == [LARGE] * 7


def test_pieces_give_the_same_type_of_result(connect: Connect, hearing: ScriptedServer) -> None:
    whole = connect(hearing.target).call("speech.transcribe", SMALL)
    pieces = connect(hearing.target).call("speech.transcribe", LARGE)
    assert type(pieces) is type(whole)
    assert (pieces.text, pieces.language_code, pieces.duration_s) == ("Hello. Again.", "en", 2.5)
    assert [segment.index for segment in pieces.segments] == [0, 1]
    assert pieces.segments[0] == whole.segments[0]
    assert (pieces.srt(), pieces.webvtt()) == (whole.srt(), whole.webvtt())
    assert pieces.info.usage.audio == whole.info.usage.audio


def test_progress_goes_from_sending_to_hearing(connect: Connect, hearing: ScriptedServer, kept: list[bytes]) -> None:
    seen: list[speech.TranscriptionProgress] = []
    connect(hearing.target).call("speech.transcribe", LARGE, on_progress=seen.append)
    sending = [far for far in seen if far.audio_s is None]
    assert [far.sent_bytes for far in sending] == sorted({far.sent_bytes for far in sending})
    assert sending[-1].sent_bytes == sending[-1].total_bytes == len(LARGE)
    assert [(far.processed_s, far.audio_s) for far in seen[len(sending) :]] == [(1.25, 2.5), (2.25, 2.5), (2.5, 2.5)]
    assert seen[-1].fraction == 1
    seen.clear()
    connect(hearing.target).call("speech.transcribe", SMALL, on_progress=seen.append)
    assert kept[1:] == [SMALL]  # in pieces too, so that there is progress
    assert seen[-1].fraction == 1


def test_what_on_progress_raises_ends_the_call(connect: Connect, hearing: ScriptedServer, kept: list[bytes]) -> None:
    def stop(far: speech.TranscriptionProgress) -> None:
        if far.sent_bytes > 600_000:
            raise RuntimeError("no time")

    with pytest.raises(RuntimeError, match="no time"):
        connect(hearing.target).call("speech.transcribe", LARGE, on_progress=stop)
    assert hearing.cancelled.wait(5)


def test_file_that_breaks_ends_the_call(connect: Connect, hearing: ScriptedServer) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 2_000_000:
                raise OSError("the disk is gone")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is gone"):
        connect(hearing.target).call("speech.transcribe", Broken(LARGE))
    assert hearing.cancelled.wait(5)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_samples_are_sent_as_a_file(connect: Connect, hearing: ScriptedServer, dtype: type) -> None:
    samples: NDArray[Any] = np.arange(-50, 50).reshape(50, 2).astype(dtype)
    for given in (samples, samples.astype(samples.dtype.newbyteorder(">"))):
        connect(hearing.target).call("speech.transcribe", given, sample_rate_hz=22050)
    first, second = (request.audio.content for request in sent(hearing))
    assert first == second
    assert first[44:] == samples.tobytes()
    if dtype is np.int16:
        with wave.open(io.BytesIO(first)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (22050, 2, 50)


def test_sound_without_a_header_gets_one(connect: Connect, hearing: ScriptedServer, kept: list[bytes]) -> None:
    face = connect(hearing.target)
    samples = bytes(range(100)) * 2
    options = {"encoding": "pcm_s16le", "sample_rate_hz": 8000}
    face.call("speech.transcribe", samples, **options)
    (request,) = sent(hearing)
    assert request.config.format.encoding == speech_pb2.AUDIO_ENCODING_WAV
    with wave.open(io.BytesIO(request.audio.content)) as file:
        assert (file.getframerate(), file.readframes(1000)) == (8000, samples)
    face.call("speech.transcribe", io.BytesIO(bytes(2_000_000)), **options)
    with wave.open(io.BytesIO(kept[0])) as file:
        assert file.getnframes() == 1_000_000


@pytest.mark.parametrize(
    ("audio", "options", "kind", "says"),
    [
        (b"", {}, ValueError, "audio is empty"),
        (5, {}, TypeError, "audio is int; give a path"),
        (io.StringIO("text"), {}, TypeError, "open it with mode 'rb'"),
        ("https://example.org/a.mp3", {}, ValueError, "fetch it first"),
        ("nowhere.wav", {}, OSError, "nowhere.wav"),
        (np.zeros(5, np.float64), {"sample_rate_hz": 16000}, TypeError, "array of float64"),
        (np.zeros((1, 2, 3), np.int16), {"sample_rate_hz": 16000}, ValueError, "shape"),
        (np.zeros(5, np.int16), {}, ValueError, "sample_rate_hz is missing"),
        (b"x", {"encoding": "mulaw"}, ValueError, "sample_rate_hz is missing; mulaw"),
        (b"x", {"encoding": "aac"}, ValueError, "encoding is 'aac', not one of auto, pcm_s16le"),
        (b"x", {"task": "sing"}, ValueError, "task is 'sing', not one of transcribe, translate"),
        (b"x", {"language": 5}, TypeError, "language is int"),
        (LARGE, {"separate_channels": True}, errors.InputTooLarge, "send each channel"),
    ],
)
def test_what_cannot_be_sent_is_not_sent(
    connect: Connect, hearing: ScriptedServer, audio: object, options: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        connect(hearing.target, max_message_bytes=3 * 1024 * 1024).call("speech.transcribe", audio, **options)
    assert hearing.received == []


def test_recording_that_is_empty_is_no_recording(connect: Connect, hearing: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "empty.wav"
    file.touch()
    for audio in (file, io.BytesIO()):
        with pytest.raises(ValueError, match="audio is empty"):
            connect(hearing.target).call("speech.transcribe", audio)


def test_file_of_unknown_size(connect: Connect, hearing: ScriptedServer, kept: list[bytes]) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self._left = content

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:  # any writable buffer
            piece, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
            buffer[: len(piece)] = piece
            return len(piece)

    seen: list[speech.TranscriptionProgress] = []
    pipe: BinaryIO = io.BufferedReader(Pipe(LARGE))
    connect(hearing.target).call("speech.transcribe", pipe, on_progress=seen.append)
    assert kept == [LARGE]
    assert seen[0].total_bytes is None


def test_model_is_chosen_by_capability(connect: Connect, hearing: ScriptedServer) -> None:
    face = connect(hearing.target, default_model="a-text-model")
    face.call("speech.transcribe", SMALL)
    face.call("speech.transcribe", LARGE)
    face.call("speech.speak", "Hello.")
    assert [request.config.model for request in sent(hearing)] == ["ear", "mouth"]
    models = [models_pb2.Model(name=name, state=models_pb2.MODEL_STATE_READY) for name in ("a", "b")]
    hearing.script(_calls.LIST_MODELS, reply(models_pb2.ListModelsResponse(models=models)))
    other = connect(hearing.target)
    with pytest.raises(errors.ModelNotChosen, match="recognises speech; name one of a, b"):
        other.call("speech.transcribe", SMALL)
    with pytest.raises(errors.ModelNotChosen, match="recognises speech; name one of a, b"):
        other.call("speech.transcribe", LARGE)
    with pytest.raises(errors.ModelNotChosen, match="speaks; name one of a, b"):
        other.call("speech.speak", "Hello.")


def test_failure_in_pieces_is_the_error_of_the_call(connect: Connect, hearing: ScriptedServer) -> None:
    refused = fail(
        grpc.StatusCode.INVALID_ARGUMENT, "no sound", reason="UNDECODABLE_MEDIA", metadata={"field": "audio"}
    )
    hearing.script(_calls.STREAM_RECOGNIZE, refused)
    with pytest.raises(errors.UndecodableMedia, match="no sound"):
        connect(hearing.target).call("speech.transcribe", LARGE)


def test_time_limit_holds_in_pieces(connect: Connect, hearing: ScriptedServer) -> None:
    hearing.script(_calls.STREAM_RECOGNIZE, hang())
    with pytest.raises(errors.DeadlineExceededError):
        connect(hearing.target).call("speech.transcribe", LARGE, timeout_s=0.3)
    assert hearing.cancelled.wait(5)


def test_busy_server_is_asked_again(connect: Connect, hearing: ScriptedServer, kept: list[bytes]) -> None:
    busy = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL", retry_after_s=0.01)
    hearing.script(_calls.STREAM_RECOGNIZE, busy, busy, hear_file(kept))
    assert connect(hearing.target).call("speech.transcribe", LARGE).text == "Hello. Again."
    assert kept == [LARGE]


def test_speech(connect: Connect, hearing: ScriptedServer, tmp_path: Path) -> None:
    spoken = connect(hearing.target).call(
        "speech.speak",
        "Hello.",
        voice="heart",
        language="en",
        sample_rate_hz=24000,
        speaking_rate=1.5,
        volume_gain_db=-3,
        word_timings=True,
    )
    (request,) = sent(hearing)
    config = request.config
    assert (config.model, config.voice.voice_name, config.voice.language_code) == ("mouth", "heart", "en")
    assert (config.speaking_rate, config.volume_gain_db, config.include_word_timings) == (1.5, -3, True)
    assert (config.output_format.encoding, config.output_format.sample_rate_hertz) == (
        speech_pb2.AUDIO_ENCODING_WAV,
        24000,
    )
    assert (spoken.format.encoding, spoken.format.sample_rate_hz) == (speech.AudioEncoding.WAV, 24000)
    assert spoken.duration_s == 1.5
    (mark,) = spoken.marks
    assert (mark.kind, mark.value, mark.source_start, mark.source_end) == ("SENTENCE", "Hello.", 0, 6)
    assert spoken.samples.dtype == np.int16
    assert spoken.samples.tolist() == [0, 1, -1, 32767]
    with pytest.raises(ValueError, match=r"hello\.mp3: the sound is WAV; ask for encoding='mp3'"):
        spoken.save(tmp_path / "hello.mp3")
    spoken.save(tmp_path / "hello.wav")
    assert (tmp_path / "hello.wav").read_bytes() == spoken.audio


def test_samples_of_each_encoding(connect: Connect, hearing: ScriptedServer) -> None:
    face = connect(hearing.target)
    assert face.call("speech.speak", "Hello.", encoding="pcm_s16le").samples.tolist() == [0, 1, -1, 32767]
    assert face.call("speech.speak", "Hello.", encoding="pcm_f32le").samples.shape == (2,)
    with pytest.raises(ValueError, match="need a decoder"):
        _ = face.call("speech.speak", "Hello.", encoding="mp3").samples


def test_absent_options_of_speech_are_absent(connect: Connect, hearing: ScriptedServer) -> None:
    connect(hearing.target).call("speech.speak", "Hello.")
    (request,) = sent(hearing)
    assert {field.name for field, _ in request.config.ListFields()} == {"model", "output_format"}
    assert {field.name for field, _ in request.config.output_format.ListFields()} == {"encoding"}


def test_voices_of_all_pages(connect: Connect, hearing: ScriptedServer) -> None:
    first = voices("alpha")
    first.next_page_token = "more"
    hearing.script(_calls.LIST_VOICES, reply(first), reply(voices("beta")))
    found = connect(hearing.target).call("speech.voices", model="mouth", language="en")
    assert [voice.name for voice in found] == ["alpha", "beta"]
    assert (found[0].model, found[0].language_codes, found[0].sample_rate_hz) == ("mouth", ("en-US",), 24000)
    assert found[0].traits == {"gender": "female"}
    pages = [call.request for call in hearing.received]
    assert [(page.model, page.language_code, page.page_token) for page in pages] == [
        ("mouth", "en", ""),
        ("mouth", "en", "more"),
    ]
