"""A call that looks at images: one decode for all features of an image, each answered by itself, and what it took."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium_server.architectures.catalog import Catalog
from trivium_server.architectures.vision_capabilities import Image, VisionMeter
from trivium_server.errors import (
    DeadlineExceeded,
    InputTooLarge,
    QueueFull,
    QueueTimeout,
    TriviumError,
)
from trivium_server.rpc.answers import duration
from trivium_server.rpc.call import Call, current_call
from trivium_server.rpc.pacing import Pacer
from trivium_server.rpc.status import rpc_status
from trivium_server.rpc.vision_convert import ignored
from trivium_server.rpc.vision_features import OpenFeature, Task, open_feature
from trivium_server.rpc.vision_results import image_info

MAX_RESULT_BYTES = 16 * 1024 * 1024
"""The results of one image."""

# The others are not answered either where a feature ends with one of these.
_FATES = (QueueFull, QueueTimeout, DeadlineExceeded)


class Decoder(Protocol):
    """Turns files into images; many calls share it."""

    async def decode(self, content: bytes, *, deadline_s: float, enough_side: int | None) -> Image:
        """Decodes a file. enough_side: what the shorter side must have at least; None for all that it has.

        Raises UndecodableMedia, InputTooLarge, QueueFull, QueueTimeout, DeadlineExceeded and CallAborted.
        """
        ...


@dataclass(slots=True)
class _Spent:
    """What a call has used so far. Of each image, its slowest feature counts for the stages."""

    num_images: int = 0
    num_pixels: int = 0
    compute_s: float = 0.0
    preprocess_s: float = 0.0
    queue_s: float = 0.0
    inference_s: float = 0.0
    # By their bytes: the models that answered.
    served: dict[bytes, common_pb2.ServedModel] = field(default_factory=dict)
    # By their paths and codes, in the order in which they came up.
    warnings: dict[tuple[str, int], common_pb2.Warning] = field(default_factory=dict)

    def warn(self, warning: common_pb2.Warning) -> None:
        self.warnings.setdefault((warning.field_path, warning.code), warning)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A feature, and its places in the request: what is asked several times is answered once."""

    feature: pb.VisionFeature
    places: Sequence[int]


def _asked(features: Sequence[pb.VisionFeature]) -> list[_Asked]:
    places: dict[bytes, list[int]] = {}
    for place, feature in enumerate(features):
        places.setdefault(feature.SerializeToString(deterministic=True), []).append(place)
    return [_Asked(feature=features[same[0]], places=same) for same in places.values()]


def _enough_side(opened: Sequence[OpenFeature | TriviumError]) -> int | None:
    sides = [one.enough_side for one in opened if isinstance(one, OpenFeature)]
    known = [side for side in sides if side is not None]
    return max(known) if known and len(known) == len(sides) else None


class VisionCall:
    """The current call. path: where the request has its features."""

    def __init__(self, features: Sequence[pb.VisionFeature], path: str, *, catalog: Catalog, decoder: Decoder) -> None:
        self.call: Call = current_call()
        self.call.usage = self._usage
        self.first_output_s: float | None = None
        self._asked = _asked(features)
        self._path = path
        self._catalog = catalog
        self._decoder = decoder
        self._pacer = Pacer()
        self._spent = _Spent()

    async def analyze(self, content: bytes) -> tuple[pb.ImageInfo, list[pb.VisionResult]]:
        """Returns what an image is, and one result for each feature. Many at a time may be under way.

        Raises what the decoder raises, and QueueFull, QueueTimeout and DeadlineExceeded of a feature.
        """
        with contextlib.ExitStack() as leases:
            opened = [self._open(asked.feature, leases) for asked in self._asked]
            names = dict.fromkeys(one.served.name for one in opened if isinstance(one, OpenFeature))
            self.call.model = ",".join(names)
            begun_s = time.monotonic()
            image = await self._decoder.decode(
                content, deadline_s=self.call.deadline_s, enough_side=_enough_side(opened)
            )
            decode_s = time.monotonic() - begun_s
            self._spent.num_images += 1
            self._spent.num_pixels += image.width * image.height
            meters = [VisionMeter() for _ in opened]
            try:
                answers = await self._answer_all(opened, image, meters)
            finally:
                self._spend(decode_s, meters)
            results = self._placed(answers)
            for result in results:
                if not result.HasField("error"):
                    self._spent.served.setdefault(result.model.SerializeToString(deterministic=True), result.model)
            return image_info(image), results

    def info(self) -> common_pb2.CallInfo:
        """Says what the call did, for its last message."""
        spent = self._spent
        timing = common_pb2.Timing(
            queue_duration=duration(spent.queue_s),
            preprocess_duration=duration(spent.preprocess_s),
            inference_duration=duration(spent.inference_s),
            total_duration=duration(self.call.elapsed_s()),
        )
        if self.first_output_s is not None:
            timing.first_output_duration.CopyFrom(duration(self.first_output_s))
        info = common_pb2.CallInfo(
            request_id=self.call.request_id, usage=self._usage(), timing=timing, warnings=spent.warnings.values()
        )
        if len(spent.served) == 1:
            info.model.CopyFrom(next(iter(spent.served.values())))
        return info

    def _usage(self) -> common_pb2.Usage:
        spent = self._spent
        return common_pb2.Usage(
            images=common_pb2.ImageUsage(image_count=spent.num_images, pixel_count=spent.num_pixels),
            compute_duration=duration(spent.compute_s),
        )

    def _open(self, feature: pb.VisionFeature, leases: contextlib.ExitStack) -> OpenFeature | TriviumError:
        try:
            return open_feature(feature, self._catalog, leases)
        except TriviumError as error:
            # A traceback would keep the image in memory, in a cycle, until it is collected.
            return error.with_traceback(None)

    async def _answer_all(
        self, opened: Sequence[OpenFeature | TriviumError], image: Image, meters: Sequence[VisionMeter]
    ) -> list[pb.VisionResult]:
        """Returns what became of each that was asked, in their order."""
        tasks = [
            asyncio.create_task(self._answer(asked, one, image, meter))
            for asked, one, meter in zip(self._asked, opened, meters, strict=True)
        ]
        pending = set(tasks)
        try:
            while pending:
                ended, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    outcome = task.result()
                    if isinstance(outcome, TriviumError):
                        raise outcome
            return [outcome for task in tasks if isinstance(outcome := task.result(), pb.VisionResult)]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(
        self, asked: _Asked, opened: OpenFeature | TriviumError, image: Image, meter: VisionMeter
    ) -> pb.VisionResult | TriviumError:
        """Returns what became of a feature, or the error that the whole image ends with."""
        result = pb.VisionResult()
        if isinstance(opened, TriviumError):
            return self._failed(result, opened)
        result.model.CopyFrom(opened.served)
        task = Task(image=image, deadline_s=self.call.deadline_s, meter=meter, pacer=self._pacer)
        task.warnings.extend(ignored(name) for name in opened.unused)
        try:
            await opened.work(task, result)
        except _FATES as error:
            return error.with_traceback(None)
        except TriviumError as error:
            return self._failed(result, error)
        finally:
            for place in asked.places:
                for warning in task.warnings:
                    path = f"{self._path}[{place}].{warning.field_path}"
                    placed = common_pb2.Warning(code=warning.code, message=warning.message, field_path=path)
                    self._spent.warn(placed)
        return result

    def _placed(self, answers: Sequence[pb.VisionResult]) -> list[pb.VisionResult]:
        """Returns a result for each feature of the request; those fail that would make the response too large."""
        by_place = {place: answer for asked, answer in zip(self._asked, answers, strict=True) for place in asked.places}
        results: list[pb.VisionResult] = []
        total = 0
        for place in range(len(by_place)):
            answer = by_place[place]
            size = answer.ByteSize()
            result = pb.VisionResult(feature_index=place)
            if total + size > MAX_RESULT_BYTES and not answer.HasField("error"):
                result.model.CopyFrom(answer.model)
                name = answer.WhichOneof("outcome") or ""
                self._failed(result, InputTooLarge(name, total + size, MAX_RESULT_BYTES, "bytes of results"))
            else:
                result.MergeFrom(answer)
            total += result.ByteSize()
            results.append(result)
        return results

    def _failed(self, result: pb.VisionResult, error: TriviumError) -> pb.VisionResult:
        result.error.CopyFrom(rpc_status(error, self.call.request_id))
        return result

    def _spend(self, decode_s: float, meters: Sequence[VisionMeter]) -> None:
        spent = self._spent
        slowest = max(meters, key=lambda meter: meter.preprocess_s + meter.queue_s + meter.inference_s)
        spent.preprocess_s += decode_s + slowest.preprocess_s
        spent.queue_s += slowest.queue_s
        spent.inference_s += slowest.inference_s
        spent.compute_s += sum(meter.compute_s for meter in meters)
