"""A live stream of more frames than a model can take: how late results are, and what becomes of every frame."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

from benchmarks import grpc_client
from benchmarks.report import Table, percentile, spread
from benchmarks.vision_client import feature, require_all
from benchmarks.vision_contenders import Bare, Served, awake
from benchmarks.vision_images import FRAME_SIZE, Pictures
from trivium.v1 import common_pb2
from trivium.v1 import vision_pb2 as pb
from trivium.v1.vision_pb2_grpc import VisionServiceStub

FRAMES_PER_S = 30
_FEATURE = "faces"


@dataclass(slots=True, kw_only=True)
class Stream:
    """One stream. Times by frame number, on one clock; frames are handed to gRPC at sent_s.

    alone_s: what one frame takes the limit, with nothing beside it. late_s: by how much the caller itself sent too
    late, at worst.
    """

    alone_s: float
    sent_s: dict[int, float] = field(default_factory=dict)
    arrived_s: dict[int, float] = field(default_factory=dict)
    late_s: float = 0.0
    num_analyzed: int = 0
    num_dropped: int = 0

    def added_s(self) -> list[float]:
        """Returns for each result how much later it came than one analysis after its frame was sent."""
        return [arrived - self.sent_s[number] - self.alone_s for number, arrived in self.arrived_s.items()]


class Live:
    """Measures round by round."""

    def __init__(self, ours: Served, bare: Bare, pictures: Pictures, *, stream_s: float) -> None:
        self._ours, self._bare, self._pictures = ours, bare, pictures
        self._num_frames = round(stream_s * FRAMES_PER_S)
        self.streams: list[Stream] = []

    def run(self) -> None:
        """Runs a round. Raises RuntimeError where the model is not slower than the frames, or a frame is lost."""
        frames = self._pictures.frames
        with awake(self._bare):
            burst = self._bare.burst(_FEATURE, frames, count=len(frames), threads=1)
        stream = Stream(alone_s=median(burst["durations_s"]))
        if stream.alone_s * FRAMES_PER_S < 1:
            raise RuntimeError(f"{_FEATURE} takes {stream.alone_s:.3f} s: {FRAMES_PER_S} frames/s are not too many")
        with awake(self._ours):
            asyncio.run(self._watch(stream, [file.read_bytes() for file in frames]))
        self.streams.append(stream)

    async def _watch(self, stream: Stream, frames: Sequence[bytes]) -> None:
        is_started = asyncio.Event()

        async def requests() -> AsyncIterator[pb.StreamAnalyzeImageRequest]:
            setup = pb.StreamAnalyzeImageSetup(features=[feature(_FEATURE)], frame_policy=pb.FRAME_POLICY_LATEST_ONLY)
            yield pb.StreamAnalyzeImageRequest(setup=setup)
            await is_started.wait()
            begun = time.monotonic()
            for number, content in zip(range(1, self._num_frames + 1), itertools.cycle(frames), strict=False):
                frame = pb.VideoFrame(frame_number=number, image=common_pb2.Media(content=content))
                message = pb.StreamAnalyzeImageRequest(frame=frame)
                due = begun + (number - 1) / FRAMES_PER_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                stream.sent_s[number] = time.monotonic()
                stream.late_s = max(stream.late_s, stream.sent_s[number] - due)
                yield message

        async with grpc_client.open_channel(self._ours.address) as channel:
            responses = VisionServiceStub(channel).StreamAnalyzeImage(requests())
            await _read(responses, stream, is_started)

    def tables(self) -> Iterator[Table]:
        added = [stream.added_s() for stream in self.streams]
        alone = [stream.alone_s for stream in self.streams]
        cells = {
            "one analysis alone": spread([1000 * value for value in alone]),
            **{
                f"added delay, {name}": spread([1000 * percentile(each, share) for each in added])
                for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
            },
            "p99, of one analysis": spread(
                [percentile(each, 0.99) / one for each, one in zip(added, alone, strict=True)], 2
            ),
            "caller late, max": spread([1000 * stream.late_s for stream in self.streams]),
        }
        width, height = FRAME_SIZE
        title = f"A live stream, {FRAMES_PER_S} frames/s of {width}x{height}, {_FEATURE}: ms"
        yield Table(title=title, columns=list(cells), rows=[list(cells.values())])
        columns = ["round", "sent", "analysed", "dropped", "sent - analysed - dropped"]
        yield Table(
            title="Its frames",
            columns=columns,
            rows=[
                [str(number + 1), *map(str, (len(s.sent_s), s.num_analyzed, s.num_dropped, _unaccounted(s)))]
                for number, s in enumerate(self.streams)
            ],
        )

    def raw(self) -> list[dict[str, object]]:
        return [asdict(stream) for stream in self.streams]


async def _read(
    responses: AsyncIterable[pb.StreamAnalyzeImageResponse], stream: Stream, is_started: asyncio.Event
) -> None:
    """Notes when results come, and holds the server to what it says of every frame."""
    last, is_completed, events = 0, False, 0
    async for response in responses:
        now = time.monotonic()
        _require(response.sequence == events, f"event {response.sequence} came as number {events}")
        events += 1
        match response.WhichOneof("event"):
            case "started":
                is_started.set()
            case "frame":
                result = response.frame
                _require(not result.HasField("error"), f"frame {result.frame_number}: {result.error.message}")
                require_all(result.results)
                told = last + result.dropped_before + 1
                _require(result.frame_number == told, f"frame {result.frame_number} came where {told} was told")
                last = result.frame_number
                stream.arrived_s[last] = now
            case "completed":
                is_completed = True
                stream.num_analyzed = response.completed.analyzed_count
                stream.num_dropped = response.completed.dropped_count
    _require(is_completed, "the stream was cut")
    _require(stream.num_analyzed == len(stream.arrived_s), "the count of analysed frames is not that of results")
    _require(last == len(stream.sent_s), f"the last frame sent was {len(stream.sent_s)}, the last analysed {last}")
    _require(_unaccounted(stream) == 0, f"{_unaccounted(stream)} frames are not accounted for")


def _unaccounted(stream: Stream) -> int:
    return len(stream.sent_s) - stream.num_analyzed - stream.num_dropped


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RuntimeError(f"live stream: {otherwise}")
