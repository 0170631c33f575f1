"""Offsets into a text, in the units of trivium.v1.OffsetUnit."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from trivium.v1 import common_pb2 as pb

Unit: TypeAlias = pb.OffsetUnit.ValueType


def convert_spans(text: str, spans: Iterable[tuple[int, int]], unit: Unit) -> Iterator[tuple[int, int]]:
    """Yields spans of code points [start, end) in another unit.

    The spans must be in the order of the text and not overlap. Takes time in proportion to the text.
    """
    if unit == pb.OFFSET_UNIT_UNICODE_CODE_POINT or text.isascii():
        yield from spans
        return
    measure = _utf8_len if unit == pb.OFFSET_UNIT_UTF8_BYTE else _utf16_len
    position = offset = 0
    for start, end in spans:
        begin = offset + measure(text[position:start])
        offset = begin + measure(text[start:end])
        position = end
        yield begin, offset


def _utf8_len(text: str) -> int:
    return len(text.encode())


def _utf16_len(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
