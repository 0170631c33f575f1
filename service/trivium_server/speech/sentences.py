"""Cuts text into the sentences that are spoken one after the other, also while the text still comes.

    splitter = SentenceSplitter(max_len=300)
    for fragment in fragments:
        for sentence in splitter.push(fragment): ...
    for sentence in splitter.flush(): ...

However the text is cut into fragments, the sentences are the same. Every character that is no space is in one of them.
"""
# ruff: noqa: RUF001  the quotes and stops that it names are meant

import re
import unicodedata

from trivium_server.speech.sentence_ends import ends_at_break, ends_at_stop, ends_paragraph, last_line_start
from trivium_server.speech.text_piece import TextPiece

_NO_SPACE = re.compile(r"\S")
# Quantifiers that give nothing back: the time is linear in the text, whatever it is.
_POSSIBLE_END = re.compile(
    r"[.!?…。！？｡][.!?…。！？｡\"'”’»)\]}*_」』）]*+"
    r"|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]\s*+"
)
_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_CLAUSE_END = re.compile(r"[,;:)][\"'”’)\]]*+(?=\s)|[—–](?=\s|[^\W\d_])|[，；：、]")
_WORD_END = re.compile(r"(?<=\S)\s")
# The first sentence is cut at the end of a clause where it is longer, so that its sound does not let anybody wait.
_LONGEST_FIRST = 100
# A clause is no cut where it leaves less than this share of the longest sentence.
_SHORTEST_SHARE = 3
_JOINING = "\u200c\u200d\ufe0e\ufe0f\u20e3"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_MAX_JOINED = 16


def split_sentences(text: str, max_len: int) -> list[TextPiece]:
    """Cuts a whole text into sentences of at most max_len characters, without the space around them."""
    splitter = SentenceSplitter(max_len)
    return [*splitter.push(text), *splitter.flush()]


class SentenceSplitter:
    """Takes text in fragments and gives out sentences as soon as they are known to have ended.

    A sentence has at most max_len characters; a longer one is cut at the end of a clause, else of a word, else where it
    must be. The first one, also after a flush and a discard, is cut at a clause from 100 characters on, where there is
    one: so it can be spoken soon. Places count in all text that was pushed. The time is linear in the text, however it
    is cut into fragments.
    """

    def __init__(self, max_len: int) -> None:
        self._max_len = max_len
        # What was not given out yet, and where that begins in all text.
        self._held = ""
        self._start = 0
        # Where in it a sentence begins, and up to where it holds no end of that.
        self._begin = 0
        self._searched = 0
        # Where, in all text, the lines begin in which these two places are, and whether but space is before the first.
        self._begin_line = 0
        self._searched_line = 0
        self._opens_line = True
        self._longest_first = min(_LONGEST_FIRST, max_len)
        self._is_first = True

    @property
    def pending_len(self) -> int:
        """How many characters were pushed and not given out, space included."""
        return len(self._held)

    def push(self, fragment: str) -> list[TextPiece]:
        """Takes the next fragment; returns the sentences that have ended."""
        self._held += fragment
        return self._cut(is_last=False)

    def flush(self) -> list[TextPiece]:
        """Returns what is left, as it is; what follows begins a new sentence and a new line."""
        pieces = self._cut(is_last=True)
        self.discard()
        return pieces

    def discard(self) -> None:
        """Forgets what was not given out; what follows begins a new sentence and a new line."""
        self._forget(len(self._held))
        self._begin = self._searched = 0
        self._begin_line = self._searched_line = self._start
        self._opens_line = self._is_first = True

    def _forget(self, count: int) -> None:
        self._start += count
        self._held = self._held[count:]

    def _cut(self, *, is_last: bool) -> list[TextPiece]:
        pieces = []
        while True:
            self._skip_space()
            begin = self._begin
            end = self._find_end(is_last=is_last) if begin < len(self._held) else None
            if end is None:
                break
            sentence = self._held[begin:end].rstrip()
            start = self._start + begin
            self._begin = begin + len(sentence)
            pieces.append(
                TextPiece(
                    text=sentence,
                    start=start,
                    end=start + len(sentence),
                    ends_paragraph=ends_paragraph(self._held, self._begin),
                )
            )
            self._begin_line = self._searched_line
            self._opens_line = self._is_first = False
        self._forget(self._begin)
        self._searched -= self._begin
        self._begin = 0
        return pieces

    def _skip_space(self) -> None:
        """Goes on to where the next sentence begins."""
        begin = self._begin
        found = _NO_SPACE.search(self._held, begin)
        self._begin = found.start() if found else len(self._held)
        self._searched = max(self._searched, self._begin)
        line = last_line_start(self._held[begin : self._begin])
        if line:
            self._begin_line = self._searched_line = self._start + begin + line
            self._opens_line = True

    def _find_end(self, *, is_last: bool) -> int | None:
        """Returns where the sentence ends that begins there; None where there is no end, or more must come."""
        held = self._held
        longest = self._begin + (self._longest_first if self._is_first else self._max_len)
        searched = len(held)
        for found in _POSSIBLE_END.finditer(held, self._searched):
            stop, after = found.span()
            is_break = held[stop] in _BREAKS
            if (stop if is_break else after) > longest:
                searched = stop
                break
            judge = self._judge_break if is_break else self._judge_stop
            verdict = judge(stop, after, is_last=is_last)
            if verdict is None:
                self._searched = stop
                return None
            if verdict:
                self._searched = stop if is_break else after
                return self._searched
            if is_break:
                self._searched_line = self._start + stop + last_line_start(held[stop:after])
        self._searched = searched
        if len(held) <= longest:
            return len(held) if is_last else None
        window = held[self._begin : longest + 1]
        end = _clause_end(window)
        if not end and self._is_first:
            self._is_first = False
            return self._find_end(is_last=is_last)
        return self._cut_at(end or _word_end(window))

    def _cut_at(self, length: int) -> int:
        """Returns where a sentence of this length ends, which may be before what was searched."""
        line = last_line_start(self._held[self._begin : self._begin + length])
        self._searched = self._begin + length
        self._searched_line = self._start + self._begin + line if line else self._begin_line
        return self._searched

    def _judge_stop(self, stop: int, after: int, *, is_last: bool) -> bool | None:
        return ends_at_stop(self._held, self._begin, stop, after, opens_line=self._opens_line, is_last=is_last)

    def _judge_break(self, stop: int, after: int, *, is_last: bool) -> bool | None:
        line_len = self._start + stop - self._searched_line
        return ends_at_break(self._held, stop, after, line_len=line_len, is_last=is_last)


def _clause_end(window: str) -> int:
    """Returns where to cut a text that is one character too long, after a clause; 0 for nowhere."""
    ends = [found.end() for found in _CLAUSE_END.finditer(window) if found.end() < len(window)]
    return ends[-1] if ends and ends[-1] * _SHORTEST_SHARE >= len(window) - 1 else 0


def _word_end(window: str) -> int:
    """Returns where to cut a text that is one character too long, and begins with no space, best after a word."""
    words = [found.start() for found in _WORD_END.finditer(window)]
    if words:
        return words[-1]
    longest = end = len(window) - 1
    while end > max(1, longest - _MAX_JOINED) and (_joins_previous(window[end]) or window[end - 1] == "\u200d"):
        end -= 1
    return end


def _joins_previous(character: str) -> bool:
    """Says whether a character belongs to the one before it, as accents do and parts of emoji."""
    return unicodedata.combining(character) != 0 or character in _JOINING or ord(character) in _SKIN_TONES
