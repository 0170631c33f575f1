"""Live sound of a stream: its messages are heard as fast as the models go, and answered meanwhile.

While the models have enough to do no message is read, and flow control holds the caller back.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech.live import Activity, LiveTranscription
from trivium_server.architectures.speech_capabilities import SAMPLE_RATE_HZ, SpeechRecognizer, VoiceActivityDetector
from trivium_server.errors import UndecodableMedia
from trivium_server.rpc.merged import Merged
from trivium_server.rpc.speech_call import SoundUsage, SpeechCall
from trivium_server.rpc.speech_messages import out_of_turn
from trivium_server.rpc.speech_recognition_convert import StreamSpec
from trivium_server.rpc.speech_results import activity_message, update_message
from trivium_server.speech.raw_audio import NotFiniteError, RawDecoder
from trivium_server.speech.resampling import Resampler, mix

# So much of a message is decoded at a time: less than a millisecond for the event loop.
_SLICE_BYTES = 32 * 1024


class LiveSound:
    """The sound of one live stream, after its setup."""

    def __init__(self, call: SpeechCall[SpeechRecognizer], spec: StreamSpec, detector: VoiceActivityDetector) -> None:
        self._call = call
        self._spec = spec
        self._has_ended = False
        self._decoder = RawDecoder(spec.recognition.audio_format)
        self._resampler = Resampler(spec.recognition.audio_format.sample_rate_hz, SAMPLE_RATE_HZ)
        self._live = LiveTranscription(
            call.model,
            detector,
            spec.recognition.options,
            spec.endpointing,
            interim_period_s=spec.interim_period_s,
            deadline_s=call.call.deadline_s,
            meter=call.meter,
        )
        call.sound = self._sound

    @property
    def audio_s(self) -> float:
        """How much sound was heard so far."""
        return self._live.heard_s

    def warnings(self) -> Sequence[common_pb2.Warning]:
        """Returns what the caller may want to know of what was asked and sent."""
        warnings = list(self._spec.recognition.warnings)
        if self._has_ended and self._decoder.num_bytes_left:
            message = f"the audio ends within a sample; its last {self._decoder.num_bytes_left} bytes were not heard"
            code = common_pb2.WARNING_CODE_INPUT_CUT_SHORT
            warnings.append(common_pb2.Warning(code=code, message=message, field_path="audio"))
        return warnings

    async def feed(self, requests: AsyncIterator[pb.StreamRecognizeRequest]) -> None:
        """Hears the messages after the setup, to their end.

        Raises StreamProtocolViolation or InvalidArgument for a message that is out of turn, and what the models raise.
        """
        live = self._live
        async for request in requests:
            match request.WhichOneof("request"):
                case "audio":
                    for start in range(0, len(request.audio), _SLICE_BYTES):
                        await live.push(self._heard(request.audio[start : start + _SLICE_BYTES]))
                        await self._call.pacer.pause()
                case "finalize":
                    await live.finalize()
                case "keep_alive":
                    pass
                case kind:
                    raise out_of_turn(kind, "audio, finalize, keep_alive")
        self._has_ended = True
        await live.push(self._resampler.finish())
        await live.finish()

    async def answer(self, merged: Merged[pb.StreamRecognizeResponse]) -> None:
        """Puts what happens and what is said, until all of it is."""
        async with contextlib.aclosing(self._live.events()) as events:
            async for event in events:
                if isinstance(event, Activity):
                    if self._spec.with_activity:
                        await merged.put(pb.StreamRecognizeResponse(activity=activity_message(event)))
                    continue
                self._call.note_output()
                await merged.put(pb.StreamRecognizeResponse(transcript=update_message(event)))

    def _heard(self, raw: bytes) -> NDArray[np.float32]:
        try:
            return self._resampler.push(mix(self._decoder.decode(raw)))
        except NotFiniteError:
            raise UndecodableMedia("audio", "has a sample that is no finite number") from None

    def _sound(self) -> SoundUsage:
        return SoundUsage(
            input_s=self._live.heard_s,
            speech_s=self._live.speech_s,
            num_channels=self._spec.recognition.audio_format.num_channels,
        )
