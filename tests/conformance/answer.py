"""What a runner says of a case, read strictly."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from tests.conformance.contract import Rpc
from trivium.v1 import common_pb2

__all__ = ["Answer", "BadAnswer", "as_data", "read_answer"]

_ERROR_KEYS = {
    "kind",
    "code",
    "reason",
    "message",
    "metadata",
    "field_violations",
    "retry_after_s",
    "request_id",
    "usage",
}
_KEYS = {"case", "ok", "responses", "error", "text", "request_id", "elapsed_s"}


class BadAnswer(Exception):
    """It is not what README.md asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """responses and the error's usage are in ProtoJSON. Events that this contract does not know are left out."""

    ok: bool
    responses: list[object]
    error: Mapping[str, object] | None
    text: str | None
    request_id: str | None
    elapsed_s: float


def as_data(message: Message) -> dict[str, object]:
    """Returns a message in ProtoJSON, with the names of the contract and with all values that are not optional."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def read_answer(given: Mapping[str, object], case_name: str, rpc: Rpc) -> Answer:
    """Reads it. BadAnswer where it is none, or says that the runner cannot do the case."""
    if "unsupported" in given:
        raise BadAnswer(f"the runner cannot do it: {given['unsupported']}")
    if given.keys() != _KEYS:
        raise BadAnswer(_key_complaint("answer", given, _KEYS))
    if given["case"] != case_name:
        raise BadAnswer(f"the answer is of case {given['case']!r}")
    match given:
        case {
            "ok": bool(ok),
            "responses": list(responses),
            "error": dict() | None as error,
            "text": str() | None as text,
            "request_id": str() | None as request_id,
            "elapsed_s": int() | float() as elapsed_s,
        }:
            return Answer(
                ok=ok,
                responses=[as_data(found) for found in _messages(responses, rpc) if _is_known(found)],
                error=None if error is None else _error(error),
                text=text,
                request_id=request_id,
                elapsed_s=elapsed_s,
            )
    raise BadAnswer(
        f"values of the answer have wrong types: { {key: type(value).__name__ for key, value in given.items()} }"
    )


def _key_complaint(name: str, given: Mapping[str, object], wanted: set[str]) -> str:
    return f"the {name} lacks {sorted(wanted - given.keys())} and has {sorted(given.keys() - wanted)} too much"


def _messages(responses: list[object], rpc: Rpc) -> list[Message]:
    return [_decoded(response, rpc.response) for response in responses]


def _decoded(given: object, kind: type[Message]) -> Message:
    if not isinstance(given, str):
        raise BadAnswer(f"a message is {given!r}, not base64")
    try:
        return kind.FromString(base64.b64decode(given, validate=True))
    except (ValueError, DecodeError) as error:
        raise BadAnswer(f"a message is no {kind.DESCRIPTOR.name} in base64: {error}") from None


def _is_known(response: Message) -> bool:
    """An event that a client does not know is skipped by some and given as it is by others; both are right."""
    return "event" not in response.DESCRIPTOR.oneofs_by_name or response.WhichOneof("event") is not None


def _error(given: Mapping[str, object]) -> Mapping[str, object]:
    if given.keys() != _ERROR_KEYS:
        raise BadAnswer(_key_complaint("error", given, _ERROR_KEYS))
    if given["usage"] is None:
        return given
    return {**given, "usage": as_data(_decoded(given["usage"], common_pb2.Usage))}
