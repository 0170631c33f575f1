"""SpeechRecognitionService: sound in, what is said in it out."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Coroutine, Sequence

from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceServicer
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.speech.transcription import Segment
from trivium_server.architectures.speech_capabilities import (
    RecognizerInfo,
    SpeechRecognizer,
    VoiceActivityDetector,
)
from trivium_server.config import SpeechConfig
from trivium_server.rpc.admission import Admission
from trivium_server.rpc.answers import duration
from trivium_server.rpc.go_away import go_aways
from trivium_server.rpc.merged import Merged
from trivium_server.rpc.slots import Slots
from trivium_server.rpc.speech_call import SpeechCall, detector_lease, speech_call
from trivium_server.rpc.speech_captions import caption_files
from trivium_server.rpc.speech_fields import format_message
from trivium_server.rpc.speech_live import LiveSound
from trivium_server.rpc.speech_messages import first_request, timely_requests
from trivium_server.rpc.speech_recognition_convert import RecognitionSpec, StreamSpec, recognize_spec, stream_spec
from trivium_server.rpc.speech_recordings import Recording, kept_file
from trivium_server.rpc.speech_results import file_update, main_language, segment_message, whole_text
from trivium_server.rpc.speech_threads import SpeechThreads
from trivium_server.rpc.violations import Violations
from trivium_server.speech.audio_format import SAMPLE_BYTES, AudioFormat

# grpc's servicer context: the boundary alone talks to it.
Context = object
_FILE_CHUNK_BYTES = 64 * 1024
_LIVE_CHUNK_S = 0.04


class SpeechRecognitionService(SpeechRecognitionServiceServicer):
    """See proto/trivium/v1/speech.proto."""

    def __init__(self, catalog: Catalog, config: SpeechConfig, threads: SpeechThreads, admission: Admission) -> None:
        self._catalog = catalog
        self._config = config
        self._threads = threads
        self._admission = admission
        self._streams = Slots(config.max_streams, "live streams of this model")
        self._files = Slots(config.max_files, "recordings")

    async def Recognize(self, request: pb.RecognizeRequest, context: Context) -> pb.RecognizeResponse:
        def check(model: SpeechRecognizer | None, found: Violations) -> RecognitionSpec:
            return recognize_spec(request, _info(model), found)

        with (
            speech_call(self._catalog, SpeechRecognizer, request.config.model, "config.model", check) as (call, spec),  # type: ignore[type-abstract]
            detector_lease(self._catalog, self._config.voice_activity_model) as detector,
            self._files.take(),
        ):
            recording = self._recording(call, spec, detector, is_stream=False)
            async with contextlib.aclosing(recording.segments(request.audio.content)) as heard:
                segments = [segment async for segment in heard]
            segments.sort(key=lambda segment: (segment.start_s, segment.channel))
            response = pb.RecognizeResponse(
                text=whole_text(segments, by_channel=spec.separate_channels),
                language_code=main_language(segments),
                audio_duration=duration(recording.audio_s),
            )
            for index, segment in enumerate(segments):
                response.segments.append(segment_message(segment, index))
                await call.pacer.pause()
            response.captions.extend(await self._captions(segments, request.caption_formats))
            response.info.CopyFrom(call.info(recording.warnings()))
            return response

    async def StreamRecognize(
        self, requests: AsyncIterator[pb.StreamRecognizeRequest], context: Context
    ) -> AsyncIterator[pb.StreamRecognizeResponse]:
        setup = (await first_request(requests)).setup

        def check(model: SpeechRecognizer | None, found: Violations) -> StreamSpec:
            return stream_spec(setup, _info(model), found)

        number = itertools.count()
        name = setup.config.model
        with (
            speech_call(self._catalog, SpeechRecognizer, name, "setup.config.model", check) as (call, spec),  # type: ignore[type-abstract]
            detector_lease(self._catalog, self._config.voice_activity_model) as detector,
            self._streams.take(name) if spec.recognition.is_live else self._files.take(),
        ):
            yield pb.StreamRecognizeResponse(sequence=next(number), ready=_ready(call, spec.recognition.audio_format))
            merged: Merged[pb.StreamRecognizeResponse] = Merged()
            later = timely_requests(requests, self._config.max_idle_s)
            tasks: list[Coroutine[object, object, None]]
            sound: LiveSound | Recording
            segments: list[Segment] = []
            if spec.recognition.is_live:
                sound = LiveSound(call, spec, detector)
                tasks = [sound.answer(merged), sound.feed(later)]
            else:
                sound = self._recording(call, spec.recognition, detector, is_stream=True)
                tasks = [self._answer_file(sound, later, merged, segments)]
            tasks += [self._announce_end(call, merged), call.until_gone()]
            async with contextlib.aclosing(later), contextlib.aclosing(merged.events(*tasks)) as events:
                async for event in events:
                    event.sequence = next(number)
                    yield event
            completed = pb.RecognitionCompleted(
                captions=await self._captions(segments, setup.caption_formats),
                audio_duration=duration(sound.audio_s),
            )
            completed.info.CopyFrom(call.info(sound.warnings()))
            yield pb.StreamRecognizeResponse(sequence=next(number), completed=completed)

    async def _answer_file(
        self,
        recording: Recording,
        requests: AsyncIterator[pb.StreamRecognizeRequest],
        merged: Merged[pb.StreamRecognizeResponse],
        sent: list[Segment],
    ) -> None:
        """Puts the segments of a file, and adds them to `sent`."""
        async with (
            kept_file(requests, self._threads, max_bytes=self._config.max_file_bytes) as file,
            contextlib.aclosing(recording.segments(file)) as segments,
        ):
            async for segment in segments:
                update = file_update(segment, len(sent), recording.progress)
                sent.append(segment)
                await merged.put(pb.StreamRecognizeResponse(transcript=update))

    async def _captions(
        self, segments: Sequence[Segment], formats: Sequence[pb.CaptionFormat.ValueType]
    ) -> list[pb.CaptionFile]:
        return await self._threads.code(lambda: caption_files(segments, formats)) if formats else []

    async def _announce_end(
        self, call: SpeechCall[SpeechRecognizer], merged: Merged[pb.StreamRecognizeResponse]
    ) -> None:
        async with contextlib.aclosing(go_aways(call.call, self._admission)) as messages:
            async for message in messages:
                await merged.put(pb.StreamRecognizeResponse(go_away=message))

    def _recording(
        self,
        call: SpeechCall[SpeechRecognizer],
        spec: RecognitionSpec,
        detector: VoiceActivityDetector,
        *,
        is_stream: bool,
    ) -> Recording:
        return Recording(call, spec, detector, self._threads, max_audio_s=self._config.max_audio_s, is_stream=is_stream)


def _info(model: SpeechRecognizer | None) -> RecognizerInfo | None:
    return model.recognizer_info if model else None


def _ready(call: SpeechCall[SpeechRecognizer], audio_format: AudioFormat) -> pb.RecognitionReady:
    sample_bytes = SAMPLE_BYTES.get(audio_format.encoding)
    chunk_bytes = _FILE_CHUNK_BYTES
    if sample_bytes:
        chunk_bytes = round(_LIVE_CHUNK_S * audio_format.sample_rate_hz) * sample_bytes * audio_format.num_channels
    return pb.RecognitionReady(
        model=call.served, accepted_format=format_message(audio_format), preferred_chunk_bytes=chunk_bytes
    )
