"""The blocking client."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import grpc

from trivium._call_settings import unary_options
from trivium._error_base import TriviumError
from trivium._metadata import Metadata
from trivium._retry import RetryPolicy
from trivium._sync_analysis import AnalysisMethods
from trivium._sync_embedding import EmbeddingMethods
from trivium._sync_models import AdminClient, ModelsClient
from trivium._sync_speech import SpeechClient
from trivium._sync_text import TextClient
from trivium._sync_transport import SyncTransport
from trivium._sync_vision import VisionClient
from trivium.settings import (
    DEFAULT_IDLE_TIMEOUT_S,
    DEFAULT_UNARY_TIMEOUT_S,
    MAX_MESSAGE_BYTES,
    TLS,
    ClientSettings,
    Interceptor,
    Options,
    default_target,
)

__all__ = ["Client"]


class Client(EmbeddingMethods, AnalysisMethods):
    """A connection to a Trivium server. Thread-safe; make one and share it. close() it, or use it in `with`.

        with trivium.Client() as client:
            for delta in client.text.stream("What is photosynthesis, in one sentence?"):
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
        interceptors: Sequence[Interceptor] = (),
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
        self._transport = SyncTransport(settings, interceptors)
        EmbeddingMethods.__init__(self, self._transport)
        AnalysisMethods.__init__(self, self._transport)
        self.models = ModelsClient(self._transport)
        self.admin = AdminClient(self._transport)
        self.text = TextClient(self._transport)
        self.vision = VisionClient(self._transport)
        self.speech = SpeechClient(self._transport)

    @property
    def target(self) -> str:
        """Where the server is."""
        return self._transport.settings.target

    def wait_ready(self, timeout_s: float = 60.0, *, model: str | None = None) -> None:
        """Waits until the server takes text generation calls, or until one model does.

        Asks grpc.health.v1, so a server that is still starting, or not there yet, is waited for. Raises
        ServerUnavailable, with the last answer in its message, after timeout_s seconds.
        """
        from trivium._health import HealthProbe  # keeps the health stubs out of the import of this package

        probe = HealthProbe(model, timeout_s)
        while True:
            options = unary_options(self._transport.settings, probe.probe_timeout_s(), None, None)
            try:
                if probe.is_serving(self._transport.unary(probe.call(), options)):
                    return
            except TriviumError as error:
                probe.note_failure(error)
            time.sleep(probe.pause_s())

    def close(self) -> None:
        """Closes the connection; calls under way end with CallCancelledError. May be called twice."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
