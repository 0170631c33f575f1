"""Captions of what was heard, as messages of trivium.v1."""

from collections.abc import Sequence

from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech.transcription import Segment
from trivium_server.speech.captions import Captioned, TimedWord, srt, webvtt

_WRITERS = {pb.CAPTION_FORMAT_SRT: srt, pb.CAPTION_FORMAT_WEBVTT: webvtt}


def caption_files(segments: Sequence[Segment], formats: Sequence[pb.CaptionFormat.ValueType]) -> list[pb.CaptionFile]:
    """Returns captions in these formats. segments: in the order of their beginning. Takes its time; for a thread."""
    cues = [
        Captioned(
            text=segment.heard.text,
            start_s=segment.start_s,
            end_s=segment.end_s,
            words=[TimedWord(text=word.text, start_s=word.start_s, end_s=word.end_s) for word in segment.heard.words],
        )
        for segment in segments
    ]
    return [pb.CaptionFile(format=each, content=_WRITERS[each](cues)) for each in formats]
