"""Where to cut speech that goes on for longer than a model hears at a time."""

from collections.abc import Sequence

# A gap between two words is about this many windows of 32 ms long.
_GAP = 3


def quietest_place(levels: Sequence[float]) -> int:
    """Returns before which of these windows to cut: in the middle of the quietest gap, the last one of equals.

    levels: the mean square of each window, at least one.
    """
    if len(levels) < _GAP:
        return min(range(len(levels)), key=lambda place: (levels[place], -place))
    gaps = [sum(levels[first : first + _GAP]) for first in range(len(levels) - _GAP + 1)]
    quietest = min(range(len(gaps)), key=lambda first: (gaps[first], -first))
    return quietest + _GAP // 2
