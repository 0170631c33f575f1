"""Files made to hurt whoever decodes them, each by its name."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image as Pil

MEBIBYTE = 1 << 20


def encoded(image: Pil.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def photo(width: int = 160, height: int = 120) -> Pil.Image:
    """Something with slopes, edges and noise."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(1).integers(0, 20, (height, width))
    pixels = np.stack([x * 255 // width, y * 255 // height, 128 + 100 * ((x // 16 + y // 16) % 2)], axis=-1)
    return Pil.fromarray((pixels * 0.9 + noise[:, :, None]).clip(0, 255).astype(np.uint8))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, color: int = 2, interlace: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(num_bytes: int) -> bytes:
    """Deflates zeros."""
    packer = zlib.compressobj(9)
    block = bytes(MEBIBYTE)
    parts = [packer.compress(block[: min(MEBIBYTE, num_bytes - done)]) for done in range(0, num_bytes, MEBIBYTE)]
    return b"".join((*parts, packer.flush()))


def png_in(width: int, height: int, samples: int, color: int, *, depth: int = 8, more: bytes = b"") -> bytes:
    """An image of one colour that is all there: a thousandth of its size."""
    data = zeros(height * (1 + width * samples * depth // 8))
    return png(width, height, more, chunk(b"IDAT", data), depth=depth, color=color)


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(data)) + data


def exif(*entries: bytes, order: str = "<", next_at: int = 0) -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "I", next_at)


def entry(tag: int, kind: int, count: int, value: int, order: str = "<") -> bytes:
    inline = struct.pack(order + "HH", value, 0) if kind == 3 and count == 1 else struct.pack(order + "I", value)
    return struct.pack(order + "HHI", tag, kind, count) + inline


def with_exif(jpeg: bytes, *blocks: bytes) -> bytes:
    return jpeg[:2] + b"".join(segment(0xE1, b"Exif\0\0" + block) for block in blocks) + jpeg[2:]


def tiff(entries: dict[int, tuple[int, int, int]], data: bytes = b"") -> bytes:
    """entries: for each tag its type, count and value or place. data begins at 8."""
    parts = [entry(tag, *what) for tag, what in sorted(entries.items())]
    directory = struct.pack("<H", len(parts)) + b"".join(parts) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def grey_tiff(width: int, height: int, data: bytes, **changes: tuple[int, int, int]) -> bytes:
    names = {"bits": 258, "compression": 259, "photometric": 262, "offsets": 273, "samples": 277, "rows": 278}
    names |= {"sizes": 279, "tile_width": 322, "tile_height": 323, "tile_offsets": 324, "tile_sizes": 325, "icc": 34675}
    names |= {"format": 339, "subs": 330, "exif": 34665}
    entries = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    entries |= {273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, len(data))}
    return tiff(entries | {names[name]: what for name, what in changes.items()}, data)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def gif(width: int, height: int, frame: tuple[int, int, int, int], codes: bytes, *, table: bytes = bytes(6)) -> bytes:
    flags = 0x80 if table else 0
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + table
    return head + b"," + struct.pack("<HHHHB", *frame, 0) + b"\x02" + codes + b"\0;"


def bmp(width: int, height: int, depth: int, data: bytes, *, compression: int = 0, palette: bytes = b"") -> bytes:
    start = 54 + len(palette)
    head = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, 0, 0, 0, 0, 0) + palette + data


def progressive(num_scans: int, side: int) -> bytes:
    """A progressive JPEG whose refining scans say, again and again, that nothing changes."""
    whole = encoded(Pil.new("L", (side, side), 128), "JPEG", progressive=True)
    first = whole.index(b"\xff\xda")
    num_blocks = (side // 8) ** 2
    # One code, of one bit, for "the next 2^14 blocks have no more": the rest of its bits follow.
    table = segment(0xC4, b"\x10" + bytes((1, *[0] * 15)) + b"\xe0")
    bits = "0" + "0" * 14
    data = "".join(bits for _ in range(-(-num_blocks // (1 << 14))))
    data += "1" * (-len(data) % 8)
    coded = bytes(int(data[at : at + 8], 2) for at in range(0, len(data), 8)).replace(b"\xff", b"\xff\0")
    scan = segment(0xDA, bytes((1, 1, 0, 1, 63, 0x10))) + coded
    return whole[:first] + table + whole[first:-2] + scan * num_scans + b"\xff\xd9"


def noisy_jpeg() -> bytes:
    """A progressive photo whose codes are broken in a hundred places."""
    content = bytearray(encoded(photo(2000, 1500), "JPEG", progressive=True, quality=95))
    for at in np.random.default_rng(3).integers(len(content) // 10, len(content) - 10, 100):
        content[at] = 0x55
    return bytes(content)


def floods() -> Iterator[tuple[str, bytes]]:
    """Small files that claim to be, or are, huge."""
    small = encoded(photo(), "JPEG")
    at = small.index(b"\xff\xc0")
    yield "jpeg says 65535x65535", small[: at + 5] + b"\xff\xff\xff\xff" + small[at + 9 :]
    yield "jpeg says 5900x6100", small[: at + 5] + struct.pack(">HH", 5900, 6100) + small[at + 9 :]
    yield "jpeg says 0x0", small[: at + 5] + bytes(4) + small[at + 9 :]
    yield "jpeg of 30 million pixels", encoded(Pil.new("L", (6000, 5000)), "JPEG")
    yield "jpeg progressive, 30 million pixels", encoded(Pil.new("RGB", (6000, 5000)), "JPEG", progressive=True)
    yield "png says 2^31", png((1 << 31) - 1, (1 << 31) - 1, chunk(b"IDAT", zeros(1000)))
    yield "png says 0x10", png(0, 10, chunk(b"IDAT", zeros(1000)))
    yield "png of 100 million pixels", png_in(10_000, 10_000, 1, 0)
    yield "png of 36 million pixels", png_in(6000, 6000, 3, 2)
    yield "png, alpha, 28 million pixels", png_in(5600, 5000, 4, 6)
    yield "png, alpha, 36 million pixels", png_in(6000, 6000, 4, 6)
    yield "png, 16 bits and alpha, 14 million pixels", png_in(3500, 4000, 4, 6, depth=16)
    yield "png, interlaced, 1 bit", png(6000, 6000, chunk(b"IDAT", zeros(4_600_000)), depth=1, color=0, interlace=1)
    yield "png, 1x1 with 50 MiB of data", png(1, 1, chunk(b"IDAT", zeros(50 * MEBIBYTE)))
    yield "webp says 16383x16383", riff((b"VP8L", b"\x2f" + struct.pack("<I", 0x0FFFFFFF) + bytes(20)))
    yield "webp canvas of 2^24", riff((b"VP8X", bytes(4) + b"\xff" * 6), (b"VP8L", b"\x2f" + bytes(20)))
    yield "webp of 30 million pixels", encoded(Pil.new("RGB", (6000, 5000)), "WEBP")
    yield "webp, lossless, 28 million pixels", encoded(Pil.new("RGBA", (5600, 5000)), "WEBP", lossless=True, method=0)
    yield "gif says 65535x65535", gif(65535, 65535, (0, 0, 65535, 65535), b"\x02\x4c\x01")
    yield "gif of 36 million pixels", encoded(Pil.new("P", (6000, 6000)), "GIF")
    yield "gif, small frame on a huge screen", gif(60_000, 60_000, (0, 0, 1, 1), b"\x02\x4c\x01")
    yield "bmp says 2^31", bmp((1 << 31) - 1, -(1 << 31), 24, bytes(100))
    yield "bmp, 36 million pixels in 2 bytes", bmp(6000, 6000, 8, b"\0\1", compression=1, palette=bytes(1024))
    yield "tiff says 2^32", grey_tiff((1 << 32) - 1, (1 << 32) - 1, bytes(100))
    yield "tiff, deflate, 36 million pixels", grey_tiff(6000, 6000, zeros(36_000_000), compression=(3, 1, 8))
    yield "tiff, a tile of 2^32", grey_tiff(
        16, 16, bytes(256), tile_width=(4, 1, 1 << 20), tile_height=(4, 1, 1 << 20), tile_offsets=(4, 1, 8),
        tile_sizes=(4, 1, 256),
    )  # fmt: skip


def lies() -> Iterator[tuple[str, bytes]]:
    """Files that are not what they begin as."""
    small = {kind: encoded(photo(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")}
    palette = encoded(photo().quantize(16), "PNG")
    start = palette.index(b"PLTE") - 4
    yield "nothing", b""
    yield "a letter", b"B"
    yield "a text", b"BMP files are easily mistaken for English that begins with these letters." * 10
    yield "a program", b"\x7fELF" + bytes(1000)
    yield "svg", b"<svg xmlns='http://www.w3.org/2000/svg' width='99999' height='99999'/>"
    yield "zip", b"PK\x03\x04" + bytes(1000)
    yield "jpeg signature, png body", small["JPEG"][:20] + small["PNG"]
    yield "png signature, jpeg body", small["PNG"][:8] + small["JPEG"]
    yield "png, palette without entries", palette[:start] + chunk(b"PLTE", b"") + palette[start + 60 :]
    yield "png, palette missing", png(10, 10, chunk(b"IDAT", zeros(110)), color=3)
    yield "png, colour type 5", png(10, 10, chunk(b"IDAT", zeros(110)), color=5)
    yield "png, depth 3", png(10, 10, chunk(b"IDAT", zeros(110)), depth=3)
    yield "gif without colours", gif(10, 10, (0, 0, 10, 10), b"\x02\x4c\x01", table=b"")
    yield "gif, frame outside", gif(10, 10, (5, 5, 10, 10), b"\x02\x4c\x01")
    yield "webp, canvas unlike its image", riff((b"VP8X", bytes(4) + b"\x09\0\0" * 2), (b"VP8 ", small["WEBP"][20:]))
    yield "bmp, palette of 2^32", bmp(10, 10, 8, bytes(120))[:46] + b"\xff" * 8 + bytes(2000)
    yield "tiff, floats", grey_tiff(10, 10, bytes(400), bits=(3, 1, 32), format=(3, 1, 3))
    yield "tiff, old jpeg", grey_tiff(10, 10, bytes(100), compression=(3, 1, 6))
    yield "tiff, 7 samples", grey_tiff(10, 10, bytes(700), samples=(3, 1, 7))


def metadata() -> Iterator[tuple[str, bytes]]:
    """Good images with bombs around them."""
    small, little = encoded(photo(), "JPEG"), png_in(10, 10, 3, 2)
    text = zeros(64 * MEBIBYTE)
    yield "png, zTXt of 64 MiB", png_in(10, 10, 3, 2, more=chunk(b"zTXt", b"a\0\0" + text))
    yield "png, iTXt of 64 MiB", png_in(10, 10, 3, 2, more=chunk(b"iTXt", b"a\0\1\0\0\0" + text))
    yield "png, iCCP of 64 MiB", png_in(10, 10, 3, 2, more=chunk(b"iCCP", b"a\0\0" + text))
    yield "png, a million chunks", png_in(10, 10, 3, 2, more=chunk(b"tEXt", b"") * 1_000_000)
    yield "png, eXIf of 8 MiB", png_in(10, 10, 3, 2, more=chunk(b"eXIf", b"II*\0" + bytes(8 * MEBIBYTE)))
    yield (
        "png, a thousand frames",
        png_in(10, 10, 3, 2, more=chunk(b"acTL", struct.pack(">II", 1 << 30, 0)) + chunk(b"fdAT", bytes(100)) * 1000),
    )
    yield "png, broken checksum", little[:-20] + b"\1" + little[-19:]
    loop = exif(entry(0x8769, 4, 1, 8), entry(0x0112, 3, 1, 1), next_at=8)
    yield "jpeg, exif that leads to itself", with_exif(small, loop)
    deep = b"".join(exif(entry(0x8769, 4, 1, 8 + 18 * depth), next_at=8 + 18 * depth)[8:] for depth in range(1, 3000))
    yield "jpeg, exif 3000 deep", with_exif(small, b"II*\0\x08\0\0\0" + deep)
    many = [entry(tag, 7, 60_000, 0) for tag in range(5000)]
    yield "jpeg, exif of 5000 overlapping fields", with_exif(small, exif(*many))
    yield "jpeg, 200 exif blocks", with_exif(small, *[exif(*many)] * 200)
    yield "jpeg, icc of 16 MiB", small[:2] + segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000)) * 240 + small[2:]
    yield "jpeg, a million comments", small[:2] + segment(0xFE, b"") * 1_000_000 + small[2:]
    yield "jpeg, 8 MiB of fill bytes", small[:2] + b"\xff" * 8 * MEBIBYTE + small[2:]
    still = encoded(photo(), "WEBP")[12:]
    body = still[8:]
    yield "webp, exif and icc of 7 MiB", riff(
        (b"VP8X", b"\x28\0\0\0" + struct.pack("<I", 159)[:3] + struct.pack("<I", 119)[:3]),
        (b"ICCP", bytes(7 * MEBIBYTE)), (b"VP8 ", body), (b"EXIF", b"II*\0" + b"\xff" * 7 * MEBIBYTE),
    )  # fmt: skip
    yield "webp, a million chunks", riff((b"VP8 ", body), *[(b"junk", b"")] * 1_000_000)
    yield "gif, a million comment blocks", b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1a" * 1_000_000 + b"\0;"
    yield "gif, a million extensions", b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\0" * 1_000_000 + b";"
    yield "tiff, icc as large as the file", grey_tiff(10, 10, bytes(8 * MEBIBYTE), icc=(7, 8 * MEBIBYTE, 8))
    yield "tiff, sub-directories that lead to themselves", grey_tiff(10, 10, bytes(100), subs=(4, 1, 108))
    yield "tiff, 65535 overlapping fields", (
        b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535)
        + b"".join(entry(1000 + tag % 60_000, 7, 700_000, 0) for tag in range(65_535)) + bytes(4)
    )  # fmt: skip


class _Bits:
    """Bits of lossless WebP data, from the lowest on."""

    def __init__(self) -> None:
        self._values: list[int] = []

    def put(self, value: int, count: int) -> None:
        self._values += (value >> place & 1 for place in range(count))

    def put_code_of_one(self, symbol: int) -> None:
        """A code whose only symbol takes no bits."""
        self.put(0b01, 2)
        self.put(symbol > 1, 1)
        self.put(symbol, 8 if symbol > 1 else 1)

    def put_code_of_bytes(self, num_symbols: int) -> None:
        """A code in which each of the first 256 symbols has 8 bits, turned around."""
        self.put(0, 1)
        # Lengths are coded by the third and the twelfth of their own codes: 8, and 11 to 138 zeros (or 7, for none).
        self.put(12 - 4, 4)
        for kind in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8):
            self.put(kind in ({8, 18} if num_symbols > 256 else {8, 7}), 3)
        self.put(0, 1)
        of_8 = 0 if num_symbols > 256 else 1
        for _ in range(256):
            self.put(of_8, 1)
        if num_symbols > 256:
            self.put(1, 1)
            self.put(num_symbols - 256 - 11, 7)

    def bytes(self) -> bytes:
        return np.packbits(np.array(self._values, np.uint8), bitorder="little").tobytes()


def coded_in_groups(side: int, num_groups: int, *, block_bits: int = 2, has_header: bool = True) -> bytes:
    """Lossless WebP data whose blocks have codes of their own, all of one colour: a few bytes a group."""
    bits = _Bits()
    if has_header:
        bits.put(0x2F, 8)
        bits.put(side - 1 | side - 1 << 14, 32)
    # No transforms and no colour cache, but groups.
    bits.put(0b100, 3)
    bits.put(block_bits - 2, 3)
    bits.put(0, 1)
    bits.put_code_of_bytes(280)
    bits.put_code_of_bytes(256)
    for _ in range(3):
        bits.put_code_of_one(0)
    turned = [int(f"{value:08b}"[::-1], 2) for value in range(256)]
    for block in range((-(-side >> block_bits)) ** 2):
        high, low = divmod(block % num_groups, 256)
        bits.put(turned[low] | turned[high] << 8, 16)
    for _ in range(5 * num_groups):
        bits.put_code_of_one(0)
    return bits.bytes() + bytes(64)


def tiled(side: int, compression: int, data: bytes, size: int) -> bytes:
    """A TIFF of tiles of 16 by 16, all of which are at the same place and say that they have as many bytes."""
    num_tiles = (side // 16) ** 2
    places = struct.pack("<I", 8) * num_tiles + struct.pack("<I", size) * num_tiles
    at = 8 + len(data)
    return grey_tiff(
        side, side, data + places, compression=(3, 1, compression), tile_width=(4, 1, 16), tile_height=(4, 1, 16),
        tile_offsets=(4, num_tiles, at), tile_sizes=(4, num_tiles, at + 4 * num_tiles),
    )  # fmt: skip


def striped(compression: int, bits: int, data: bytes, sizes: tuple[int, ...]) -> bytes:
    """A TIFF of strips of one row, of 2000 pixels, all of which are at the same place."""
    num_rows, at = len(sizes), 8 + len(data)
    places = struct.pack("<I", 8) * num_rows + struct.pack(f"<{num_rows}I", *sizes)
    return grey_tiff(
        2000, num_rows, data + places, compression=(3, 1, compression), bits=(3, 1, bits), rows=(4, 1, 1),
        offsets=(4, num_rows, at), sizes=(4, num_rows, at + 4 * num_rows),
    )  # fmt: skip


def long_walks() -> Iterator[tuple[str, bytes]]:
    """Files whose parts are many in each of many places."""
    small = encoded(photo(), "JPEG")
    comment = b"\xff" * 9998 + segment(0xFE, b"")
    yield "jpeg, 1670 comments behind fill bytes", small[:2] + comment * 1670 + small[2:]
    blocks = b"!\xfe" + b"\1a" * 199_000 + b"\0"
    yield "gif, 41 extensions of 199000 blocks", b"GIF89a\1\0\1\0\x80\0\0" + bytes(6) + blocks * 41 + b";"
    frame = (b"ANMF", bytes(16) + (b"junk" + bytes(4)) * 1000)
    yield "webp, 1000 frames of 1000 chunks", riff(*[frame] * 1000)
    many = exif(*[entry(1, 3, 1, 1)] * 1000)
    yield "png, 1300 exif blocks", png_in(10, 10, 3, 2, more=chunk(b"eXIf", many) * 1300)
    yield "webp, 990 exif blocks", riff((b"VP8 ", encoded(photo(), "WEBP")[20:]), *[(b"EXIF", many)] * 990)
    deflated = zeros(256).ljust(MEBIBYTE, b"\0")
    yield "tiff, 96100 deflated tiles in one place", tiled(4960, 8, deflated, MEBIBYTE)
    yield "tiff, 96100 tiles in one place", tiled(4960, 1, bytes(MEBIBYTE), MEBIBYTE)
    yield "tiff, 16000 fax strips in one place", striped(4, 1, bytes(MEBIBYTE), (MEBIBYTE,) * 16_000)
    yield "tiff, 16000 strips without a size", striped(5, 8, b"\x80" * MEBIBYTE, (0,) * 16_000)
    yield "tiff, 16000 strips, one without a size", striped(5, 8, b"\x80" * MEBIBYTE, (0, *[1] * 15_999))
    yield "webp, 65536 groups of codes", riff((b"VP8L", coded_in_groups(1024, 65_536)))
    yield "webp, 16384 groups of codes", riff((b"VP8L", coded_in_groups(512, 16_384)))
    alpha = b"\1" + coded_in_groups(1024, 65_536, has_header=False)
    size = struct.pack("<I", 1023)[:3] * 2
    seen = encoded(photo(1024, 1024), "WEBP")[20:]
    yield "webp, alpha of 65536 groups", riff((b"VP8X", b"\x10\0\0\0" + size), (b"ALPH", alpha), (b"VP8 ", seen))


def hard_work() -> Iterator[tuple[str, bytes]]:
    """Files that keep a decoder busy."""
    yield "jpeg of 5000 scans", progressive(5000, 1024)
    yield "jpeg of 50 scans, 10 million pixels", progressive(43, 3160)
    yield "jpeg of 16 scans, 30 million pixels", progressive(9, 5472)
    yield "jpeg, broken codes", noisy_jpeg()
    yield (
        "tiff of a million tiles",
        grey_tiff(
            16_000,
            2000,
            bytes(4_000_000),
            tile_width=(4, 1, 16),
            tile_height=(4, 1, 1),
            tile_offsets=(4, 1_000_000, 8),
            tile_sizes=(4, 1_000_000, 8),
        ),
    )
    yield (
        "tiff, 16000 strips in one place",
        grey_tiff(2000, 16_000, b"\x08\0\0\0" * 16_000, rows=(4, 1, 1), offsets=(4, 16_000, 8), sizes=(4, 16_000, 8)),
    )
    jpeg = progressive(83, 1024)
    yield "tiff, jpeg of 90 scans", grey_tiff(1024, 1024, jpeg, compression=(3, 1, 7))
    yield "tiff, strips beyond the end", grey_tiff(100, 100, bytes(10_000), offsets=(4, 1, 1 << 30))
    yield "tiff, fewer strips than rows need", grey_tiff(100, 100, bytes(10_000), rows=(4, 1, 1))
    yield "tiff, lzw of zeros", grey_tiff(5000, 5000, b"\x80" * 200_000, compression=(3, 1, 5))
    yield "tiff, fax of zeros", grey_tiff(10_000, 3000, bytes(200_000), compression=(3, 1, 4), bits=(3, 1, 1))
    yield "tiff, packbits", grey_tiff(5000, 5000, b"\x81\0" * 200_000, compression=(3, 1, 32_773))
    yield "gif, a code for each byte", gif(4000, 4000, (0, 0, 4000, 4000), (b"\xff" + b"\x24" * 255) * 50_000)
    yield (
        "webp, lossless of noise",
        riff((b"VP8L", b"\x2f" + struct.pack("<I", 4999 | 4999 << 14) + np.random.default_rng(2).bytes(500_000))),
    )


def cuts() -> Iterator[tuple[str, bytes]]:
    """Good files that end too early."""
    images = {kind: encoded(photo(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")}
    images["JPEG progressive"] = encoded(photo(), "JPEG", progressive=True)
    images["TIFF lzw"] = encoded(photo(), "TIFF", compression="tiff_lzw")
    images["WEBP lossless"] = encoded(photo(), "WEBP", lossless=True)
    for kind, content in images.items():
        for share in (0.01, 0.1, 0.5, 0.9, 0.99):
            yield f"{kind} cut at {share:.0%}", content[: int(len(content) * share)]
        yield f"{kind} without its last 3 bytes", content[:-3]
