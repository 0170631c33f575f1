"""SpeechSynthesisService: text in, sound out."""

import bisect
import contextlib
import itertools
from collections.abc import AsyncIterator

from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechSynthesisServiceServicer
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.speech_capabilities import SpeechSynthesizer
from trivium_server.config import SpeechConfig
from trivium_server.rpc.admission import Admission
from trivium_server.rpc.answers import duration
from trivium_server.rpc.go_away import go_aways
from trivium_server.rpc.paging import DEFAULT_PAGE_SIZE, Paging
from trivium_server.rpc.speech_call import SpeechCall, speech_call
from trivium_server.rpc.speech_fields import check_language_code, format_message, speaks
from trivium_server.rpc.speech_marks import left_out_warnings
from trivium_server.rpc.speech_messages import first_request
from trivium_server.rpc.speech_speaking import SpeakingStream
from trivium_server.rpc.speech_synthesis_convert import SynthesisSpec, speak_stream_spec, synthesize_spec
from trivium_server.rpc.speech_text import speak_text
from trivium_server.rpc.speech_threads import SpeechThreads
from trivium_server.rpc.violations import Violations

# grpc's servicer context: the boundary alone talks to it.
Context = object
_PAGING = Paging(method="trivium.v1.ListVoices", choice="model or language")


class SpeechSynthesisService(SpeechSynthesisServiceServicer):
    """See proto/trivium/v1/speech.proto. max_sound_bytes: of the sound in one response."""

    def __init__(
        self,
        catalog: Catalog,
        config: SpeechConfig,
        threads: SpeechThreads,
        admission: Admission,
        *,
        max_sound_bytes: int,
    ) -> None:
        self._catalog = catalog
        self._max_text_len = config.max_text_len
        self._threads = threads
        self._admission = admission
        self._max_sound_bytes = max_sound_bytes

    async def Synthesize(self, request: pb.SynthesizeRequest, context: Context) -> pb.SynthesizeResponse:
        def check(model: SpeechSynthesizer | None, found: Violations) -> SynthesisSpec:
            return synthesize_spec(request, model, found, max_text_len=self._max_text_len)

        name = request.config.model
        with speech_call(self._catalog, SpeechSynthesizer, name, "config.model", check) as (call, spec):  # type: ignore[type-abstract]
            response = pb.SynthesizeResponse(format=format_message(spec.audio_format))
            num_words_left_out = await speak_text(
                request.input.text, call, spec, self._threads, response, max_bytes=self._max_sound_bytes
            )
            response.info.CopyFrom(call.info(left_out_warnings(num_words_left_out, "input.text")))
            return response

    async def StreamSynthesize(
        self, requests: AsyncIterator[pb.StreamSynthesizeRequest], context: Context
    ) -> AsyncIterator[pb.StreamSynthesizeResponse]:
        setup = (await first_request(requests)).setup

        def check(model: SpeechSynthesizer | None, found: Violations) -> SynthesisSpec:
            return speak_stream_spec(setup, model, found)

        number = itertools.count()
        name = setup.config.model
        with speech_call(self._catalog, SpeechSynthesizer, name, "setup.config.model", check) as (call, spec):  # type: ignore[type-abstract]
            ready = pb.SynthesisReady(model=call.served, format=format_message(spec.audio_format))
            yield pb.StreamSynthesizeResponse(sequence=next(number), ready=ready)
            stream = SpeakingStream(call, spec, self._threads, max_text_len=self._max_text_len)
            others = (self._announce_end(call, stream), call.until_gone())
            async with contextlib.aclosing(stream.events(requests, *others)) as events:
                async for event in events:
                    event.sequence = next(number)
                    yield event
            info = call.info(left_out_warnings(stream.num_words_left_out, "text_fragment"))
            completed = pb.SynthesisCompleted(info=info, audio_duration=duration(stream.produced_s))
            yield pb.StreamSynthesizeResponse(sequence=next(number), completed=completed)

    async def ListVoices(self, request: pb.ListVoicesRequest, context: Context) -> pb.ListVoicesResponse:
        found = Violations()
        found.number("list.page_size", request.page_size, "page_size")
        if request.language_code:
            check_language_code(request.language_code, "language_code", found)
        found.raise_if_any()
        voices = [
            voice
            for voice in self._voices()
            if request.model in ("", voice.model)
            and (not request.language_code or speaks(voice.language_codes, request.language_code))
        ]
        chosen = f"{request.model} {request.language_code}"
        start = 0
        if request.page_token:
            after = _PAGING.after(request.page_token, chosen)
            start = bisect.bisect_right(voices, after, key=_place)
        end = start + (request.page_size or DEFAULT_PAGE_SIZE)
        token = _PAGING.token(_place(voices[end - 1]), chosen) if end < len(voices) else ""
        return pb.ListVoicesResponse(voices=voices[start:end], next_page_token=token)

    def _voices(self) -> list[pb.Voice]:
        """Returns the voices of the models that are ready, by model and name."""
        voices: list[pb.Voice] = []
        for name in self._catalog.able(SpeechSynthesizer):
            with self._catalog.lease(name, SpeechSynthesizer) as lease:  # type: ignore[type-abstract]
                voices.extend(
                    pb.Voice(
                        voice_name=voice.name,
                        display_name=voice.display_name,
                        language_codes=voice.language_codes,
                        model=name,
                        native_sample_rate_hertz=lease.model.sample_rate_hz,
                        traits=dict(voice.traits),
                    )
                    for voice in lease.model.voices
                )
        return sorted(voices, key=_place)

    async def _announce_end(self, call: SpeechCall[SpeechSynthesizer], stream: SpeakingStream) -> None:
        async with contextlib.aclosing(go_aways(call.call, self._admission)) as messages:
            async for message in messages:
                stream.reply(pb.StreamSynthesizeResponse(go_away=message))


def _place(voice: pb.Voice) -> str:
    # No name of a model has a control character.
    return f"{voice.model}\0{voice.voice_name}"
