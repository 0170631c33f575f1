"""Parses requests, and names the field when the bytes are wrong.

protobuf says only that a message does not parse. A client whose string is not UTF-8 deserves the field's name, so a
request that fails is read again here, field by field. Source: the Protobuf encoding specification.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from trivium_server.errors import FieldViolation, InvalidArgument

_VARINT, _FIXED64, _BYTES, _START_GROUP, _END_GROUP, _FIXED32 = range(6)
_MAX_DEPTH = 100
# The search is Python on the event loop: milliseconds for this much.
_MAX_SEARCHED_BYTES = 32 * 1024
_T = TypeVar("_T")


def parse(parser: Callable[[bytes], _T], raw: bytes, message_type: Descriptor | None) -> _T:
    """Returns the parsed message. Raises InvalidArgument that names the field whose bytes are wrong."""
    try:
        return parser(raw)
    except (DecodeError, ValueError) as error:
        field = first_bad_string(raw, message_type) if message_type and len(raw) <= _MAX_SEARCHED_BYTES else ""
        if field:
            raise InvalidArgument(FieldViolation(field, "is not valid UTF-8")) from error
        name = message_type.full_name if message_type else "request"
        raise InvalidArgument(FieldViolation("request", f"these bytes are no {name} message")) from error


def first_bad_string(raw: bytes, message_type: Descriptor) -> str:
    """Returns the path of the first string field that is not UTF-8, as `input.text`; empty when there is none.

    Bytes that are no message at all end the search.
    """
    try:
        return next(_bad_strings(raw, message_type, "", 0), "")
    except (IndexError, ValueError):
        return ""


def _bad_strings(raw: bytes, message_type: Descriptor, prefix: str, depth: int) -> Iterator[str]:
    counts: dict[int, int] = {}
    for number, value in _fields(raw):
        field = message_type.fields_by_number.get(number)
        if field is None or value is None or depth > _MAX_DEPTH:
            continue
        path = prefix + field.name
        if field.is_repeated and field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            path += f"[{counts.get(number, 0)}]"
            counts[number] = counts.get(number, 0) + 1
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(value):
            yield path
        elif field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type is not None:
            yield from _bad_strings(value, field.message_type, path + ".", depth + 1)


def _fields(raw: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Yields field numbers with the content of length-delimited fields, None for others."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        wire_type = tag & 7
        value = None
        if wire_type == _VARINT:
            _, at = _varint(raw, at)
        elif wire_type == _BYTES:
            length, at = _varint(raw, at)
            value = raw[at : at + length]
            if len(value) != length:
                raise ValueError("truncated")
            at += length
        elif wire_type in (_FIXED64, _FIXED32):
            at += 8 if wire_type == _FIXED64 else 4
        elif wire_type not in (_START_GROUP, _END_GROUP):
            raise ValueError("wire type")
        yield tag >> 3, value


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("varint")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
