"""What the calls that hear or speak have in common: the model for the time of the call, its meter, its CallInfo."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from trivium.v1 import common_pb2
from trivium_server.architectures.abilities import model_is_missing
from trivium_server.architectures.capabilities import Capability
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.speech_capabilities import SpeechMeter, SpeechModel, VoiceActivityDetector
from trivium_server.errors import CallAborted, ModelNotFound, UnsupportedFeature, VoiceDetectorMissing
from trivium_server.rpc.answers import duration, served_model
from trivium_server.rpc.call import Call, current_call
from trivium_server.rpc.pacing import Pacer
from trivium_server.rpc.violations import Violations

ModelT = TypeVar("ModelT", bound=SpeechModel)
SpecT = TypeVar("SpecT")


@dataclass(slots=True)
class SoundUsage:
    """How much sound a call has heard and sent so far, in seconds, and in how many channels."""

    input_s: float = 0.0
    speech_s: float = 0.0
    output_s: float = 0.0
    num_channels: int = 0


@dataclass(slots=True, kw_only=True)
class SpeechCall(Generic[ModelT]):
    """One call of a speech model. sound: asked for whenever usage is told."""

    call: Call
    model: ModelT
    served: common_pb2.ServedModel
    gone: asyncio.Event
    sound: Callable[[], SoundUsage] = SoundUsage
    input_characters: int = 0
    meter: SpeechMeter = field(default_factory=SpeechMeter)
    pacer: Pacer = field(default_factory=Pacer)
    first_output_s: float | None = None

    async def until_gone(self) -> None:
        """Waits until the model is taken away, and raises CallAborted: a stream that waits itself would not notice."""
        await self.gone.wait()
        raise CallAborted(self.served.name)

    def note_output(self) -> None:
        """Takes note of when there was something to send; the first time counts."""
        if self.first_output_s is None:
            self.first_output_s = self.call.elapsed_s()

    def usage(self) -> common_pb2.Usage:
        """Says what the call has used so far."""
        sound = self.sound()
        return common_pb2.Usage(
            audio=common_pb2.AudioUsage(
                input_duration=duration(sound.input_s),
                speech_duration=duration(sound.speech_s),
                output_duration=duration(sound.output_s),
                channel_count=sound.num_channels,
            ),
            input_characters=self.input_characters,
            compute_duration=duration(self.meter.compute_s),
        )

    def info(self, warnings: Sequence[common_pb2.Warning] = ()) -> common_pb2.CallInfo:
        """Says what the call did, for its last message."""
        timing = common_pb2.Timing(
            queue_duration=duration(self.meter.queue_s),
            preprocess_duration=duration(self.meter.preprocess_s),
            inference_duration=duration(self.meter.inference_s),
            total_duration=duration(self.call.elapsed_s()),
        )
        if self.first_output_s is not None:
            timing.first_output_duration.CopyFrom(duration(self.first_output_s))
        return common_pb2.CallInfo(
            request_id=self.call.request_id, model=self.served, usage=self.usage(), timing=timing, warnings=warnings
        )


@contextlib.contextmanager
def speech_call(
    catalog: Catalog,
    capability: type[ModelT],
    name: str,
    path: str,
    check: Callable[[ModelT | None, Violations], SpecT],
) -> Iterator[tuple[SpeechCall[ModelT], SpecT]]:
    """Lends the model that the request names at `path`, and meters the call; with what `check` returns.

    check: raises what is wrong with the request, or returns what is to be done; without a name it is called without a
    model, so that the caller hears of everything else as well. Raises what Catalog.lease raises.
    """
    found = Violations()
    if not name:
        found.add(path, model_is_missing(capability, catalog.able(capability)))
        check(None, found)
        raise AssertionError("a missing name is a violation")
    with catalog.lease(name, capability, path) as lease:
        call = current_call()
        call.model = lease.card.name
        spec = check(lease.model, found)
        served = served_model(lease.card, lease.model.execution_provider)
        speech: SpeechCall[ModelT] = SpeechCall(call=call, model=lease.model, served=served, gone=lease.gone)
        call.usage = speech.usage
        yield speech, spec


@contextlib.contextmanager
def detector_lease(catalog: Catalog, wanted: str) -> Iterator[VoiceActivityDetector]:
    """Lends the model that finds where somebody speaks. wanted: its name; empty for the first that is ready.

    Raises VoiceDetectorMissing where there is none, ModelNotReady where it is not loaded, and ModelFailed.
    """
    name = wanted or _any_detector(catalog)
    with contextlib.ExitStack() as stack:
        try:
            lease = stack.enter_context(catalog.lease(name, VoiceActivityDetector))  # type: ignore[type-abstract]
        except (ModelNotFound, UnsupportedFeature):
            raise VoiceDetectorMissing(wanted) from None
        yield lease.model


def _any_detector(catalog: Catalog) -> str:
    able = catalog.able(VoiceActivityDetector)
    if able:
        return able[0]
    for status in catalog.statuses():
        if Capability.DETECT_VOICE_ACTIVITY in status.capabilities:
            return status.card.name
    raise VoiceDetectorMissing
