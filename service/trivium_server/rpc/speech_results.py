"""What was heard, as messages of trivium.v1."""

from collections.abc import Iterable, Sequence

from trivium.v1 import speech_pb2 as pb
from trivium_server.architectures.speech.live import Activity, ActivityKind, Update
from trivium_server.architectures.speech.transcription import FileProgress, Segment
from trivium_server.rpc.answers import duration

_KINDS = {kind: pb.ActivityKind.Value(f"ACTIVITY_KIND_{kind.name}") for kind in ActivityKind}


def segment_message(segment: Segment, index: int) -> pb.TranscriptSegment:
    """Returns a segment under its index."""
    heard = segment.heard
    message = pb.TranscriptSegment(
        segment_index=index,
        start_offset=duration(segment.start_s),
        end_offset=duration(segment.end_s),
        language_code=heard.language_code,
        channel=segment.channel,
        no_speech_probability=heard.no_speech,
    )
    alternative = message.alternatives.add(text=heard.text, confidence=heard.confidence)
    for word in heard.words:
        alternative.words.add(
            word=word.text,
            start_offset=duration(word.start_s),
            end_offset=duration(word.end_s),
            confidence=word.confidence,
        )
    return message


def update_message(update: Update) -> pb.TranscriptUpdate:
    """Returns what is known of an utterance of a live stream."""
    return pb.TranscriptUpdate(
        segment=segment_message(update.segment, update.segment.index),
        is_final=update.is_final,
        stable_prefix_length=update.stable_prefix_len,
        processed_offset=duration(update.processed_s),
    )


def file_update(segment: Segment, index: int, progress: FileProgress) -> pb.TranscriptUpdate:
    """Returns a segment of a file, which is final, and how far its file was heard."""
    update = pb.TranscriptUpdate(
        segment=segment_message(segment, index),
        is_final=True,
        stable_prefix_length=len(segment.heard.text),
        processed_offset=duration(progress.heard_s),
    )
    if progress.audio_s is not None:
        update.audio_duration.CopyFrom(duration(progress.audio_s))
    return update


def activity_message(activity: Activity) -> pb.SpeechActivity:
    """Returns what happened."""
    return pb.SpeechActivity(kind=_KINDS[activity.kind], offset=duration(activity.offset_s))


def whole_text(segments: Sequence[Segment], *, by_channel: bool) -> str:
    """Returns the texts of all segments in a row; with a row for each channel where they are separate."""
    if not by_channel:
        return " ".join(segment.heard.text for segment in segments)
    channels = sorted({segment.channel for segment in segments})
    rows = ([segment for segment in segments if segment.channel == channel] for channel in channels)
    return "\n".join(whole_text(row, by_channel=False) for row in rows)


def main_language(segments: Iterable[Segment]) -> str:
    """Returns the language that was spoken longest; empty where nobody spoke."""
    spoken_s: dict[str, float] = {}
    for segment in segments:
        code = segment.heard.language_code
        spoken_s[code] = spoken_s.get(code, 0.0) + segment.end_s - segment.start_s
    return max(spoken_s, key=lambda code: spoken_s[code], default="")
