"""The metadata that a caller adds to calls: what gRPC can carry, and what the client keeps for itself. Pure."""

import re
from collections.abc import Mapping
from typing import TypeAlias

__all__ = ["Metadata", "checked_metadata", "checked_token"]

Metadata: TypeAlias = Mapping[str, str | bytes]
"""Keys of any case, with text of printable ASCII; bytes where the key ends in `-bin`."""

_OWN_KEYS = {
    "x-request-id": "give request_id instead",
    "authorization": "give token to the client instead",
    "trivium-client": "it names the client itself",
    "user-agent": "channel_options has grpc.primary_user_agent for it",
    "content-type": "gRPC sets it",
    "te": "gRPC sets it",
}
_KEY = re.compile(r"[a-z0-9_.-]+")
_TEXT = re.compile(r"[\x20-\x7e]*")


def checked_metadata(given: Metadata) -> dict[str, str | bytes]:
    """Returns the metadata with its keys in lower case.

    Raises ValueError for what cannot be sent or is not the caller's to set, TypeError for a value of the wrong type;
    both name the key.
    """
    checked: dict[str, str | bytes] = {}
    for key, value in given.items():
        name = key.lower()
        if name in checked:
            raise ValueError(f"metadata has {key!r} twice, in different case")
        _check_key(key, name)
        _check_value(key, value, is_binary=name.endswith("-bin"))
        checked[name] = value
    return checked


def _check_key(key: str, name: str) -> None:
    if name in _OWN_KEYS:
        raise ValueError(f"metadata has {key!r}, which the client sets itself: {_OWN_KEYS[name]}")
    if name.startswith("grpc-"):
        raise ValueError(f"metadata has {key!r}; keys that begin with grpc- are gRPC's own")
    if not _KEY.fullmatch(name):
        raise ValueError(f"metadata has {key!r}; a key is letters of ASCII, digits, '-', '_' and '.'")


def _check_value(key: str, value: object, *, is_binary: bool) -> None:
    wanted, wanted_name = (bytes, "bytes") if is_binary else (str, "text")
    if not isinstance(value, wanted):
        rule = "a key that ends in -bin has bytes, every other one text"
        raise TypeError(f"the metadata value of {key!r} is {type(value).__name__}, not {wanted_name}: {rule}")
    if isinstance(value, str) and not _TEXT.fullmatch(value):
        raise ValueError(
            f"the metadata value of {key!r} is not printable ASCII; bytes go under a key that ends in -bin"
        )


def checked_token(token: str | None) -> str | None:
    """Returns the token. ValueError, without the token in it, where a header cannot carry it."""
    if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ValueError("token is empty or has a character that is not printable ASCII, such as a line break")
    return token
