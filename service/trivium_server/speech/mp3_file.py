"""Reads the structure of an MP3 file: every frame's header. Sources: ISO 11172-3 and 13818-3; ID3v2; the LAME tag."""

from collections.abc import Iterator
from dataclasses import dataclass

from trivium_server.speech.audio_format import AudioEncoding
from trivium_server.speech.audio_header import BrokenAudioError, Header, Source, Span, check_length, check_shape

# Kilobits a second, by the code for it, for MPEG 1 and for MPEG 2 and 2.5.
_BITRATES = (
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_BASE_RATES = (44_100, 48_000, 32_000)
# By the code for the version: 2.5, none, 2, 1.
_RATE_DIVISORS = (4, 0, 2, 1)
_MONO = 3
# How far the next frame may be from the end of the one before, and how often there may be something between two.
_MAX_GAP_BYTES = 1 << 16
_MAX_GAPS = 64
_MAX_TAGS = 16
_STEP_BYTES = 1 << 16
_TAG_BYTES = 100
# What a tag can say that is to be left out of the sound at both ends, in samples.
_MOST_TRIM = (4095, 4095)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What all frames of a sound have in common. is_first: MPEG 1."""

    second: int
    rate_bits: int
    is_mono: bool
    is_first: bool
    rate: int

    @property
    def frame_len(self) -> int:
        return 1152 if self.is_first else 576

    @property
    def side_bytes(self) -> int:
        """How long the part is between a frame's header and its data."""
        return (17 if self.is_mono else 32) if self.is_first else (9 if self.is_mono else 17)

    def frame_bytes(self, third: int) -> int:
        """Returns how long a frame is, by the third byte of its header; 0 for none."""
        if third & 0x0C != self.rate_bits or not 0 < third >> 4 < 15:
            return 0
        bitrate = _BITRATES[not self.is_first][(third >> 4) - 1]
        return (144_000 if self.is_first else 72_000) * bitrate // self.rate + (third >> 1 & 1)

    def sizes(self) -> tuple[int, ...]:
        """Returns the lengths of frames for each third byte."""
        return tuple(self.frame_bytes(third) for third in range(256))


def after_tags(source: Source) -> int:
    """Returns where the tags (ID3v2) end that a file begins with. Raises BrokenAudioError."""
    at = 0
    for _ in range(_MAX_TAGS):
        length = _tag_bytes(source.read(at, 10))
        if not length:
            return at
        at += length
        if at >= source.size:
            raise BrokenAudioError("is cut short")
    raise BrokenAudioError("has too many tags")


def is_frame(head: bytes) -> bool:
    """Tells whether these four bytes are the header of a frame of any layer."""
    return (
        len(head) >= 4
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x18 != 0x08
        and bool(head[1] & 0x06)
        and head[2] >> 4 != 15
        and head[2] & 0x0C != 0x0C
    )


def frame_bytes(head: bytes) -> int:
    """Returns how long the frame is that this header begins; 0 for none of layer III."""
    kind = _kind(head)
    return kind.frame_bytes(head[2]) if kind else 0


def read(source: Source, max_s: float) -> Header:
    """Returns what the file says of its sound. Raises BrokenAudioError and OversizedAudioError."""
    start = after_tags(source)
    kind, start = _first_frame(source, start)
    num_channels = 1 if kind.is_mono else 2
    check_shape(kind.rate, num_channels)
    tag, tag_bytes = _tag(source, start, kind)
    max_frames = int(max_s * kind.rate + sum(_MOST_TRIM)) // kind.frame_len + 2
    spans = []
    num_frames = 0
    end = start + tag_bytes
    for span, count in _runs(source, start + tag_bytes, kind, max_frames):
        spans.append(span)
        num_frames += count
        end = span.end
    trim = _trim(tag, num_frames * kind.frame_len)
    num_samples = num_frames * kind.frame_len - sum(trim)
    check_length(num_samples, kind.rate, max_s)
    return Header(
        encoding=AudioEncoding.MP3,
        sample_rate_hz=kind.rate,
        num_channels=num_channels,
        num_frames=num_samples,
        # Without the right number of frames in a tag, the decoder guesses how long the sound is, and stops there.
        parts=(tag_frame(source.read(start, 4), num_frames, trim), *spans),
        is_cut_short=_stated_frames(tag) > num_frames or not _is_end(source, end),
    )


def _tag_bytes(head: bytes) -> int:
    if len(head) < 10 or not head.startswith(b"ID3") or any(byte & 0x80 for byte in head[6:10]):
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _kind(head: bytes) -> _Kind | None:
    """Returns what kind of sound a frame is of; None where it is no frame, or not of layer III."""
    if not is_frame(head) or head[1] & 0x06 != 0x02 or not 0 < head[2] >> 4 < 15:
        return None
    version = head[1] >> 3 & 3
    rate = _BASE_RATES[head[2] >> 2 & 3] // _RATE_DIVISORS[version]
    return _Kind(head[1] & 0xFE, head[2] & 0x0C, head[3] >> 6 == _MONO, version == 3, rate)


def _first_frame(source: Source, at: int) -> tuple[_Kind, int]:
    """Returns the kind and the place of the first frame that another follows, or the end of the file."""
    data = source.read(at, _MAX_GAP_BYTES)
    if is_frame(data[:4]) and data[1] & 0x06 != 0x02:
        layer = "I" if data[1] & 0x06 == 0x06 else "II"
        raise BrokenAudioError(f"is MPEG audio of layer {layer}, which is not read; send MP3")
    place = data.find(b"\xff")
    while place >= 0:
        kind = _kind(data[place : place + 4])
        if kind is not None:
            after = at + place + kind.frame_bytes(data[place + 2])
            if _follows(source.read(after, 4), kind) or after == source.size:
                return kind, at + place
        place = data.find(b"\xff", place + 1)
    raise BrokenAudioError("has no frames that follow one another" if data else "is cut short")


def _follows(head: bytes, kind: _Kind) -> bool:
    return len(head) == 4 and _kind(head) == kind


def _runs(source: Source, at: int, kind: _Kind, max_frames: int) -> Iterator[tuple[Span, int]]:
    """Yields where frames follow one another, and how many; between them are tags, or bytes that are nothing."""
    for _ in range(_MAX_GAPS):
        end, count = _run(source, at, kind, max_frames)
        if count:
            yield Span(at, end), count
        max_frames -= count
        if max_frames <= 0 or (next_at := _after_gap(source, end, kind)) is None:
            return
        at = next_at


def _run(source: Source, at: int, kind: _Kind, max_frames: int) -> tuple[int, int]:
    """Returns where the frames from `at` end, and how many there are."""
    sizes, second, is_mono = kind.sizes(), kind.second, kind.is_mono
    count = 0
    while count < max_frames:
        data = source.read(at, _STEP_BYTES)
        place, last = 0, len(data) - 4
        while (
            place <= last
            and data[place] == 0xFF
            and data[place + 1] & 0xFE == second
            and (data[place + 3] >= 0xC0) is is_mono
            and (size := sizes[data[place + 2]])
            and count < max_frames
        ):
            place += size
            count += 1
        # A frame whose end is not there is none.
        if at + place > source.size:
            place -= size
            count -= 1
            return at + place, count
        at += place
        if not place or place <= last:
            break
    return at, count


def _after_gap(source: Source, at: int, kind: _Kind) -> int | None:
    """Returns where frames begin again after something else, if they do."""
    at += _tag_bytes(source.read(at, 10))
    data = source.read(at, _MAX_GAP_BYTES)
    place = data.find(b"\xff")
    while place >= 0:
        if _follows(data[place : place + 4], kind):
            after = at + place + kind.frame_bytes(data[place + 2])
            if _follows(source.read(after, 4), kind):
                return at + place
        place = data.find(b"\xff", place + 1)
    return None


def _is_end(source: Source, at: int) -> bool:
    """Tells whether what comes after the last frame is none of the sound."""
    rest = source.read(at + _tag_bytes(source.read(at, 10)), 128)
    return not rest.strip(b"\0") or rest.startswith((b"TAG", b"APETAGEX", b"LYRICSBEGIN"))


def _tag(source: Source, start: int, kind: _Kind) -> tuple[bytes, int]:
    """Returns what the first frame says of the others, if it is a tag, and how long that frame is, or 0."""
    frame = source.read(start, kind.frame_bytes(source.read(start, 4)[2]))
    side = 4 + kind.side_bytes
    if frame[side : side + 4] in {b"Xing", b"Info"}:
        return frame[side:], len(frame)
    # Those of another encoder stand always in the same place.
    return b"", len(frame) if frame[36:40] == b"VBRI" else 0


def _stated_frames(tag: bytes) -> int:
    return int.from_bytes(tag[8:12], "big") if len(tag) >= 12 and tag[7] & 1 else 0


def _trim(tag: bytes, num_samples: int) -> tuple[int, int]:
    """Returns how many samples a tag says that there are before the sound and after it."""
    if len(tag) < 8:
        return 0, 0
    flags = tag[7]
    at = 8 + 4 * (flags & 1) + 2 * (flags & 2) + 25 * (flags & 4) + (flags & 8) // 2
    lame = tag[at : at + 36]
    if len(lame) < 36 or not lame[:4].isalnum():
        return 0, 0
    trim = int.from_bytes(lame[21:24], "big")
    before, after = trim >> 12, trim & 0xFFF
    return (before, after) if before + after < num_samples else (0, 0)


def tag_frame(first: bytes, num_frames: int, trim: tuple[int, int]) -> bytes:
    """Makes a frame that says how many there are after it, and what to leave out at both ends of the sound.

    first: the header of one of them. num_frames: 0 where that is not known. trim: as the LAME tag has it: what the
    encoder put before the sound and after it; (0, 0) where that is not known.
    """
    kind = _kind(first)
    assert kind is not None
    sizes = ((third, kind.frame_bytes(third)) for third in range(kind.rate_bits | 0x10, 0xF0, 0x10))
    third, size = next((third, size) for third, size in sizes if size >= 4 + kind.side_bytes + _TAG_BYTES)
    tag = b"Info" + (1).to_bytes(4, "big") + num_frames.to_bytes(4, "big") if num_frames else b"Info" + bytes(4)
    if any(trim):
        tag += b"LAME3.100" + bytes(12) + (trim[0] << 12 | trim[1]).to_bytes(3, "big") + bytes(12)
    head = bytes((0xFF, first[1] | 1, third, first[3] & 0xC0))
    return (head + bytes(kind.side_bytes) + tag).ljust(size, b"\0")
