"""CountTokens on a bare grpc.aio server: parses the request, sends a response of the usual size, does nothing else."""

import argparse
import asyncio
import signal

import grpc

from trivium.v1 import common_pb2
from trivium.v1 import generation_pb2 as pb


async def count_tokens(request: pb.CountTokensRequest, _context: object) -> pb.CountTokensResponse:
    """Answers with a message that is as long as the real one."""
    model = common_pb2.ServedModel(name=request.input.model, version="1", digest="sha256:" + 64 * "0")
    return pb.CountTokensResponse(
        token_count=36, context_limit=4096, info=common_pb2.CallInfo(request_id=32 * "0", model=model)
    )


async def _serve(port: int) -> None:
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        count_tokens,
        request_deserializer=pb.CountTokensRequest.FromString,
        response_serializer=pb.CountTokensResponse.SerializeToString,
    )
    service = "trivium.v1.TextGenerationService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"CountTokens": method}),))
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
