"""Files of sound made to hurt whoever decodes them, each by its name."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile
from numpy.typing import NDArray

MEBIBYTE = 1 << 20
SILENCE_120_MS = b"\x19"  # an Opus packet of two frames of 60 ms, each of no bytes


def tone(rate: int, num_channels: int = 1, seconds: float = 2.0) -> NDArray[np.float32]:
    """Something with a pitch, a beat and noise: float32, shape (frames, channels)."""
    at = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(7).standard_normal((len(at), num_channels)) * 0.02
    pitch = [0.4 * np.sin(2 * np.pi * 220 * (number + 1) * at) * (at % 0.5 < 0.3) for number in range(num_channels)]
    return np.asarray(np.stack(pitch, axis=1) + noise, np.float32)


def encoded(samples: NDArray[np.float32], rate: int, name: str, kind: str, **options: object) -> bytes:
    """Returns a file that libsndfile writes of samples of shape (frames, channels)."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], kind, format=name, **options) as writer:
        for at in range(0, len(samples), 4096):
            writer.write(samples[at : at + 4096])
    return file.getvalue()


def good_files() -> dict[str, bytes]:
    """Returns a small file of each kind."""
    one, two = tone(16_000), tone(44_100, 2, 1.0)
    return {
        "wav": encoded(one, 16_000, "WAV", "PCM_16"),
        "wav, 24 bits, stereo": encoded(two, 44_100, "WAV", "PCM_24"),
        "wav, extensible, float": encoded(tone(8_000, 6, 0.5), 8_000, "WAVEX", "FLOAT"),
        "wav, mu-law": encoded(tone(8_000), 8_000, "WAV", "ULAW"),
        "rf64": encoded(one, 16_000, "RF64", "PCM_16"),
        "flac": encoded(one, 16_000, "FLAC", "PCM_16"),
        "flac, 24 bits, stereo": encoded(two, 44_100, "FLAC", "PCM_24"),
        "opus": encoded(one, 16_000, "OGG", "OPUS"),
        "opus, 6 channels": encoded(tone(48_000, 6, 0.5), 48_000, "OGG", "OPUS"),
        "mp3": encoded(one, 16_000, "MP3", "MPEG_LAYER_III"),
        "mp3, stereo": encoded(two, 44_100, "MP3", "MPEG_LAYER_III", compression_level=0.5, bitrate_mode="CONSTANT"),
    }


def chunk(name: bytes, data: bytes, length: int | None = None) -> bytes:
    return name + struct.pack("<I", len(data) if length is None else length) + data + bytes(len(data) % 2)


def layout(tag: int = 1, channels: int = 1, rate: int = 16_000, align: int = 2, bits: int = 16) -> bytes:
    return struct.pack("<HHIIHH", tag, channels, rate, rate * align, align, bits)


def wav(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def simple_wav(data: bytes, length: int | None = None, **changes: int) -> bytes:
    return wav(chunk(b"fmt ", layout(**changes)), chunk(b"data", data, length))


def flac_info(rate: int = 16_000, channels: int = 1, bits: int = 16, frames: int = 0, block: int = 4096) -> bytes:
    numbers = rate << 44 | channels - 1 << 41 | bits - 1 << 36 | frames
    return struct.pack(">HH", block, block) + bytes(6) + numbers.to_bytes(8, "big") + bytes(16)


def flac_block(kind: int, data: bytes, *, is_last: bool = False, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return bytes((kind | 0x80 * is_last,)) + size.to_bytes(3, "big") + data


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    value = 0
    for byte in data:
        value ^= byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
            value &= (1 << bits) - 1
    return value


def _utf8(number: int) -> bytes:
    return chr(number).encode("utf-8", "surrogatepass")


def silent_flac(seconds: int, *, says: int | None = None) -> bytes:
    """A FLAC file at 8 kHz of frames of 32768 samples, each of 12 bytes or so. says: the frames of its header."""
    count = seconds * 8000 // 32_768
    frames = []
    for number in range(count):
        head = b"\xff\xf8\xf4\x08" + _utf8(number)
        head += bytes((_crc(head, 8, 0x07),))
        body = head + b"\0\0\0"
        frames.append(body + _crc(body, 16, 0x8005).to_bytes(2, "big"))
    info = flac_info(8_000, frames=count * 32_768 if says is None else says, block=32_768)
    return b"fLaC" + flac_block(0, info, is_last=True) + b"".join(frames)


def page(
    packets: list[bytes], flags: int, position: int, number: int, *, serial: int = 7, crc: int | None = None
) -> bytes:
    """A page of Ogg with whole packets."""
    segments = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, position, serial, number, 0, len(segments)) + segments
    data = head + b"".join(packets)
    return data[:22] + struct.pack("<I", _crc(data, 32, 0x04C11DB7) if crc is None else crc) + data[26:]


def opus_head(channels: int = 1, skip: int = 312, rate: int = 16_000, family: int = 0, more: bytes = b"") -> bytes:
    return b"OpusHead" + struct.pack("<BBHIhB", 1, channels, skip, rate, 0, family) + more


def opus(*pages: bytes, head: bytes = b"", serial: int = 7) -> bytes:
    tags = b"OpusTags" + bytes(8)
    return b"".join((page([head or opus_head()], 2, 0, 0, serial=serial), page([tags], 0, 0, 1, serial=serial), *pages))


def silent_opus(seconds: float, *, says: float | None = None) -> bytes:
    """An Ogg file of pages of 30.6 s, of packets of a byte. says: the seconds that its last page claims."""
    count = max(1, round(seconds / (255 * 0.12)))
    positions = [(number + 1) * 255 * 5760 for number in range(count)]
    if says is not None:
        positions[-1] = int(says * 48_000)
    # The sum of each page is that of one with zeros there; to work out a thousand in Python takes a while.
    pages = [
        page([SILENCE_120_MS] * 255, 4 * (number == count - 1), position, number + 2)
        for number, position in enumerate(positions)
    ]
    return opus(*pages)


def mp3_frames(count: int, head: bytes = b"\xff\xfb\x10\xc4") -> bytes:
    """Silent frames of 32 kbit/s at 44.1 kHz."""
    return head.ljust(104, b"\0") * count


def id3(length: int, data: bytes = b"") -> bytes:
    size = bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + data


def lies() -> Iterator[tuple[str, bytes]]:
    """Headers that say what is not so."""
    second = bytes(32_000)
    yield "wav, 100 channels", simple_wav(second, channels=100, align=200)
    yield "wav, 65535 channels", simple_wav(second, channels=65_535, align=65_535)
    yield "wav, no channels", simple_wav(second, channels=0)
    yield "wav, 1 Hz", simple_wav(second, rate=1)
    yield "wav, 0 Hz", simple_wav(second, rate=0)
    yield (
        "wav, 2^32 Hz",
        wav(chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 0xFFFFFFFF, 0, 2, 16)), chunk(b"data", second)),
    )
    yield "wav, no bytes in a frame", simple_wav(second, align=0)
    yield "wav, 3 bytes for 16 bits", simple_wav(second, align=3)
    yield "wav, 255 bits", simple_wav(second, bits=255)
    yield "wav, says 4 GB", simple_wav(second, 0xFFFFFFFE)
    yield "wav, says 2 GB", simple_wav(second, 0x7FFFFFFF)
    yield "wav, of unknown length", simple_wav(second, 0xFFFFFFFF)
    yield "wav, no samples", simple_wav(b"")
    yield "wav, a byte of samples", simple_wav(b"\1")
    yield "wav, without a format", wav(chunk(b"data", second))
    yield "wav, without samples", wav(chunk(b"fmt ", layout()))
    yield "wav, format of 2 bytes", wav(chunk(b"fmt ", b"\1\0"), chunk(b"data", second))
    yield "wav, format of 4 GB", wav(b"fmt \xff\xff\xff\xff" + layout(), chunk(b"data", second))
    yield "wav, adpcm", simple_wav(second, tag=2, align=256, bits=4)
    yield "wav, mp3", simple_wav(second, tag=0x55, align=1, bits=0)
    guid = struct.pack("<HHI", 22, 16, 4) + bytes(16)
    yield "wav, unknown guid", wav(chunk(b"fmt ", layout(tag=0xFFFE) + guid), chunk(b"data", second))
    numbers = struct.pack("<QQQI", 1 << 63, 1 << 63, 1 << 62, 0)
    yield (
        "rf64, says 2^63",
        b"RF64\xff\xff\xff\xffWAVE"
        + chunk(b"ds64", numbers)
        + chunk(b"fmt ", layout())
        + chunk(b"data", second, 0xFFFFFFFF),
    )
    flac = good_files()["flac"]
    start = flac.index(b"\xff\xf8")
    frames = flac[start:]
    for name, info in {
        "0 Hz": flac_info(0),
        "655350 Hz": flac_info(655_350),
        "2^36 samples": flac_info(frames=(1 << 36) - 1),
        "one sample": flac_info(frames=1),
        "blocks of a sample": flac_info(block=1),
        "blocks of none": flac_info(block=0),
        "4 bits": flac_info(bits=4),
        "8 channels": flac_info(channels=8),
        "24 bits": flac_info(bits=24),
        "48 kHz": flac_info(48_000),
    }.items():
        yield f"flac says {name}", b"fLaC" + flac_block(0, info, is_last=True) + frames
    yield "flac, of unknown length", b"fLaC" + flac_block(0, flac_info(), is_last=True) + frames
    yield "flac, no streaminfo", b"fLaC" + flac_block(4, bytes(34), is_last=True) + frames
    yield "flac, streaminfo of 16 MB", b"fLaC" + flac_block(0, flac_info(), is_last=True, length=0xFFFFFF) + frames
    yield "flac, no frames", b"fLaC" + flac_block(0, flac_info(frames=1000), is_last=True)
    audio = page([b"\xf8\xff\xfe"] * 50, 4, 48_000, 2)
    for name, head in {
        "no channels": opus_head(0),
        "100 channels": opus_head(100, family=255, more=bytes(102)),
        "8 channels, family 0": opus_head(8),
        "8 channels, no streams": opus_head(8, family=1, more=bytes(10)),
        "8 channels, 9 streams": opus_head(8, family=1, more=b"\x09\0" + bytes(8)),
        "a mapping of 200": opus_head(2, family=1, more=b"\x01\x01\xc8\x00"),
        "no mapping": opus_head(6, family=1),
        "a header of 250 bytes": opus_head(more=bytes(231)),
        "a mapping cut short": opus_head(8, family=1, more=b"\x05\x03\x00"),
        "version 255": b"OpusHead\xff" + opus_head()[9:],
        "65535 samples to skip": opus_head(skip=65_535),
        "4 GHz": opus_head(rate=0xFFFFFFFF),
        "1 Hz": opus_head(rate=1),
    }.items():
        yield f"opus, {name}", opus(audio, head=head)


def floods() -> Iterator[tuple[str, bytes]]:
    """Small files that are, or claim to be, hours."""
    yield "opus, 8 hours of silence", silent_opus(8 * 3600)
    yield "opus, 3 pages that say 8 hours", silent_opus(90, says=8 * 3600)
    yield "opus, 2 minutes that say 59", silent_opus(120, says=59 * 60)
    yield "opus, 8 hours that say 10 seconds", silent_opus(8 * 3600, says=10)
    yield "opus says 2^63", opus(page([SILENCE_120_MS], 4, (1 << 63) - 1, 2))
    yield "opus says -2", opus(page([SILENCE_120_MS], 4, -2, 2))
    late = (1 << 62) + 5760
    yield "opus begins at 2^62", opus(page([SILENCE_120_MS], 0, late, 2), page([SILENCE_120_MS], 4, late + 5760, 3))
    yield "opus goes back in time", opus(page([SILENCE_120_MS], 0, 1 << 33, 2), page([SILENCE_120_MS], 4, 5760, 3))
    yield "flac, 8 hours of silence", silent_flac(8 * 3600)
    yield "flac, 8 hours, of unknown length", silent_flac(8 * 3600, says=0)
    yield "flac, 8 hours that say 10 seconds", silent_flac(8 * 3600, says=80_000)
    yield "flac, 59 minutes of silence", silent_flac(59 * 60)
    yield "mp3, 8 hours", mp3_frames(8 * 3600 * 39)
    tag = bytearray(mp3_frames(1))
    tag[21:33] = b"Xing\0\0\0\x01\xff\xff\xff\xff"
    yield "mp3, tag says 2^32 frames", bytes(tag) + mp3_frames(100)
    tag[25:33] = b"\0\0\0\x01\0\0\0\x01"
    yield "mp3, tag says one frame", bytes(tag) + mp3_frames(100)
    tag[25:66] = b"\0\0\0\x01\0\0\0\x64" + b"LAME3.100" + bytes(12) + b"\xff\xff\xff" + bytes(9)
    yield "mp3, tag says to leave out 4095 at both ends", bytes(tag) + mp3_frames(100)


def broken() -> Iterator[tuple[str, bytes]]:
    """Files with a wrong structure, or wrong samples."""
    yield "nothing", b""
    yield "one byte", b"R"
    yield "only zeros", bytes(MEBIBYTE)
    yield "only 0xff", b"\xff" * MEBIBYTE
    yield "noise", np.random.default_rng(1).bytes(MEBIBYTE)
    floats = np.zeros(16_000, "<f4")
    for name, value in {"nan": np.nan, "infinite": np.inf, "minus infinite": -np.inf}.items():
        floats[9_000] = value
        yield f"wav, {name}", simple_wav(floats.tobytes(), tag=3, align=4, bits=32)
    yield "wav, as loud as it gets", simple_wav(np.full(16_000, 3e38, "<f4").tobytes(), tag=3, align=4, bits=32)
    yield "wav, doubles beyond floats", simple_wav(np.full(8_000, 1e300).tobytes(), tag=3, align=8, bits=64)
    second = bytes(32_000)
    yield "wav, 100000 chunks", wav(*[chunk(b"junk", b"")] * 100_000, chunk(b"fmt ", layout()), chunk(b"data", second))
    nested = b""
    for _ in range(3_000):
        nested = chunk(b"LIST", b"INFO" + nested)
    yield "wav, 3000 nested lists", wav(nested, chunk(b"fmt ", layout()), chunk(b"data", second))
    yield "wav, a list of 4 GB", wav(b"LIST\xfe\xff\xff\xffINFO", chunk(b"fmt ", layout()), chunk(b"data", second))
    info = flac_block(0, flac_info())
    frames = good_files()["flac"]
    frames = frames[frames.index(b"\xff\xf8") :]
    yield "flac, a million blocks", b"fLaC" + info + flac_block(1, b"") * 1_000_000 + frames
    yield "flac, a picture of 16 MiB", b"fLaC" + info + flac_block(6, bytes(0xFFFFFF), is_last=True) + frames
    vendor = struct.pack("<I", 0) + struct.pack("<I", 1) + struct.pack("<I", 12) + b"TITLE=\xff\xfe\xff\xff\xff\xff"
    yield "flac, a title that is no text", b"fLaC" + info + flac_block(4, vendor, is_last=True) + frames
    yield "flac, 2^32 comments", b"fLaC" + info + flac_block(4, b"\xff" * 64, is_last=True) + frames
    yield "flac, frames of zeros", b"fLaC" + flac_block(0, flac_info(), is_last=True) + frames[:20] + bytes(MEBIBYTE)
    yield (
        "flac, a mebibyte of syncs",
        b"fLaC" + flac_block(0, flac_info(), is_last=True) + b"\xff\xf8" * (MEBIBYTE // 2),
    )
    noisy = bytearray(frames)
    for at in np.random.default_rng(2).integers(100, len(noisy) - 100, 50):
        noisy[at] ^= 0x55
    yield "flac, 50 wrong bytes", b"fLaC" + flac_block(0, flac_info(), is_last=True) + bytes(noisy)
    sound = [b"\xf8\xff\xfe"] * 50
    yield "opus, wrong sums", opus(*(page(sound, 0, 48_000 * n, n + 1, crc=12345) for n in range(1, 4)))
    yield "opus, wrong sum of the last page", opus(page(sound, 0, 48_000, 2), page(sound, 4, 96_000, 3, crc=1))
    yield "opus, no sound", opus(page([], 4, 0, 2))
    yield "opus, a page missing", opus(page(sound, 0, 48_000, 2), page(sound, 4, 144_000, 4))
    yield "opus, packets of nothing", opus(page([b""] * 255, 4, 48_000, 2))
    yield "opus, packets of noise", opus(page([np.random.default_rng(3).bytes(150)] * 200, 4, 4_000_000, 2))
    yield "opus, frames that are not there", opus(page([b"\xff\xff"] * 255, 4, 48_000 * 60, 2))
    yield "opus, a page too long", opus(page(sound, 0, 48_000, 2))[:-30] + page(sound, 4, 96_000, 3)
    yield "opus, 200000 empty pages", opus(*[page([], 0, -1, 2)] * 200_000, page(sound, 4, 48_000, 3))
    tags = [page([b"OpusTags" + b"\xff" * 8 + bytes(60_000)], 0, 0, 1)]
    yield "opus, tags of 2^32 entries", page([opus_head()], 2, 0, 0) + tags[0] + page(sound, 4, 48_000, 2)
    first = opus(page(sound, 4, 48_000, 2))
    yield "opus, two sounds in a row", first + opus(page(sound, 4, 48_000, 2, serial=8), serial=8)
    second_head = opus_head(2, family=0)
    yield "opus, a second sound with two channels", first + opus(page(sound, 4, 48_000, 2), head=second_head)
    yield (
        "opus, a head within",
        opus(page(sound, 0, 48_000, 2), page([second_head], 2, 0, 3), page(sound, 4, 96_000, 4)),
    )
    yield "opus, two sounds at once", opus(page(sound, 0, 48_000, 2), page(sound, 0, 48_000, 2, serial=9))
    yield "ogg vorbis", page([b"\x01vorbis" + bytes(23)], 2, 0, 0)
    yield "ogg, of no kind", page([b"nothing at all"], 2, 0, 0)
    yield "mp3, only syncs", b"\xff\xfb" * (MEBIBYTE // 2)
    yield "mp3, only headers", b"\xff\xfb\x10\xc4" * (MEBIBYTE // 4)
    yield "mp3, one frame", mp3_frames(1)
    yield (
        "mp3, frames of noise",
        b"".join(b"\xff\xfb\x90\xc4" + np.random.default_rng(n).bytes(413) for n in range(500)),
    )
    yield "mp3, a tag of 256 MB that is not there", id3((1 << 28) - 1, bytes(1000))
    yield "mp3, a tag of 32 MiB", id3(32 * MEBIBYTE, bytes(32 * MEBIBYTE)) + mp3_frames(100)
    yield "mp3, a million tags", id3(0) * 1_000_000 + mp3_frames(100)
    yield "mp3, a tag between every two frames", (mp3_frames(2) + id3(100, bytes(100))) * 20_000
    yield "mp3, another rate in the middle", mp3_frames(100) + mp3_frames(100, b"\xff\xfb\x14\xc4")
    yield "mp3, two channels in the middle", mp3_frames(100) + mp3_frames(100, b"\xff\xfb\x10\x04")
    yield "mp3, free format", mp3_frames(100, b"\xff\xfb\x00\xc4")
    yield "mpeg, layer II", mp3_frames(100, b"\xff\xfd\x10\xc4")
    yield "aac", b"\xff\xf1\x50\x80\x2e\x7f\xfc" + bytes(1000)
    yield "mp4", b"\0\0\0\x20ftypM4A " + bytes(1000)
    yield "webm", b"\x1aE\xdf\xa3" + bytes(1000)
    yield "aiff", b"FORM" + struct.pack(">I", 1000) + b"AIFF" + bytes(1000)
    yield "amr", b"#!AMR\n" + bytes(1000)


def cuts() -> Iterator[tuple[str, bytes]]:
    """Good files, cut at many places."""
    for name, content in good_files().items():
        for part in (0.01, 0.1, 0.3, 0.5, 0.9, 0.99):
            yield f"{name}, cut at {part:.0%}", content[: int(len(content) * part)]
        yield f"{name}, without its last byte", content[:-1]
        yield f"{name}, its first 40 bytes", content[:40]
