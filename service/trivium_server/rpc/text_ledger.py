"""Where the parts of a growing text are, counted in the caller's unit."""

from collections.abc import Iterable, Iterator

from trivium.v1 import common_pb2
from trivium_server.rpc.spans import Unit, convert_spans


class TextLedger:
    """A text that comes in fragments. Only what was not forgotten is kept. Places come in code points."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._kept = ""
        self._base = 0
        self._base_units = 0

    @property
    def total_len(self) -> int:
        """How many code points came."""
        return self._base + len(self._kept)

    def add(self, fragment: str) -> None:
        """Takes the next fragment."""
        self._kept += fragment

    def forget(self, end: int) -> None:
        """Forgets the text before `end`; spans are asked for from there on."""
        if end > self._base:
            ((_, units),) = convert_spans(self._kept, [(0, end - self._base)], self._unit)
            self._kept = self._kept[end - self._base :]
            self._base = end
            self._base_units += units

    def after_space(self, start: int) -> int:
        """Returns where the first character at or after `start` is that is no space; the end where there is none."""
        rest = self._kept[start - self._base :]
        return start + len(rest) - len(rest.lstrip())

    def spans(self, places: Iterable[tuple[int, int]]) -> Iterator[common_pb2.TextSpan]:
        """Yields these parts, which must be in the order of the text and not overlap."""
        relative = ((start - self._base, end - self._base) for start, end in places)
        for start, end in convert_spans(self._kept, relative, self._unit):
            yield common_pb2.TextSpan(start_offset=self._base_units + start, end_offset=self._base_units + end)

    def span(self, start: int, end: int) -> common_pb2.TextSpan:
        """Returns one part."""
        return next(self.spans([(start, end)]))
