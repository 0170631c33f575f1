"""Asking grpc.health.v1 whether a server, or one of its models, takes calls. Imported only by wait_ready."""

import time

from grpc_health.v1 import health_pb2

from trivium._calls import Method, UnaryCall
from trivium._error_base import ServerUnavailable, TriviumError

TEXT_SERVICE = "trivium.v1.TextGenerationService"
PROBE_TIMEOUT_S = 2.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0

CHECK = Method("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse)

HealthCall = UnaryCall[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse, str]


class HealthProbe:
    """One wait for a server: what to ask, for how long, and with which pauses."""

    def __init__(self, model: str | None, timeout_s: float) -> None:
        self._service = TEXT_SERVICE if model is None else f"model/{model}"
        self._deadline = time.monotonic() + timeout_s
        self._timeout_s = timeout_s
        self._pause_s = _FIRST_PAUSE_S
        self._last = "no answer"
        self._cause: TriviumError | None = None

    def call(self) -> HealthCall:
        """Returns the call that asks."""
        request = health_pb2.HealthCheckRequest(service=self._service)
        return UnaryCall(
            CHECK, request, lambda answer: health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        )

    def is_serving(self, status: str) -> bool:
        """Takes an answer."""
        self._last, self._cause = status, None
        return status == "SERVING"

    def note_failure(self, error: TriviumError) -> None:
        """Takes a failure; the wait goes on, since a server that starts may fail in many ways."""
        self._last, self._cause = error.message, error

    def probe_timeout_s(self) -> float:
        """Returns how long one probe may take."""
        return max(0.01, min(PROBE_TIMEOUT_S, self._deadline - time.monotonic()))

    def pause_s(self) -> float:
        """Returns how long to pause before the next probe. Raises ServerUnavailable when the time is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ServerUnavailable(
                f"{self._service} is not ready after {self._timeout_s:g} s: {self._last}"
            ) from self._cause
        pause, self._pause_s = self._pause_s, min(_LONGEST_PAUSE_S, self._pause_s * 2)
        return min(pause, left)
