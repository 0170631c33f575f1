"""Images as callers give them: what is sent for each, without loss, and what is refused."""

import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from trivium import _png, errors, vision
from trivium._image_input import encoded

LIMIT = 64 * 1024 * 1024
ODD_SIZES = [(1, 1), (1, 7), (7, 1), (3, 5), (64, 64)]


def pixels_of(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


def decoded(file: bytes) -> NDArray[np.uint8]:
    """Decodes by somebody else's code: Pillow's."""
    return np.asarray(Image.open(io.BytesIO(file)))


@pytest.mark.parametrize("is_large", [False, True], ids=["stored", "compressed"])
@pytest.mark.parametrize("channels", [(), (3,), (4,)], ids=["grey", "rgb", "rgba"])
def test_array_is_sent_without_loss(channels: tuple[int, ...], is_large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_png, "STORED_BYTES", 0 if is_large else LIMIT)
    for size in ODD_SIZES:
        pixels = pixels_of((*size, *channels))
        assert np.array_equal(decoded(encoded(pixels, LIMIT)), pixels), size


def test_views_are_sent_as_they_look() -> None:
    pixels = pixels_of((8, 10, 3))
    for view in (pixels[::2, ::-1], pixels[..., ::-1], np.asfortranarray(pixels), pixels.transpose(1, 0, 2)):
        assert np.array_equal(decoded(encoded(view, LIMIT)), view)


def test_compression_pays_on_a_smooth_picture() -> None:
    smooth = np.broadcast_to(np.arange(4000, dtype=np.uint16)[None, :, None] // 16, (800, 4000, 3)).astype(np.uint8)
    assert smooth.nbytes > _png.STORED_BYTES
    assert len(encoded(smooth, LIMIT)) < smooth.nbytes / 20


def test_file_is_sent_as_it_is(tmp_path: Path) -> None:
    content = b"whatever the server makes of it"
    file = tmp_path / "image.bin"
    file.write_bytes(content)
    for given in (file, str(file), content, bytearray(content), memoryview(content)):
        assert encoded(given, len(content)) == content


def test_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(bytes(5000),))
    writer.start()
    assert encoded(pipe, 5000) == bytes(5000)
    writer.join()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_pil_image_is_sent_as_it_looks(mode: str) -> None:
    pixels = pixels_of((6, 5, 3))
    if mode == "I;16":
        picture = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
        expected = pixels[..., 0]
    else:
        picture = Image.fromarray(pixels).convert(mode)
        expected = np.asarray(picture.convert("L" if mode == "1" else "RGBA" if mode == "LA" else "RGB"))
        if mode in ("L", "RGBA"):
            expected = np.asarray(picture)
    assert np.array_equal(decoded(encoded(picture, LIMIT)), expected)


def test_orientation_of_a_pil_image_counts() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: turn by 90 degrees clockwise
    file = io.BytesIO()
    pixels = pixels_of((4, 6, 3))
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    assert np.array_equal(decoded(encoded(Image.open(file), LIMIT)), np.rot90(pixels, -1))


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (None, TypeError, "image is NoneType; give a path"),
        (io.BytesIO(b"x"), TypeError, "image is BytesIO"),
        (b"", ValueError, "image is empty"),
        ("https://example.com/a.png", ValueError, "is a URL"),
        ("no/such/file.png", FileNotFoundError, "file.png"),
        (np.zeros((2, 2), np.float32), TypeError, "array of float32, not of uint8; multiply by 255"),
        (np.zeros((2, 2), np.uint16), TypeError, "array of uint16, not of uint8$"),
        (np.zeros((2, 2), bool), TypeError, "array of bool"),
        (np.zeros(4, np.uint8), ValueError, "shape .4,."),
        (np.zeros((2, 2, 2), np.uint8), ValueError, "shape .2, 2, 2."),
        (np.zeros((1, 2, 2, 3), np.uint8), ValueError, "shape"),
        (np.zeros((0, 2, 3), np.uint8), ValueError, "no pixels"),
        (Image.new("F", (2, 2)), TypeError, "mode F, whose range is unknown"),
        (bytes(LIMIT + 1), errors.InputTooLarge, "image takes 67108865 bytes, and a request may have 67108864"),
    ],
)
def test_what_is_no_image_is_refused(given: object, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        encoded(given, LIMIT)


def test_large_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as sparse:
        sparse.truncate(10 * 1024**3)
    with pytest.raises(errors.InputTooLarge, match="10737418240"):
        encoded(file, LIMIT)


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3)).copy()
    made = vision.jpeg(smooth)
    assert made.startswith(b"\xff\xd8")
    assert np.abs(decoded(made).astype(int) - smooth).max() <= 3
    assert len(vision.jpeg(smooth, quality=10)) < len(made)
    file = tmp_path / "smooth.jpg"
    file.write_bytes(made)
    assert Image.open(io.BytesIO(vision.jpeg(file, max_side=50))).size == (50, 25)
    clear = np.zeros((4, 4, 4), np.uint8)
    assert decoded(vision.jpeg(clear)).min() >= 250  # transparency is shown on white
    with pytest.raises(OSError, match="cannot identify"):
        vision.jpeg(b"no image")
