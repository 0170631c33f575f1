"""CountTokens and StreamGenerate on a bare grpc.aio server: parses requests, sends fixed responses, and that is all."""

import argparse
import asyncio
import signal
from collections.abc import AsyncIterator

import grpc

from trivium.v1 import common_pb2
from trivium.v1 import generation_pb2 as pb

STREAM_TOKENS = 256


async def count_tokens(request: pb.CountTokensRequest, _context: object) -> pb.CountTokensResponse:
    """Answers with a message that is as long as the real one."""
    model = common_pb2.ServedModel(name=request.input.model, version="1", digest="sha256:" + 64 * "0")
    return pb.CountTokensResponse(
        token_count=36, context_limit=4096, info=common_pb2.CallInfo(request_id=32 * "0", model=model)
    )


async def stream_generate(
    _request: pb.StreamGenerateRequest, _context: object
) -> AsyncIterator[pb.StreamGenerateResponse]:
    """Answers with as many tokens as there are, as fast as they can be sent."""
    yield pb.StreamGenerateResponse(started=pb.GenerationStarted(response_id=32 * "0", input_tokens=36))
    for sequence in range(1, STREAM_TOKENS + 1):
        yield pb.StreamGenerateResponse(sequence=sequence, delta=pb.ContentDelta(text=" word", token_count=1))
    yield pb.StreamGenerateResponse(sequence=STREAM_TOKENS + 1, candidate_finished=pb.CandidateFinished())
    yield pb.StreamGenerateResponse(sequence=STREAM_TOKENS + 2, completed=pb.GenerationCompleted())


async def _serve(port: int) -> None:
    server = grpc.aio.server()
    methods = {
        "CountTokens": grpc.unary_unary_rpc_method_handler(
            count_tokens,
            request_deserializer=pb.CountTokensRequest.FromString,
            response_serializer=pb.CountTokensResponse.SerializeToString,
        ),
        "StreamGenerate": grpc.unary_stream_rpc_method_handler(
            stream_generate,
            request_deserializer=pb.StreamGenerateRequest.FromString,
            response_serializer=pb.StreamGenerateResponse.SerializeToString,
        ),
    }
    service = "trivium.v1.TextGenerationService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    await server.stop(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    asyncio.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
