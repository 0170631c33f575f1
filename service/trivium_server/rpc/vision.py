"""VisionService: images in, what models see in them out."""

import contextlib
import itertools
from collections.abc import AsyncIterator

from trivium.v1 import vision_pb2 as pb
from trivium.v1.vision_pb2_grpc import VisionServiceServicer
from trivium_server.architectures.catalog import Catalog
from trivium_server.errors import (
    InputTooLarge,
    QueueFull,
    StreamProtocolViolation,
    TriviumError,
    UndecodableMedia,
)
from trivium_server.rpc.status import rpc_status
from trivium_server.rpc.violations import Violations
from trivium_server.rpc.vision_call import Decoder, VisionCall
from trivium_server.rpc.vision_convert import check_features, check_media, frame_error, is_latest_only
from trivium_server.rpc.vision_stream import FrameStream

# grpc's servicer context: the boundary alone talks to it.
Context = object
# A frame fails alone with these.
_FRAME_ERRORS = (UndecodableMedia, InputTooLarge, QueueFull)


class VisionService(VisionServiceServicer):
    """See proto/trivium/v1/vision.proto."""

    def __init__(self, catalog: Catalog, decoder: Decoder) -> None:
        self._catalog = catalog
        self._decoder = decoder

    async def AnalyzeImage(self, request: pb.AnalyzeImageRequest, context: Context) -> pb.AnalyzeImageResponse:
        found = Violations()
        check_media(request, found)
        check_features(request.features, "features", found)
        found.raise_if_any()
        call = VisionCall(request.features, "features", catalog=self._catalog, decoder=self._decoder)
        image, results = await call.analyze(request.image.content)
        return pb.AnalyzeImageResponse(image=image, results=results, info=call.info())

    async def StreamAnalyzeImage(
        self, requests: AsyncIterator[pb.StreamAnalyzeImageRequest], context: Context
    ) -> AsyncIterator[pb.StreamAnalyzeImageResponse]:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "setup":
            raise StreamProtocolViolation("setup", "is missing; the first message must be one")
        found = Violations()
        check_features(first.setup.features, "setup.features", found)
        latest_only = is_latest_only(first.setup, found)
        found.raise_if_any()
        call = VisionCall(first.setup.features, "setup.features", catalog=self._catalog, decoder=self._decoder)

        async def analyze(frame: pb.VideoFrame) -> pb.FrameResult:
            return await _frame_result(call, frame)

        number = itertools.count()
        yield pb.StreamAnalyzeImageResponse(sequence=next(number), started=pb.StreamAnalyzeImageStarted())
        stream = FrameStream(requests, analyze, latest_only=latest_only)
        async with contextlib.aclosing(stream.results()) as results:
            async for result in results:
                if call.first_output_s is None:
                    call.first_output_s = call.call.elapsed_s()
                yield pb.StreamAnalyzeImageResponse(sequence=next(number), frame=result)
        completed = pb.StreamAnalyzeImageCompleted(
            info=call.info(), analyzed_count=stream.num_analyzed, dropped_count=stream.num_dropped
        )
        yield pb.StreamAnalyzeImageResponse(sequence=next(number), completed=completed)


async def _frame_result(call: VisionCall, frame: pb.VideoFrame) -> pb.FrameResult:
    result = pb.FrameResult(frame_number=frame.frame_number)
    if frame.HasField("media_time"):
        result.media_time.CopyFrom(frame.media_time)
    error: TriviumError | None = frame_error(frame)
    if error is None:
        try:
            image, results = await call.analyze(frame.image.content)
            result.image.CopyFrom(image)
            result.results.extend(results)
        except _FRAME_ERRORS as raised:
            # A traceback would keep the image in memory, in a cycle, until it is collected.
            error = raised.with_traceback(None)
    if error is not None:
        result.error.CopyFrom(rpc_status(error, call.call.request_id))
    return result
