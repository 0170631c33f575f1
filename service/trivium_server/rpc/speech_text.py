"""A whole text that is spoken at once."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial

from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech_capabilities import SpeechSynthesizer, Spoken, TextPiece
from trivium_server.errors import InputTooLarge
from trivium_server.rpc.answers import duration
from trivium_server.rpc.speech_call import SoundUsage, SpeechCall
from trivium_server.rpc.speech_marks import marks_of, num_left_out
from trivium_server.rpc.speech_synthesis_convert import SynthesisSpec
from trivium_server.rpc.speech_threads import SpeechThreads
from trivium_server.rpc.text_ledger import TextLedger
from trivium_server.speech.audio_writer import AudioWriter
from trivium_server.speech.loudness import amplified
from trivium_server.speech.sentences import split_sentences


async def speak_text(
    text: str,
    call: SpeechCall[SpeechSynthesizer],
    spec: SynthesisSpec,
    threads: SpeechThreads,
    response: pb.SynthesizeResponse,
    *,
    max_bytes: int,
) -> int:
    """Fills in the sound, how long it is, and when the parts of the text are spoken. Returns how many words are not.

    Raises InputTooLarge for more than max_bytes of sound, and what the model raises.
    """
    call.input_characters = len(text)
    rate_hz = call.model.sample_rate_hz
    writer = AudioWriter(
        spec.audio_format.encoding,
        from_hz=rate_hz,
        sample_rate_hz=spec.audio_format.sample_rate_hz,
        is_whole=True,
    )
    ledger = TextLedger(spec.unit)
    ledger.add(text)
    raw = bytearray()
    num_samples = num_words_left_out = 0

    def check_size(num_bytes: int) -> None:
        if num_bytes > max_bytes:
            unit = "bytes of sound or more, for which there is StreamSynthesize"
            raise InputTooLarge("input.text", num_bytes, max_bytes, unit)

    async def speak(sentence: TextPiece) -> Spoken:
        return await call.model.speak_sentence(
            sentence.text,
            voice=spec.voice,
            speaking_rate=spec.speaking_rate,
            deadline_s=call.call.deadline_s,
            meter=call.meter,
            ends_paragraph=sentence.ends_paragraph,
        )

    # A long text takes too long for the event loop.
    sentences = await threads.code(partial(split_sentences, text, call.model.max_sentence_len))
    async with contextlib.aclosing(_one_ahead(sentences, speak)) as spoken_sentences:
        async for sentence, spoken in spoken_sentences:
            num_words_left_out += num_left_out(sentence.text, spoken)
            if not len(spoken.samples):
                continue
            call.note_output()
            ledger.forget(sentence.start)
            start_s = num_samples / rate_hz
            response.marks.extend(marks_of(sentence, spoken, start_s, rate_hz, ledger, with_words=spec.with_words))
            num_samples += len(spoken.samples)
            raw += await threads.code(partial(_write, writer, spoken, spec.gain_db))
            check_size(len(raw) + writer.num_bytes_kept)
    raw += await threads.code(writer.finish)
    check_size(len(raw))
    response.audio = bytes(raw)
    response.audio_duration.CopyFrom(duration(num_samples / rate_hz))
    call.sound = lambda: SoundUsage(output_s=num_samples / rate_hz)
    return num_words_left_out


def _write(writer: AudioWriter, spoken: Spoken, gain_db: float) -> bytes:
    return writer.write(amplified(spoken.samples, gain_db))


async def _one_ahead(
    sentences: Sequence[TextPiece], speak: Callable[[TextPiece], Awaitable[Spoken]]
) -> AsyncGenerator[tuple[TextPiece, Spoken]]:
    """Yields sentences with their sound; while one is worked on, the next is spoken."""
    ahead: asyncio.Future[Spoken] | None = None
    try:
        for index, sentence in enumerate(sentences):
            spoken = await (ahead or speak(sentence))
            following = sentences[index + 1 : index + 2]
            ahead = asyncio.ensure_future(speak(following[0])) if following else None
            yield sentence, spoken
    finally:
        if ahead:
            ahead.cancel()
            await asyncio.gather(ahead, return_exceptions=True)
