"""Streams of speech: what is sent, what comes back, markers from other threads, errors on either side, and ends."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tests.sdk.faces import Face
from tests.sdk.scripted import ScriptedServer, fail, hang, reply
from tests.sdk.speech_script import hear_live, list_models, silent_after_setup, speak
from tests.serving import wait_until
from trivium import _async_speech_stream, _calls, _sync_speech_stream, errors, speech
from trivium.v1 import common_pb2, models_pb2, speech_pb2

Connect = Callable[..., Face]
STREAM = "speech.stream"
SPEAK = "speech.speak_stream"
RATE = {"sample_rate_hz": 16000}


@pytest.fixture
def seen() -> list[Any]:
    """The messages after the setup, of either service."""
    return []


@pytest.fixture
def server(faults: ScriptedServer, seen: list[Any]) -> ScriptedServer:
    faults.script(_calls.STREAM_RECOGNIZE, hear_live(seen))
    faults.script(_calls.STREAM_SYNTHESIZE, speak(seen))
    faults.script(_calls.LIST_MODELS, list_models)
    return faults


def kinds(seen: list[Any]) -> list[str | None]:
    return [request.WhichOneof("request") for request in seen]


def first_message(server: ScriptedServer, method: Any, act: Any, seen: list[Any]) -> None:
    """Keeps the setup too."""

    def keep(requests: Iterator[Any], context: grpc.ServicerContext) -> object:
        first = next(requests)
        seen.append(first)
        return act(itertools.chain([first], requests), context)

    server.script(method, keep)


def test_updates_are_typed(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    updates, stream = connect(server.target).events(STREAM, iter([b"one", b"two"]), **RATE)
    assert all(isinstance(update, speech.TranscriptUpdate) for update in updates)
    assert [(update.text, update.is_final, update.stable_text) for update in updates] == [
        ("one", True, "one"),
        ("two", True, "two"),
    ]
    assert stream.text == "one two"
    assert (stream.duration_s, stream.info.usage.audio.speech_s, stream.go_away) == (2.5, 0.75, None)
    assert stream.ready.model.name == "ear"
    assert stream.ready.format == speech.AudioFormat(
        encoding=speech.AudioEncoding.PCM_S16LE, sample_rate_hz=16000, channel_count=1
    )


def test_setup_says_what_was_asked(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    first_message(server, _calls.STREAM_RECOGNIZE, hear_live([]), seen)
    connect(server.target).events(
        STREAM,
        [b"one"],
        sample_rate_hz=8000,
        encoding="mulaw",
        channel_count=2,
        language="en",
        interim_results=False,
        interim_period_s=0.25,
        activity=True,
        endpointing=speech.Endpointing(trailing_silence_s=1.5, activity_threshold=0.75, single_utterance=True),
    )
    connect(server.target).events(STREAM, [b"one"], **RATE)
    full, bare = (request.setup for request in seen)
    assert (full.config.model, list(full.config.language_codes)) == ("ear", ["en"])
    assert full.config.format == speech_pb2.AudioFormat(
        encoding=speech_pb2.AUDIO_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=2
    )
    assert (full.interim_results, full.interim_period.ToMilliseconds()) == (False, 250)
    ends = full.endpointing
    assert (ends.emit_activity_events, ends.single_utterance) == (True, True)
    assert (ends.trailing_silence.ToMilliseconds(), ends.activity_threshold) == (1500, 0.75)
    assert not ends.HasField("speech_start_timeout")
    assert bare.interim_results
    assert not bare.HasField("endpointing")
    assert not bare.HasField("interim_period")


def test_arrays_are_sent_in_the_encoding_of_the_stream(
    connect: Connect, server: ScriptedServer, seen: list[Any]
) -> None:
    floats = np.array([0, 0.5, 1, -1, 2], np.float32)
    integers = np.array([0, 16384, 32767, -32768, 32767], np.int16)
    server.script(_calls.STREAM_RECOGNIZE, silent_after_setup(seen))
    face = connect(server.target)
    for encoding in ("pcm_s16le", "pcm_f32le"):
        stream = face.open(
            STREAM, [floats, integers, integers.astype(">i2")], encoding=encoding, idle_timeout_s=0.3, **RATE
        )
        face.read_until_error(stream)
    first, second, third, *others = (request.audio for request in seen)
    assert first == second == third == integers.tobytes()
    assert others[0] == floats.tobytes()
    assert others[1] == others[2] == (integers / np.float32(32768)).astype(np.float32).tobytes()


def test_large_chunk_is_cut(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    chunk = b"word" * 200_000
    _, stream = connect(server.target).events(STREAM, [chunk, b""], **RATE)
    assert b"".join(request.audio for request in seen) == chunk
    assert max(len(request.audio) for request in seen) <= 256 * 1024
    assert stream.info is not None


def test_markers_keep_their_place(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    connect(server.target).events(STREAM, [b"one", speech.FINALIZE, b"two", speech.KEEP_ALIVE, b"three"], **RATE)
    assert kinds(seen) == ["audio", "finalize", "audio", "keep_alive", "audio"]


def test_source_that_pauses_keeps_its_stream(
    connect: Connect, server: ScriptedServer, seen: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_sync_speech_stream, _async_speech_stream):
        monkeypatch.setattr(module, "KEEP_ALIVE_S", 0.2)

    def chunks() -> Iterator[bytes]:
        yield b"one"
        assert wait_until(lambda: len(seen) > 2)
        yield b"two"

    async def async_chunks() -> AsyncIterator[bytes]:
        yield b"one"
        assert await asyncio.to_thread(wait_until, lambda: len(seen) > 2)
        yield b"two"

    face = connect(server.target)
    face.events(STREAM, async_chunks() if face.is_async else chunks(), **RATE)
    first, *pause, last = kinds(seen)
    assert (first, set(pause), last) == ("audio", {"keep_alive"}, "audio")


def test_results_come_while_chunks_do(connect: Connect, server: ScriptedServer) -> None:
    """The next chunk is given only once the text of the one before it was read."""
    read = threading.Semaphore(1)

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            assert read.acquire(timeout=5)
            yield str(number).encode()

    async def async_chunks() -> AsyncIterator[bytes]:
        for number in range(3):
            assert await asyncio.to_thread(read.acquire, timeout=5)
            yield str(number).encode()

    face = connect(server.target)
    stream = face.open(STREAM, async_chunks() if face.is_async else chunks(), **RATE)
    reading = Reading(face, stream)
    texts = []
    for _ in range(3):
        texts.append(reading.next().text)
        read.release()
    assert texts == ["0", "1", "2"]
    assert reading.next() is None


class Reading:
    """Reads a stream of either client item by item."""

    def __init__(self, face: Face, stream: Any) -> None:  # a stream of either client
        self._face = face
        self._iterator = aiter(stream) if face.is_async else iter(stream)

    def next(self) -> Any:  # the item, None after the last
        if not self._face.is_async:
            return next(self._iterator, None)
        return self._face.run(self._anext())

    async def _anext(self) -> Any:
        return await anext(self._iterator, None)


def test_finish_ends_an_endless_source(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    over = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"one"
        over.wait(20)  # as a microphone that gives nothing more

    async def async_chunks() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(20)

    face = connect(server.target)
    stream = face.open(STREAM, async_chunks() if face.is_async else chunks(), **RATE)
    reading = Reading(face, stream)
    assert reading.next().text == "one"
    begun = time.monotonic()
    stream.finalize()
    stream.finish()
    stream.finish()
    stream.keep_alive()  # after the end; it is not sent
    assert reading.next().text == "finalize"
    assert reading.next() is None
    assert time.monotonic() - begun < 5
    assert kinds(seen) == ["audio", "finalize"]
    assert stream.info is not None
    over.set()


def test_server_may_end_first(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    server.script(_calls.STREAM_RECOGNIZE, hear_live(seen, utterances=2))
    updates, stream = connect(server.target).events(STREAM, _words(), **RATE)
    assert [update.text for update in updates] == ["0", "1"]
    assert stream.info is not None


def _words() -> Iterator[bytes]:
    for number in range(1000):
        time.sleep(0.005)
        yield str(number).encode()


def test_go_away_is_an_event_and_an_attribute(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    server.script(_calls.STREAM_RECOGNIZE, hear_live(seen, go_away_after=1))
    face = connect(server.target)
    stream = face.open(STREAM, [b"one", b"two"], **RATE)
    events = face.read(stream.events())
    assert [type(event).__name__ for event in events] == [
        "RecognitionReady",
        "TranscriptUpdate",
        "GoAway",
        "TranscriptUpdate",
    ]
    assert stream.go_away == events[2]
    assert events[2].time_left_s == 7.5


def test_activity_is_typed_and_a_new_kind_is_skipped(connect: Connect, server: ScriptedServer) -> None:
    response = speech_pb2.StreamRecognizeResponse

    def act(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        next(requests)
        yield response(ready=speech_pb2.RecognitionReady())
        start = speech_pb2.SpeechActivity(kind=speech_pb2.ACTIVITY_KIND_SPEECH_START)
        start.offset.FromMilliseconds(1250)
        yield response(sequence=1, activity=start)
        yield response(sequence=2, activity=speech_pb2.SpeechActivity(kind=99))  # type: ignore[arg-type]  # of a later version
        yield response(sequence=3)
        yield response(sequence=4, completed=speech_pb2.RecognitionCompleted())

    server.script(_calls.STREAM_RECOGNIZE, act)
    face = connect(server.target)
    _, *events = face.read(face.open(STREAM, [b"one"], **RATE).events())
    assert [(event.kind, event.offset_s) for event in events] == [(speech.ActivityKind.SPEECH_START, 1.25)]


@pytest.mark.parametrize(
    ("after", "kind", "says"),
    [
        (5, TypeError, "a chunk of sound is int"),
        (np.zeros(3, np.float64), TypeError, "float64"),
        (np.zeros((3, 2), np.int16), ValueError, "channel_count is 1"),
        (np.full(3, np.nan, np.float32), ValueError, "no finite number"),
    ],
)
def test_wrong_chunk_raises_after_the_results_before(
    connect: Connect, server: ScriptedServer, after: object, kind: type[Exception], says: str
) -> None:
    face = connect(server.target)
    updates, error = face.read_until_error(face.open(STREAM, [b"one", after, b"two"], **RATE))
    assert [update.text for update in updates] == ["one"]
    assert isinstance(error, kind)
    assert says in str(error)


def test_source_that_fails_raises_after_the_results_before(connect: Connect, server: ScriptedServer) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise OSError("the microphone is gone")

    face = connect(server.target)
    stream = face.open(STREAM, chunks(), **RATE)
    updates, error = face.read_until_error(stream)
    assert [update.text for update in updates] == ["one"]
    assert isinstance(error, OSError)
    assert stream.info is not None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"encoding": "wav"}, r"encoding is 'wav'; live sound is one of pcm_s16le.* transcribe\(\) takes files"),
        ({"encoding": "loud"}, "encoding is 'loud', not one of"),
        ({"task": "sing"}, "task is 'sing'"),
        ({"prompt": "\ud800"}, "prompt has half of a surrogate pair"),
    ],
)
def test_wrong_options_are_named_at_once(
    connect: Connect, server: ScriptedServer, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        connect(server.target).open(STREAM, [b"one"], **(RATE | options))
    assert server.received == []


def test_early_break_ends_the_call(connect: Connect, server: ScriptedServer) -> None:
    face = connect(server.target)
    endless = (str(number).encode() for number in itertools.count())
    assert face.first(STREAM, endless, **RATE).text == "0"
    assert server.cancelled.wait(5)


def test_refused_setup_is_sent_again_and_loses_nothing(
    connect: Connect, server: ScriptedServer, seen: list[Any]
) -> None:
    busy = fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", reason="QUEUE_FULL", retry_after_s=0.01)
    server.script(_calls.STREAM_RECOGNIZE, busy, busy, hear_live(seen))
    updates, _ = connect(server.target).events(STREAM, iter([b"one", b"two"]), **RATE)
    assert [update.text for update in updates] == ["one", "two"]


def test_broken_stream_is_not_sent_again(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    def act(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        yield from itertools.islice(hear_live(seen)(requests, context), 2)  # type: ignore[call-overload]  # an act returns what it likes
        context.abort(grpc.StatusCode.UNAVAILABLE, "connection reset")

    server.script(_calls.STREAM_RECOGNIZE, act)
    face = connect(server.target)
    stream = face.open(STREAM, _words(), **RATE)
    updates, error = face.read_until_error(stream)
    assert [update.text for update in updates] == ["0"]
    assert isinstance(error, errors.ConnectionLost)
    assert stream.text == "0"


def test_truncated_stream_is_an_error(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    def act(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        yield from itertools.islice(hear_live(seen)(requests, context), 3)  # type: ignore[call-overload]  # an act returns what it likes

    server.script(_calls.STREAM_RECOGNIZE, act)
    face = connect(server.target)
    updates, error = face.read_until_error(face.open(STREAM, [b"one", b"two"], **RATE))
    assert [update.text for update in updates] == ["one", "two"]
    assert isinstance(error, errors.TruncatedStream)


def test_idle_limit_counts_when_the_server_owes_something(
    connect: Connect, server: ScriptedServer, seen: list[Any]
) -> None:
    face = connect(server.target)

    def quiet() -> Iterator[bytes]:
        yield b"one"
        time.sleep(0.6)  # the server owes nothing meanwhile

    async def async_quiet() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.sleep(0.6)

    source = async_quiet() if face.is_async else quiet()
    updates, _ = face.events(STREAM, source, idle_timeout_s=0.3, **RATE)
    assert [update.text for update in updates] == ["one"]
    for act in (hang(), silent_after_setup(seen)):
        server.script(_calls.STREAM_RECOGNIZE, act)
        _, error = face.read_until_error(face.open(STREAM, [b"one"], idle_timeout_s=0.3, **RATE))
        assert isinstance(error, errors.StreamIdleTimeout)


def test_spoken_stream(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    first_message(server, _calls.STREAM_SYNTHESIZE, speak(seen), seen)
    chunks, stream = connect(server.target).events(SPEAK, iter(["Hel", "", "lo."]), voice="heart", speaking_rate=0.5)
    assert b"".join(chunk.audio for chunk in chunks) == b"Hello."
    assert stream.ready.format.encoding is speech.AudioEncoding.PCM_S16LE
    assert (stream.duration_s, stream.info.usage.audio.output_s) == (1.5, 1.5)
    setup, *fragments = seen
    config = setup.setup.config
    assert (config.model, config.voice.voice_name, config.speaking_rate) == ("mouth", "heart", 0.5)
    assert [request.text_fragment for request in fragments] == ["Hel", "lo."]


def test_one_text_is_one_fragment(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    connect(server.target).events(SPEAK, "Hello.")
    assert [request.text_fragment for request in seen] == ["Hello."]


def test_flush_and_interrupt_stand_between_fragments(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    face = connect(server.target)
    source = ["One. ", speech.FLUSH, "Two. ", speech.INTERRUPT, "Three."]
    events = face.read(face.open(SPEAK, source).events())
    assert [type(event).__name__ for event in events] == [
        "SynthesisReady",
        "SpeechMark",
        "AudioChunk",
        "SpeechInterrupted",
        "SpeechMark",
        "AudioChunk",
    ]
    interrupted = events[3]
    assert (interrupted.produced_s, interrupted.discarded_start, interrupted.discarded_end) == (0.5, 5, 10)
    assert events[4].value == "Three."


def test_interrupt_does_not_wait_for_the_source(connect: Connect, server: ScriptedServer, seen: list[Any]) -> None:
    over = threading.Event()

    def fragments() -> Iterator[str | speech.SynthesisMarker]:
        yield "One. "
        yield speech.FLUSH
        over.wait(20)  # as a model that thinks

    async def async_fragments() -> AsyncIterator[str | speech.SynthesisMarker]:
        yield "One. "
        yield speech.FLUSH
        await asyncio.sleep(20)

    face = connect(server.target)
    stream = face.open(SPEAK, async_fragments() if face.is_async else fragments())
    reading = Reading(face, stream)
    assert reading.next().audio == b"One. "
    begun = time.monotonic()
    if face.is_async:
        stream.flush()
        stream.interrupt()
        stream.finish()
    else:
        other = threading.Thread(target=lambda: [stream.flush(), stream.interrupt(), stream.finish()])
        other.start()
        other.join()
    assert reading.next() is None
    assert time.monotonic() - begun < 5
    assert kinds(seen) == ["text_fragment", "flush", "flush", "interrupt"]
    over.set()


def test_what_was_made_ahead_is_left_out_after_an_interruption(
    connect: Connect, server: ScriptedServer, seen: list[Any]
) -> None:
    """The script speaks `Two. ` before it hears of the interruption, which the caller makes after `One. `."""
    goes_on = threading.Event()

    def fragments() -> Iterator[str | speech.SynthesisMarker]:
        yield from ("One. ", speech.FLUSH, "Two. ", speech.FLUSH)
        assert goes_on.wait(20)
        yield "Three. "

    async def async_fragments() -> AsyncIterator[str | speech.SynthesisMarker]:
        for fragment in ("One. ", speech.FLUSH, "Two. ", speech.FLUSH):
            yield fragment
        assert await asyncio.to_thread(goes_on.wait, 20)
        yield "Three. "

    face = connect(server.target)
    stream = face.open(SPEAK, async_fragments() if face.is_async else fragments())
    reading = Reading(face, stream)
    assert reading.next().audio == b"One. "
    assert wait_until(lambda: len(seen) == 4)
    assert stream.interrupt() is True
    goes_on.set()
    assert reading.next().audio == b"Three. "
    assert reading.next() is None
    # All text is with the server, which cannot be told any more.
    assert stream.interrupt() is False


def test_wrong_fragment_raises_after_the_sound_before(connect: Connect, server: ScriptedServer) -> None:
    face = connect(server.target)
    chunks, error = face.read_until_error(face.open(SPEAK, ["One.", b"Two."]))
    assert [chunk.audio for chunk in chunks] == [b"One."]
    assert isinstance(error, TypeError)
    assert "a fragment of text is bytes" in str(error)


def test_go_away_of_a_spoken_stream(connect: Connect, server: ScriptedServer) -> None:
    def act(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        response = speech_pb2.StreamSynthesizeResponse
        next(requests)
        yield response(ready=speech_pb2.SynthesisReady())
        yield response(sequence=1, go_away=common_pb2.GoAway())
        yield response(sequence=2, completed=speech_pb2.SynthesisCompleted())

    server.script(_calls.STREAM_SYNTHESIZE, act)
    face = connect(server.target)
    stream = face.open(SPEAK, ["One."])
    _, told = face.read(stream.events())
    assert isinstance(told, speech.GoAway)
    assert stream.go_away == told


@pytest.mark.parametrize("method", [STREAM, SPEAK])
def test_time_limit_holds(connect: Connect, server: ScriptedServer, seen: list[Any], method: str) -> None:
    def deaf(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        while context.is_active():
            time.sleep(0.01)
        yield from ()

    server.script(_calls.STREAM_RECOGNIZE, deaf)
    server.script(_calls.STREAM_SYNTHESIZE, deaf)
    options = RATE if method == STREAM else {}
    face = connect(server.target)
    _, error = face.read_until_error(face.open(method, [], timeout_s=0.3, **options))
    assert isinstance(error, errors.DeadlineExceededError)
    assert not isinstance(error, errors.StreamIdleTimeout)


@pytest.mark.parametrize("method", [STREAM, SPEAK])
def test_close_ends_a_stream_that_waits(connect: Connect, server: ScriptedServer, seen: list[Any], method: str) -> None:
    server.script(_calls.STREAM_RECOGNIZE, hang())
    server.script(_calls.STREAM_SYNTHESIZE, hang())
    options = RATE if method == STREAM else {}
    face = connect(server.target)
    stream = face.open(method, [], **options)

    async def read_and_close() -> Any:  # the error
        async def read() -> Any:
            try:
                return [event async for event in stream.events()]
            except errors.CallCancelledError as error:
                return error

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        await stream.aclose()
        return await reading

    if face.is_async:
        error = face.run(read_and_close())
    else:
        threading.Timer(0.2, stream.close).start()
        _, error = face.read_until_error(stream)
    assert isinstance(error, errors.CallCancelledError)
    assert server.cancelled.wait(5)


def test_no_thread_is_left(connect: Connect, server: ScriptedServer) -> None:
    face = connect(server.target)
    face.events(STREAM, [b"one"], **RATE)
    face.first(STREAM, _words(), **RATE)
    face.events(SPEAK, ["One."])
    deadline = time.monotonic() + 5
    while any(thread.name == "trivium-speech-source" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a thread still reads its source"
        time.sleep(0.01)


def test_model_that_is_not_chosen(connect: Connect, server: ScriptedServer) -> None:
    server.script(_calls.LIST_MODELS, reply(models_pb2.ListModelsResponse()))
    face = connect(server.target)
    _, error = face.read_until_error(face.open(STREAM, [b"one"], **RATE))
    assert isinstance(error, errors.ModelNotChosen)
    assert "no model that recognises speech" in str(error)
