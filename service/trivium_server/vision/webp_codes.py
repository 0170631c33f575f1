"""Reads how lossless WebP data is coded, up to its pixels: what it costs to decode them. Source: RFC 9649, chapter 3.

The tables of a decoder grow with the groups of codes that the data brings, of which there may be 65536, one for each 16
pixels. How many there are stands behind images of their own (of predictors, of colours), which have to be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from trivium_server.vision.image_header import BrokenImageError, cut_short

_PREDICTORS, _COLORS, _NO_GREEN, _PALETTE = range(4)
_LITERALS, _LENGTHS, _DISTANCES = 256, 24, 40
_MAX_CACHE_BITS = 11
_LENGTH_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
_MAX_LENGTH = 15
# Encoders take some ten thousand for the largest image: a block has 16 pixels a side or more.
_MAX_STEPS = 300_000
# What libwebp takes for a group: its tables of two levels, of four bytes an entry (three of 256 symbols, one of
# distances, and one of lengths and the colour cache), and the group itself.
_GROUP_BYTES = 4 * (3 * 630 + 410 + 656) + 640
_CACHED_BYTES = 4

# For the next bits, of which there are as many as the code has at most: the symbol, shifted by 4, and its length.
_Table = Sequence[int]


def coding_bytes(data: bytes, width: int, height: int) -> int:
    """Returns what codes and transforms take in memory while an image is decoded, beside its pixels.

    data: the bits from behind the size on. Raises BrokenImageError.
    """
    return _Bits(data).coding_bytes(width, height)


@dataclass(slots=True)
class _Bits:
    """Reads from the lowest bit of a byte on. Behind the end there are zeros, until `check` is called."""

    data: bytes
    at: int = 0
    steps: int = 0

    def coding_bytes(self, width: int, height: int) -> int:
        num_values = 0
        seen: set[int] = set()
        while self.take(1):
            kind = self.take(2)
            if kind in seen:
                raise _not_decodable()
            seen.add(kind)
            if kind in {_PREDICTORS, _COLORS}:
                columns, rows = self._blocks(width, height)
                self._pass_image(columns * rows)
                num_values += columns * rows
            elif kind == _PALETTE:
                num_colors = self.take(8) + 1
                self._pass_image(num_colors)
                width = -(-width >> (num_colors <= 16) + (num_colors <= 4) + (num_colors <= 2))
        cache_bits = self._cache_bits()
        num_groups = 1
        if self.take(1):
            columns, rows = self._blocks(width, height)
            # A decoder keeps the groups that are there alone, of which there is one for each block at most.
            num_groups = min(self._pass_image(columns * rows) + 1, columns * rows)
            num_values += 2 * columns * rows
        self.check()
        return 4 * num_values + num_groups * (_GROUP_BYTES + (_CACHED_BYTES << cache_bits))

    def take(self, count: int) -> int:
        value = self._window(4) & (1 << count) - 1
        self.at += count
        return value

    def check(self) -> None:
        """Raises BrokenImageError where more was read than there is."""
        if self.at > 8 * len(self.data):
            raise cut_short()

    def _window(self, num_bytes: int) -> int:
        start = self.at >> 3
        return int.from_bytes(self.data[start : start + num_bytes], "little") >> (self.at & 7)

    def _blocks(self, width: int, height: int) -> tuple[int, int]:
        bits = self.take(3) + 2
        return -(-width >> bits), -(-height >> bits)

    def _cache_bits(self) -> int:
        bits = self.take(4) if (is_cached := self.take(1)) else 0
        if is_cached and not 1 <= bits <= _MAX_CACHE_BITS:
            raise _not_decodable()
        return bits

    def _pass_image(self, num_pixels: int) -> int:
        """Goes over an image within the image. Returns the largest number that red and green are together."""
        cache_bits = self._cache_bits()
        num_cached = 1 << cache_bits if cache_bits else 0
        sizes = (_LITERALS + _LENGTHS + num_cached, _LITERALS, _LITERALS, _LITERALS, _DISTANCES)
        tables = [self._table(size) for size in sizes]
        self.check()
        green, red, blue, alpha, distance = tables
        masks = [len(table) - 1 for table in tables]
        if not any(masks[:4]) and green[0] >> 4 < _LITERALS:
            # No pixel takes a bit: all are the same.
            return green[0] >> 4 | red[0] >> 4 << 8
        largest = 0
        while num_pixels > 0:
            self.steps += 1
            if self.steps > _MAX_STEPS:
                raise BrokenImageError("has codes of too many kinds")
            # Four symbols of 15 bits, from any bit on.
            window = self._window(9)
            code = green[window & masks[0]]
            used = code & 15
            symbol = code >> 4
            if symbol < _LITERALS:
                code = red[window >> used & masks[1]]
                used += code & 15
                largest = max(largest, symbol | code >> 4 << 8)
                used += blue[window >> used & masks[2]] & 15
                used += alpha[window >> used & masks[3]] & 15
                self.at += used
                num_pixels -= 1
            elif symbol < _LITERALS + _LENGTHS:
                self.at += used
                num_pixels -= self._number(symbol - _LITERALS)
                code = distance[self._window(4) & masks[4]]
                self.at += code & 15
                self._number(code >> 4)
            else:
                self.at += used
                num_pixels -= 1
        self.check()
        return largest

    def _number(self, symbol: int) -> int:
        """Reads the rest of a length or a distance."""
        if symbol < 4:
            return symbol + 1
        extra = (symbol - 2) >> 1
        return (2 + (symbol & 1) << extra) + self.take(extra) + 1

    def _table(self, num_symbols: int) -> _Table:
        lengths = [0] * num_symbols
        if not self.take(1):
            return _table_of(self._lengths(num_symbols))
        is_pair = self.take(1)
        for symbol in (self.take(8 if self.take(1) else 1), *(self.take(8) for _ in range(is_pair))):
            if symbol >= num_symbols:
                raise _not_decodable()
            lengths[symbol] = 1
        return _table_of(lengths)

    def _lengths(self, num_symbols: int) -> list[int]:
        """Reads the lengths of codes, which are coded themselves."""
        of_lengths = [0] * len(_LENGTH_ORDER)
        for kind in _LENGTH_ORDER[: self.take(4) + 4]:
            of_lengths[kind] = self.take(3)
        table = _table_of(of_lengths)
        num_left = 2 + self.take(2 + 2 * self.take(3)) if self.take(1) else num_symbols
        if num_left > num_symbols:
            raise _not_decodable()
        lengths: list[int] = []
        last = 8
        while len(lengths) < num_symbols and num_left:
            num_left -= 1
            code = table[self._window(2) & len(table) - 1]
            self.at += code & 15
            length = code >> 4
            if length <= _MAX_LENGTH:
                lengths.append(length)
                last = length or last
            else:
                bits, least = {16: (2, 3), 17: (3, 3), 18: (7, 11)}[length]
                lengths += [last if length == 16 else 0] * (least + self.take(bits))
        if len(lengths) > num_symbols:
            raise _not_decodable()
        return lengths


def _table_of(lengths: Sequence[int]) -> _Table:
    """Makes the table of the code that has symbols of these lengths; 0 is none. A single symbol takes no bits."""
    used = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    if len(used) == 1:
        return (used[0][1] << 4,)
    most = used[-1][0] if used else 0
    shares = [1 << most - length for length, _ in used]
    if not used or sum(shares) != 1 << most:
        raise _not_decodable()
    table = [0] * (1 << most)
    for (length, symbol), end in zip(used, accumulate(shares), strict=True):
        code = end - (1 << most - length) >> most - length
        backwards = int(f"{code:0{length}b}"[::-1], 2)
        table[backwards :: 1 << length] = [symbol << 4 | length] * (1 << most - length)
    return table


def _not_decodable() -> BrokenImageError:
    return BrokenImageError("has image data that cannot be decoded")
