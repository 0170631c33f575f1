"""What the SDK raised, as the suite wants to read it."""

import base64

from trivium import errors

__all__ = ["as_data"]

_KINDS: tuple[tuple[type[errors.TriviumError], str], ...] = (
    (errors.ServerUnavailable, "server_unavailable"),
    (errors.ConnectionLost, "connection_lost"),
    (errors.TruncatedStream, "truncated_stream"),
    (errors.StreamIdleTimeout, "stream_idle_timeout"),
    (errors.CallCancelledError, "cancelled"),
    (errors.ModelNotChosen, "invalid_call"),
)


def as_data(error: Exception) -> dict[str, object]:
    """Returns the error's parts. An argument that the SDK refuses is a TypeError or a ValueError in Python."""
    if not isinstance(error, errors.TriviumError):
        return _parts("invalid_call", "INVALID_ARGUMENT", str(error))
    kind = next((name for known, name in _KINDS if isinstance(error, known)), None)
    if isinstance(error, errors.InputTooLarge) and error.request_id is None:
        kind = "invalid_call"  # no call was made of it
    return _parts(kind, error.code.name, error.message) | {
        "reason": error.reason,
        "metadata": dict(error.metadata),
        "field_violations": [
            {"field": violation.field, "description": violation.description} for violation in error.field_violations
        ],
        "retry_after_s": error.retry_after_s,
        "request_id": error.request_id,
        "usage": None if error.usage is None else base64.b64encode(error.usage.raw.SerializeToString()).decode(),
    }


def _parts(kind: str | None, code: str, message: str) -> dict[str, object]:
    return {
        "kind": kind,
        "code": code,
        "reason": None,
        "message": message,
        "metadata": {},
        "field_violations": [],
        "retry_after_s": None,
        "request_id": None,
        "usage": None,
    }
