"""When the parts of a text are spoken, as messages of trivium.v1."""

import re
from collections.abc import Iterator

from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech_capabilities import Spoken, TextPiece
from trivium_server.rpc.answers import duration
from trivium_server.rpc.text_ledger import TextLedger

_WORD = re.compile(r"\S+")


def num_left_out(text: str, spoken: Spoken) -> int:
    """Returns how many words of a sentence have letters or figures, and no sound."""
    said = {place for word in spoken.words for place in range(word.piece.start, word.piece.end)}
    words = ([place for place in range(*word.span()) if text[place].isalnum()] for word in _WORD.finditer(text))
    return sum(bool(places) and said.isdisjoint(places) for places in words)


def left_out_warnings(num_words: int, path: str) -> list[common_pb2.Warning]:
    """Returns what to say of words that were left out, in a list of one, or of none. path: of the text."""
    if not num_words:
        return []
    message = f"the voice cannot speak {num_words} of the words, and left them out"
    return [common_pb2.Warning(code=common_pb2.WARNING_CODE_TEXT_NOT_SPOKEN, message=message, field_path=path)]


def marks_of(
    sentence: TextPiece, spoken: Spoken, start_s: float, sample_rate_hz: int, ledger: TextLedger, *, with_words: bool
) -> Iterator[pb.SpeechMark]:
    """Yields the mark of a sentence and those of its words. start_s: where its sound begins in that of all text."""
    duration_s = len(spoken.samples) / sample_rate_hz
    yield pb.SpeechMark(
        kind=pb.SPEECH_MARK_KIND_SENTENCE,
        value=sentence.text,
        start_offset=duration(start_s),
        end_offset=duration(start_s + duration_s),
        source_span=ledger.span(sentence.start, sentence.end),
    )
    if not with_words:
        return
    places = ((sentence.start + word.piece.start, sentence.start + word.piece.end) for word in spoken.words)
    for word, span in zip(spoken.words, ledger.spans(places), strict=True):
        yield pb.SpeechMark(
            kind=pb.SPEECH_MARK_KIND_WORD,
            value=word.piece.text,
            start_offset=duration(start_s + word.start_s),
            end_offset=duration(start_s + min(word.end_s, duration_s)),
            source_span=span,
        )
