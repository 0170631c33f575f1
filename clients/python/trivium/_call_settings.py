"""What the blocking and the asynchronous client share besides the transport. Pure."""

import math
import time
import uuid
from collections.abc import Callable

from trivium._metadata import Metadata
from trivium.settings import CallOptions, ClientSettings

LONGEST_STREAM_S = 3600.0
"""The longest that a server gives a stream, unless it is configured otherwise."""

MODEL_MEMORY_S = 30.0
"""How long the answer to "which model is meant where none is named?" holds."""


def unary_options(
    settings: ClientSettings, timeout_s: float | None, request_id: str | None, metadata: Metadata | None
) -> CallOptions:
    """The options of a call with one response. None is the client's default, math.inf sends no limit."""
    return CallOptions(
        timeout_s=_limit(timeout_s, settings.timeout_s),
        request_id=_new_id() if request_id is None else request_id,
        metadata=metadata or {},
    )


def stream_options(
    settings: ClientSettings,
    timeout_s: float | None,
    idle_timeout_s: float | None,
    request_id: str | None,
    metadata: Metadata | None,
) -> CallOptions:
    """The options of a stream. Without timeout_s none is sent; without idle_timeout_s, the client's holds."""
    return CallOptions(
        timeout_s=_limit(timeout_s, None),
        idle_timeout_s=_limit(idle_timeout_s, settings.idle_timeout_s),
        request_id=_new_id() if request_id is None else request_id,
        metadata=metadata or {},
    )


def quiet_stream_options(
    settings: ClientSettings, timeout_s: float | None, request_id: str | None, metadata: Metadata | None
) -> CallOptions:
    """The options of a stream that may say nothing for long without anything being wrong: no idle limit."""
    return stream_options(settings, timeout_s, math.inf, request_id, metadata)


def _new_id() -> str:
    return str(uuid.uuid4())


def _limit(given: float | None, default: float | None) -> float | None:
    wanted = default if given is None else given
    return None if wanted == math.inf else wanted


class ModelMemory:
    """Remembers for MODEL_MEMORY_S which model is meant where none is named. Safe to share between threads."""

    def __init__(self, configured: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._name = configured
        self._until = math.inf if configured else -math.inf

    def recall(self) -> str | None:
        """Returns the name, None where it must be asked for again."""
        return self._name if self._clock() < self._until else None

    def learn(self, name: str) -> str:
        """Keeps and returns the name."""
        self._name, self._until = name, self._clock() + MODEL_MEMORY_S
        return name
