"""The asynchronous client."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc

from trivium._async_analysis import AsyncAnalysisMethods
from trivium._async_embedding import AsyncEmbeddingMethods
from trivium._async_models import AsyncAdminClient, AsyncModelsClient
from trivium._async_speech import AsyncSpeechClient
from trivium._async_text import AsyncTextClient
from trivium._async_transport import AsyncTransport
from trivium._async_vision import AsyncVisionClient
from trivium._call_settings import unary_options
from trivium._error_base import TriviumError
from trivium._metadata import Metadata
from trivium._retry import RetryPolicy
from trivium.settings import (
    DEFAULT_IDLE_TIMEOUT_S,
    DEFAULT_UNARY_TIMEOUT_S,
    MAX_MESSAGE_BYTES,
    TLS,
    AsyncInterceptor,
    ClientSettings,
    Options,
    default_target,
)

__all__ = ["AsyncClient"]


class AsyncClient(AsyncEmbeddingMethods, AsyncAnalysisMethods):
    """A connection to a Trivium server. Thread-safe; make one and share it. aclose() it, or use it in `async with`.

        async with trivium.AsyncClient() as client:
            async for delta in client.text.stream("What is photosynthesis, in one sentence?"):
                print(delta.text, end="")

    target: host:port, http://host:port (plain text), https://host[:port] (TLS), or any gRPC target such as
        dns:///name:port or unix:/path; None is $TRIVIUM_TARGET, else 127.0.0.1:50051. Nothing is connected before
        the first call.
    tls: True with the usual roots, TLS(...) with your own certificates, grpc.ChannelCredentials, or False for plain
        text. None: plain text to this machine (loopback, Unix socket), TLS to any other.
    token: sent with every call as `authorization: Bearer <token>`.
    metadata: sent with every call: text, or bytes under a key that ends in -bin.
    default_model: the model of every call that names none, whatever it asks for: one that cannot do it fails with
        UnsupportedFeature, whose message names those that can. Without it, each kind of call takes the only ready model
        of the server that can do it.
    timeout_s: the limit of a method with one result, over all attempts. None sends no limit, and the server then
        applies its own: 60 s unless it is configured otherwise.
    idle_timeout_s: how long a stream of text or vectors may say nothing; None is no limit.
    retry: when a failed call is sent again; RetryPolicy(max_attempts=1) switches it off.
    interceptors: grpc client interceptors around every call, outermost first; they see each attempt.
    max_message_bytes: the largest message to send or take; the server's own limit is 16 MiB unless configured.
    channel_options: further gRPC channel arguments, which win over the client's own.

    Must not be used in a process forked after its first call.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        tls: TLS | grpc.ChannelCredentials | bool | None = None,
        token: str | None = None,
        metadata: Metadata | None = None,
        default_model: str | None = None,
        timeout_s: float | None = DEFAULT_UNARY_TIMEOUT_S,
        idle_timeout_s: float | None = DEFAULT_IDLE_TIMEOUT_S,
        retry: RetryPolicy | None = None,
        interceptors: Sequence[AsyncInterceptor] = (),
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        channel_options: Options = (),
    ) -> None:
        settings = ClientSettings(
            target=default_target() if target is None else target,
            tls=tls,
            token=token,
            metadata=metadata or {},
            default_model=default_model,
            timeout_s=timeout_s,
            idle_timeout_s=idle_timeout_s,
            retry=retry or RetryPolicy(),
            max_message_bytes=max_message_bytes,
            channel_options=channel_options,
        )
        self._transport = AsyncTransport(settings, interceptors)
        AsyncEmbeddingMethods.__init__(self, self._transport)
        AsyncAnalysisMethods.__init__(self, self._transport)
        self.models = AsyncModelsClient(self._transport)
        self.admin = AsyncAdminClient(self._transport)
        self.text = AsyncTextClient(self._transport)
        self.vision = AsyncVisionClient(self._transport)
        self.speech = AsyncSpeechClient(self._transport)

    @property
    def target(self) -> str:
        """Where the server is."""
        return self._transport.settings.target

    async def wait_ready(self, timeout_s: float = 60.0, *, model: str | None = None) -> None:
        """Waits until the server takes text generation calls, or until one model does.

        Asks grpc.health.v1, so a server that is still starting, or not there yet, is waited for. Raises
        ServerUnavailable, with the last answer in its message, after timeout_s seconds.
        """
        from trivium._health import HealthProbe  # keeps the health stubs out of the import of this package

        probe = HealthProbe(model, timeout_s)
        while True:
            options = unary_options(self._transport.settings, probe.probe_timeout_s(), None, None)
            try:
                if probe.is_serving(await self._transport.unary(probe.call(), options)):
                    return
            except TriviumError as error:
                probe.note_failure(error)
            await asyncio.sleep(probe.pause_s())

    async def close(self) -> None:
        """Closes the connection; calls under way end with CallCancelledError. May be called twice."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
