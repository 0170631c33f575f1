"""The asynchronous client's face for speech."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence

from trivium import _speech_calls
from trivium._async_models import AsyncModelChoice
from trivium._async_speech_stream import AsyncSpeechStream, AsyncTranscriptStream
from trivium._async_transport import AsyncTransport
from trivium._call_settings import stream_options, unary_options
from trivium._metadata import Metadata
from trivium._retry import Deadline
from trivium._speech_course import RecognitionCourse, SynthesisCourse
from trivium._speech_format import AudioEncoding, checked_encoding, format_message
from trivium._speech_heard import (
    RecognitionMarker,
    RecognitionTask,
    Transcript,
    TranscriptionProgress,
)
from trivium._speech_input import AudioInput, Recording, SoundChunk, open_recording
from trivium._speech_recording import FileTranscription, sent_whole_bytes
from trivium._speech_settings import (
    Endpointing,
    checked_live_encoding,
    live_setup,
    recognition_config,
    synthesis_config,
)
from trivium._speech_spoken import Speech, SynthesisMarker, Voice
from trivium.models import Capability
from trivium.settings import CallOptions
from trivium.v1 import speech_pb2

__all__ = ["AsyncSpeechClient"]


class AsyncSpeechClient:
    """Turns speech into text and text into speech. For one event loop.

        (await client.speech.transcribe("talk.mp3")).text
        (await client.speech.speak("Good morning.")).save("morning.wav")

    model: without it, the only ready model of the server that can do what is asked, which is asked for at most every 30
        seconds. ModelNotChosen where there is none or several. The client's default_model does not count here: one name
        cannot stand for what hears and what speaks.
    language: a BCP-47 code, or several of which one is spoken; None is any that the model knows.
    task: TRANSLATE writes English, whatever is spoken, with a model that can.
    word_timings: says when each word was spoken, with a model that can.
    prompt: what was said before, or names and terms that may come.
    request_id: 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -; None makes a new one.
    metadata: more metadata for this call, over the client's.

    Every method raises UndecodableMedia for what is no sound, InputTooLarge for too much of it, and any other
    TriviumError; OSError for a file that cannot be read; TypeError or ValueError for arguments that cannot be sent.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._hearing = AsyncModelChoice(transport, Capability.RECOGNIZE_SPEECH, takes_default=False)
        self._speaking = AsyncModelChoice(transport, Capability.SYNTHESIZE_SPEECH, takes_default=False)

    async def transcribe(
        self,
        audio: AudioInput,
        *,
        model: str | None = None,
        language: str | Sequence[str] | None = None,
        task: RecognitionTask | str = RecognitionTask.TRANSCRIBE,
        word_timings: bool = False,
        prompt: str | None = None,
        separate_channels: bool = False,
        encoding: AudioEncoding | str = AudioEncoding.AUTO,
        sample_rate_hz: int | None = None,
        channel_count: int = 1,
        on_progress: Callable[[TranscriptionProgress], object] | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> Transcript:
        """Transcribes a recording. WAV, FLAC, Ogg Opus and MP3 are read, whatever their name.

        audio: a path, bytes, a file open for reading bytes, or an array of int16 or float32, which needs
            sample_rate_hz; see trivium.speech.AudioInput.
        separate_channels: transcribes each channel by itself. Such a recording must fit into one message.
        encoding: for sound without a header PCM_S16LE, PCM_F32LE, MULAW or ALAW, with sample_rate_hz and channel_count.
        on_progress: called now and then with how far it is. What it raises ends the call and is raised here.
        timeout_s: limit in seconds for everything; None is the client's timeout_s for a recording of up to 256 KiB, and
            the longest that a server gives, an hour, for a larger one, or with on_progress: these are sent in pieces.
            math.inf sends no limit.
        """
        config = recognition_config(
            model=model,
            language=language,
            task=task,
            word_timings=word_timings,
            prompt=prompt,
            separate_channels=separate_channels,
        )
        limit_bytes = self._transport.settings.max_message_bytes
        chosen = checked_encoding(encoding)
        whole_bytes = sent_whole_bytes(limit_bytes, separate_channels=separate_channels)
        recording = await asyncio.to_thread(open_recording, audio, chosen, sample_rate_hz, channel_count, whole_bytes)
        try:
            sending = FileTranscription(config, recording, chosen, whole_bytes, on_progress)
            options = sending.options(self._transport.settings, timeout_s, request_id, metadata)
            deadline = Deadline(options.timeout_s)
            if sending.whole is not None:
                await self._name_hearer(config, options, deadline)
                call = _speech_calls.recognize(config, sending.whole)
                return sending.done(await self._transport.unary(call, options, deadline))
            async with AsyncTranscriptStream(
                self._transport,
                _pieces(recording, sending),
                sending.course,
                options,
                lambda within: self._name_hearer(sending.setup.config, options, within),
            ) as stream:
                async for update in stream:
                    sending.note(update)
            return sending.transcript()
        finally:
            await asyncio.to_thread(recording.close)

    def stream(
        self,
        chunks: Iterable[SoundChunk | RecognitionMarker] | AsyncIterable[SoundChunk | RecognitionMarker],
        *,
        sample_rate_hz: int,
        encoding: AudioEncoding | str = AudioEncoding.PCM_S16LE,
        channel_count: int = 1,
        model: str | None = None,
        language: str | Sequence[str] | None = None,
        task: RecognitionTask | str = RecognitionTask.TRANSCRIBE,
        word_timings: bool = False,
        prompt: str | None = None,
        interim_results: bool = True,
        interim_period_s: float | None = None,
        endpointing: Endpointing | None = None,
        activity: bool = False,
        timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> AsyncTranscriptStream:
        """Transcribes live sound while it is spoken; see AsyncTranscriptStream.

        chunks: any iterable, asynchronous or not, of bytes, or of arrays of int16 or float32, also one that never ends;
            about 40 ms each is a good size. trivium.speech.FINALIZE and KEEP_ALIVE may stand between them.
        encoding: PCM_S16LE, PCM_F32LE, MULAW or ALAW; arrays are sent as one of the first two.
        interim_results: gives an utterance again and again while it grows, after every interim_period_s seconds, 0.1 to
            10, of new sound; None is 0.5.
        activity: events() gives SpeechActivity too.
        timeout_s: limit in seconds for the whole stream; None sends none, and the server then applies its own: 600 s
            unless it is configured otherwise. It also cuts a limit of more than an hour to one hour.
        idle_timeout_s: how long the server may owe its answer to the setup, or the end, and send nothing; None is the
            client's idle_timeout_s.

        Raises TypeError or ValueError at once for options that cannot be sent; iterating raises the rest.
        """
        chosen = checked_live_encoding(encoding)
        config = recognition_config(model=model, language=language, task=task, word_timings=word_timings, prompt=prompt)
        config.format.CopyFrom(format_message(chosen, sample_rate_hz, channel_count))
        setup = live_setup(
            config,
            interim_results=interim_results,
            interim_period_s=interim_period_s,
            endpointing=endpointing,
            activity=activity,
        )
        options = stream_options(self._transport.settings, timeout_s, idle_timeout_s, request_id, metadata)
        course = RecognitionCourse(setup, chosen, channel_count)
        named = course.setup.setup.config  # a message is copied into the one that it is put into
        return AsyncTranscriptStream(
            self._transport, chunks, course, options, lambda deadline: self._name_hearer(named, options, deadline)
        )

    async def speak(
        self,
        text: str,
        *,
        model: str | None = None,
        voice: str | None = None,
        language: str | None = None,
        encoding: AudioEncoding | str = AudioEncoding.WAV,
        sample_rate_hz: int | None = None,
        speaking_rate: float | None = None,
        volume_gain_db: float | None = None,
        word_timings: bool = False,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> Speech:
        """Speaks a text and returns all of its sound.

        voice: the name of one, as voices() gives it; None is the model's first voice, or its first of `language`.
        encoding: WAV, FLAC, OGG_OPUS, MP3, PCM_S16LE or PCM_F32LE. sample_rate_hz: None is the voice's own.
        speaking_rate: how fast, 0.5 to 2. volume_gain_db: how much louder, -40 to 20.
        word_timings: marks words, beside sentences.
        timeout_s: limit in seconds for everything that the call takes; None is the client's timeout_s. math.inf sends
            no limit.
        """
        config = synthesis_config(
            model=model,
            voice=voice,
            language=language,
            encoding=encoding,
            sample_rate_hz=sample_rate_hz,
            speaking_rate=speaking_rate,
            volume_gain_db=volume_gain_db,
            word_timings=word_timings,
        )
        call = _speech_calls.synthesize(config, text)
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        deadline = Deadline(options.timeout_s)
        await self._name_speaker(call.request.config, options, deadline)
        return await self._transport.unary(call, options, deadline)

    def speak_stream(
        self,
        fragments: Iterable[str | SynthesisMarker] | AsyncIterable[str | SynthesisMarker],
        *,
        model: str | None = None,
        voice: str | None = None,
        language: str | None = None,
        encoding: AudioEncoding | str = AudioEncoding.PCM_S16LE,
        sample_rate_hz: int | None = None,
        speaking_rate: float | None = None,
        volume_gain_db: float | None = None,
        word_timings: bool = False,
        timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> AsyncSpeechStream:
        """Speaks a text while it is written, for example by a language model; see AsyncSpeechStream.

        fragments: any iterable, asynchronous or not, of text, cut anywhere, within words too. A sentence is spoken when
            the next one begins, or at the end; trivium.speech.FLUSH between two fragments, or flush(), speaks what
            there is at once. What is not spoken yet is limited by the model's max_input_characters, 20000 unless it is
            configured otherwise.
        timeout_s, idle_timeout_s: as for stream(). The rest is as for speak().

        Raises TypeError or ValueError at once for options that cannot be sent; iterating raises the rest.
        """
        config = synthesis_config(
            model=model,
            voice=voice,
            language=language,
            encoding=encoding,
            sample_rate_hz=sample_rate_hz,
            speaking_rate=speaking_rate,
            volume_gain_db=volume_gain_db,
            word_timings=word_timings,
        )
        options = stream_options(self._transport.settings, timeout_s, idle_timeout_s, request_id, metadata)
        source = [fragments] if isinstance(fragments, str) else fragments
        course = SynthesisCourse(config)
        named = course.setup.setup.config
        return AsyncSpeechStream(
            self._transport, source, course, options, lambda deadline: self._name_speaker(named, options, deadline)
        )

    async def voices(
        self,
        *,
        model: str | None = None,
        language: str | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> list[Voice]:
        """Returns the voices of the models that are ready, of one model, or of those that speak a language."""
        options = unary_options(self._transport.settings, timeout_s, request_id, metadata)
        deadline = Deadline(options.timeout_s)
        found: list[Voice] = []
        page_token = ""
        while True:
            call = _speech_calls.list_voices(model, language, page_token)
            page, page_token = await self._transport.unary(call, options, deadline)
            found += page
            if not page_token:
                return found

    async def _name_hearer(
        self, config: speech_pb2.RecognitionConfig, options: CallOptions, deadline: Deadline
    ) -> None:
        if not config.model:
            config.model = await self._hearing.name(options, deadline)

    async def _name_speaker(self, config: speech_pb2.SynthesisConfig, options: CallOptions, deadline: Deadline) -> None:
        if not config.model:
            config.model = await self._speaking.name(options, deadline)


async def _pieces(recording: Recording, sending: FileTranscription) -> AsyncIterator[bytes]:
    pieces = recording.pieces()
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
        sending.note_sent(piece)
