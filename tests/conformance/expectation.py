"""What the caller must see, and what must have reached the server."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["UNCHECKED", "Expectation", "parse_expectation"]

UNCHECKED: Mapping[str, object] = {}
"""Expects nothing; see matching.py."""

_KEYS = {"ok", "responses", "error", "text", "text_of_generate", "elapsed_s", "calls", "connections"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Values as matching.py compares them.

    responses: in ProtoJSON, with the names of the contract; events that a client does not know are left out.
    error: kind and reason are null unless they are said. text_of_generate: the text is what Generate answers to the
    same input. calls: how many reached the scripted server, or an entry for each with metadata (bytes in
    base64), after_s since the first one, deadline_s, requests, is_half_closed, is_cancelled. connections: how many.
    """

    ok: bool
    responses: object
    error: object
    text: object
    text_of_generate: bool
    elapsed_s: object
    calls: object
    connections: object


def parse_expectation(given: Mapping[str, object]) -> Expectation:
    """Reads it. ValueError for a key that there is not, and for a failure of which nothing is said."""
    if unknown := given.keys() - _KEYS:
        raise ValueError(f"an expectation has no {sorted(unknown)}")
    ok, error = given["ok"], given.get("error")
    if not isinstance(ok, bool) or ok is not (error is None):
        raise ValueError("ok is true or false, and with false there is an error")
    if isinstance(error, dict):
        error = {"kind": None, "reason": None} | error
    return Expectation(
        ok=ok,
        responses=given.get("responses", UNCHECKED),
        error=error,
        text=given.get("text", UNCHECKED),
        text_of_generate=given.get("text_of_generate") is True,
        elapsed_s=given.get("elapsed_s", UNCHECKED),
        calls=given.get("calls", UNCHECKED),
        connections=given.get("connections", UNCHECKED),
    )
