"""When each word was spoken, from what a decoder listened to while it wrote it.

Source: openai/whisper, whisper/timing.py: the attention of some heads follows the speech; dynamic time warping (Sakoe &
Chiba 1978) finds the path through it that goes forward in text and in time.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_MEDIAN_WIDTH = 7
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class WordTokens:
    """A word with its punctuation, without the space before it, and the tokens [start, end) that it is made of."""

    text: str
    start: int
    end: int


def token_starts(attention: Floats, first: int, last: int) -> list[int]:
    """Returns from which position on each token was spoken, none before the one before it, for rows [first, last).

    attention: shape (heads, rows, positions), the shares that each row pays while the token after it is made; at least
    one position.
    """
    spread = attention.std(axis=1, keepdims=True)
    normal = (attention - attention.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-9)
    costs = -_median(normal).mean(axis=0)[first:last]
    starts: dict[int, int] = {}
    for token, position in _path(costs):
        starts.setdefault(token, position)
    return [starts[token] for token in range(last - first)]


def words_of(tokens: Sequence[int], decode: Callable[[Sequence[int]], str], *, has_spaces: bool) -> list[WordTokens]:
    """Groups tokens into words, punctuation with the word that it stands at.

    decode: gives the text of tokens; characters of several tokens come out as U+FFFD where not all are there.
    has_spaces: whether the language puts spaces between words; in others each token that is a text is a word.
    """
    words: list[WordTokens] = []
    start = 0
    for end in range(1, len(tokens) + 1):
        text = decode(tokens[start:end])
        if _REPLACEMENT in text and end < len(tokens):
            continue
        if not words or (text.strip() and _begins(text, words[-1].text.rstrip(), has_spaces=has_spaces)):
            words.append(WordTokens(text, start, end))
        else:
            words[-1] = WordTokens(words[-1].text + text, words[-1].start, end)
        start = end
    return [WordTokens(word.text.strip(), word.start, word.end) for word in words if word.text.strip()]


def _begins(text: str, before: str, *, has_spaces: bool) -> bool:
    """Says whether a text that is not blank begins a word, after this one."""
    is_apart = text.startswith(" ") or not has_spaces
    if _opens(text.strip()):
        return is_apart
    is_mark = all(unicodedata.category(character)[0] in "PS" for character in text.strip())
    return is_apart and not is_mark and not (_opens(before[-1:]) and not text.startswith(" "))


def _opens(text: str) -> bool:
    return bool(text) and all(unicodedata.category(character) in {"Ps", "Pi"} for character in text)


def _median(values: Floats) -> Floats:
    """Returns the median of each value and its neighbours on the last axis, whose ends are mirrored."""
    reach = min(_MEDIAN_WIDTH // 2, values.shape[-1] - 1)
    padded = np.pad(values, ((0, 0), (0, 0), (reach, reach)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=-1)
    smoothed: Floats = np.median(windows, axis=-1).astype(np.float32)
    return smoothed


def _path(costs: Floats) -> list[tuple[int, int]]:
    """Returns the places, as row and column, of the cheapest way from corner to corner, by a row, a column or both."""
    num_rows, num_columns = costs.shape
    total = np.full((num_rows + 1, num_columns + 1), np.inf)
    total[0, 0] = 0.0
    # Cells with the same row + column depend only on those with less: a step for each such diagonal.
    for diagonal in range(num_rows + num_columns - 1):
        rows = np.arange(max(0, diagonal - num_columns + 1), min(num_rows, diagonal + 1))
        columns = diagonal - rows
        best = np.minimum(np.minimum(total[rows, columns], total[rows, columns + 1]), total[rows + 1, columns])
        total[rows + 1, columns + 1] = best + costs[rows, columns]
    path = []
    row, column = num_rows, num_columns
    while row > 0 and column > 0:
        path.append((row - 1, column - 1))
        both, up, left = total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]
        if both <= up and both <= left:
            row, column = row - 1, column - 1
        elif up <= left:
            row -= 1
        else:
            column -= 1
    return path[::-1]
