"""The one thing that is read of EXIF: which way is up."""

from trivium_server.vision.image_header import BrokenImageError, Reader

_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
# Cameras write some dozens.
_MAX_ENTRIES = 1000


def orientation(exif: bytes) -> int:
    """Returns the orientation, 1 to 8, of EXIF that begins with its byte order; 1 where there is none that makes sense.

    Looks at the first directory alone, and follows no offsets from there. Source: CIPA DC-008 (Exif 2.32), 4.6.4.
    """
    if exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    if exif[:4] not in {b"II*\0", b"MM\0*"}:
        return 1
    reader = Reader(exif, is_big_endian=exif.startswith(b"M"))
    try:
        start = reader.u32(4)
        for index in range(min(reader.u16(start), _MAX_ENTRIES)):
            entry = start + 2 + _ENTRY_BYTES * index
            if reader.u16(entry) == _ORIENTATION:
                value = reader.u16(entry + 8)
                is_plain = reader.u16(entry + 2) == _SHORT and reader.u32(entry + 4) == 1
                return value if is_plain and 1 <= value <= 8 else 1
    except BrokenImageError:
        pass
    return 1
