"""Text to phonemes, and which word of the text each phoneme is of.

The reading is that of the hibari package: its normalisation, its tagger, its lexicon and its rules.
"""
# ruff: noqa: RUF001  the quotes and dashes that it names are meant

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hibari.g2p import G2P
from hibari.g2p.normalize import normalize

from trivium_server.speech.rewriting import align
from trivium_server.speech.sentences import split_sentences
from trivium_server.speech.spoken_text import Unit, speakable_units
from trivium_server.speech.text_piece import TextPiece

MAX_LEN = 300
"""Characters of a sentence that are read at once: some 20 s of speech."""

NO_WORD = -1
SILENT_PHONEMES = frozenset(' ;:,.!?—…"()“”')
"""Phonemes that are a pause, or nothing."""

_SPACE = " "
_PAUSES = frozenset(";:,.!?—…")
_MARKS_AROUND = "\"'“”‘’()[]{}<>«»*_~`.,;:!?…—–"
_LETTERS_WITH_STOPS = re.compile(r"\W*((?:[^\W\d_]\.){2,})\W*")
# A pause is no place to cut where it leaves less than this share of the longest piece.
_SHORTEST_SHARE = 3

_logger = logging.getLogger("trivium.models")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pronunciation:
    """What is said: phonemes, and for each of them the place of its word in a list of words, or NO_WORD."""

    phonemes: str
    owners: tuple[int, ...]

    def pieces(self, max_len: int) -> Iterator["Pronunciation"]:
        """Cuts it into pieces of 1 to max_len phonemes, at pauses or else between words."""
        start, end = 0, len(self.phonemes)
        while end - start > max_len:
            cut = start + _cut_place(self.phonemes[start : start + max_len])
            yield self._part(start, cut)
            start = cut
        if end > start:
            yield self._part(start, end)

    def _part(self, start: int, end: int) -> "Pronunciation":
        return Pronunciation(phonemes=self.phonemes[start:end], owners=self.owners[start:end])


@dataclass(slots=True)
class _Word:
    """What is said for text[start:end]; parts: the phonemes of the words that it is read as."""

    start: int
    end: int
    parts: list[str]

    @property
    def has_sound(self) -> bool:
        return any(phoneme not in SILENT_PHONEMES for part in self.parts for phoneme in part)


class Pronouncer:
    """Reads English text. Holds the lexicon. May be called concurrently where unknown_word may."""

    def __init__(self, unknown_word: Callable[[str], str], *, is_british: bool) -> None:
        """Takes half a second. unknown_word: the phonemes, if any, of a word that the lexicon does not have."""
        self._reader = G2P(oov=unknown_word, british=is_british)

    def __call__(self, text: str) -> tuple[Pronunciation, tuple[TextPiece, ...]]:
        """Returns what is said for a text, and the words of the text that have a sound, in order.

        Any text will do, best a sentence of at most MAX_LEN characters; one that nobody could read has no phonemes.
        Words do not overlap. What is read otherwise than it is written, such as an amount of money, is one word where
        its parts cannot be told from each other.
        """
        pieces: list[TextPiece] = []
        phonemes: list[str] = []
        owners: list[int] = []
        for word in self._words(text):
            owner = len(pieces) if word.has_sound else NO_WORD
            if word.has_sound:
                pieces.append(_piece(text, word.start, word.end))
            said = _SPACE.join([*word.parts, ""])
            phonemes.append(said)
            owners += [NO_WORD if phoneme in SILENT_PHONEMES else owner for phoneme in said]
        if not pieces:
            return Pronunciation(phonemes="", owners=()), ()
        whole = "".join(phonemes).rstrip()
        return Pronunciation(phonemes=whole, owners=tuple(owners[: len(whole)])), tuple(pieces)

    def _words(self, text: str) -> list[_Word]:
        words: list[_Word] = []
        for part in split_sentences(text, MAX_LEN) if len(text) > MAX_LEN else [_whole(text)]:
            for word in self._groups(speakable_units(part.text)):
                start, end = part.start + word.start, part.start + word.end
                # Parts of one word of the text are one word again.
                if words and start < words[-1].end:
                    words[-1].end = max(end, words[-1].end)
                    words[-1].parts += word.parts
                else:
                    words.append(_Word(start, end, word.parts))
        return words

    def _groups(self, units: Sequence[Unit]) -> Iterator[_Word]:
        texts = [unit.text for unit in units]
        read = self._read(_SPACE.join(texts))
        if read is None:
            # Some word of it is more than the reader can take.
            for unit in units:
                yield _Word(unit.start, unit.end, [said for _, said in self._read(unit.text) or ()])
            return
        written, said = [each for each, _ in read], [each for _, each in read]
        for part in align(texts, written, _rewritten):
            group, parts, said = units[part.start : part.end], said[: part.num_written], said[part.num_written :]
            yield _Word(group[0].start, group[-1].end, parts)

    def _read(self, text: str) -> list[tuple[str, str]] | None:
        """Returns the words that a text is read as, each with its phonemes; None where the reader cannot take it."""
        try:
            read = [("", "")]
            for token in self._reader.phonemize_tokens(self._reader.tokenize(normalize(text))):
                written, said = read[-1]
                read[-1] = (written + str(token.text), said + str(token.phonemes or ""))
                if token.whitespace:
                    read.append(("", ""))
        except Exception as error:  # noqa: BLE001  the package raises a dozen classes on texts that it does not expect
            _logger.warning("a text of %d characters cannot be read: %s", len(text), type(error).__name__)
            return None
        return [each for each in read if each[0]]


def _whole(text: str) -> TextPiece:
    return TextPiece(text=text, start=0, end=len(text))


def _rewritten(word: str) -> Sequence[str]:
    return str(normalize(word)).split()


def _piece(text: str, start: int, end: int) -> TextPiece:
    """Returns the word at text[start:end] without the marks around it, where anything is left then."""
    word = text[start:end]
    found = _LETTERS_WITH_STOPS.fullmatch(word)
    core = found[1] if found else word.strip(_MARKS_AROUND)
    if core:
        start += word.index(core)
        end = start + len(core)
    return TextPiece(text=text[start:end], start=start, end=end)


def _cut_place(phonemes: str) -> int:
    """Returns where to cut phonemes, after a pause, else after a space, else at the end."""
    spaces = [place for place, phoneme in enumerate(phonemes, 1) if phoneme == _SPACE]
    pauses = [place for place in spaces if place > 1 and phonemes[place - 2] in _PAUSES]
    if pauses and pauses[-1] * _SHORTEST_SHARE >= len(phonemes):
        return pauses[-1]
    return spaces[-1] if spaces else len(phonemes)
