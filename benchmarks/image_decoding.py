"""Compares libraries that decode image files: CPU, peak memory, and how long they hold the interpreter's lock.

The files are photos and scans that packages ship, and a photo of 12 megapixels made of one. Each library decodes the
bytes of a file to an RGB array, with one thread. Needs simplejpeg and pyvips[binary] beside the server's own packages;
a library that is not installed is left out.
"""

import argparse
import importlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import describe
from tests.photos import photo

Pixels = NDArray[np.uint8]
Decode = Callable[[bytes], Pixels]

_SHIPPED = ("china.jpg", "rocket.jpg", "page.png", "coffee.png")
_LARGE = (4000, 3000)


def _with_opencv(content: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def _with_pillow(content: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def _with_trivium(content: bytes) -> Pixels:
    from trivium_server.vision.image import ImageLimits, decode, inspect

    limits = ImageLimits(max_bytes=1 << 28, max_pixels=1 << 26, max_side=1 << 16, max_decoding_bytes=1 << 30)
    return decode(inspect(content, limits))


def _with_simplejpeg(content: bytes) -> Pixels:
    return np.asarray(importlib.import_module("simplejpeg").decode_jpeg(content, "RGB"), np.uint8)


def _with_vips(content: bytes) -> Pixels:
    image = importlib.import_module("pyvips").Image.new_from_buffer(content, "", access="sequential")
    return np.asarray(image.colourspace("srgb").numpy(), np.uint8)


_LIBRARIES: dict[str, Decode] = {
    "opencv": _with_opencv,
    "trivium": _with_trivium,
    "pillow": _with_pillow,
    "simplejpeg": _with_simplejpeg,
    "pyvips": _with_vips,
}


def _files() -> dict[str, bytes]:
    files = {name: photo(name).read_bytes() for name in _SHIPPED}
    small = Image.open(photo("china.jpg")).convert("RGB")
    for kind in ("png", "webp", "tiff", "bmp"):
        files[f"china.{kind}"] = _encoded(small, kind)
    large = np.asarray(small.resize(_LARGE, Image.Resampling.BICUBIC)).astype(np.int16)
    large += np.random.default_rng(0).normal(0, 4, large.shape).astype(np.int16)
    picture = Image.fromarray(large.clip(0, 255).astype(np.uint8))
    files["12 MP.jpg"] = _encoded(picture, "jpeg", quality=90)
    files["12 MP progressive.jpg"] = _encoded(picture, "jpeg", quality=90, progressive=True)
    files["12 MP.webp"] = _encoded(picture, "webp", quality=85, method=2)
    return files


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _cpu_ms(decode: Decode, content: bytes, rounds: int) -> float:
    """Returns the least of some rounds: what others on the machine add is none of the library's."""
    repeats = max(1, 400_000 // len(content))
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(repeats):
            decode(content)
        best = min(best, (time.process_time() - started) / repeats)
    return best * 1e3


def _longest_hold_ms(decode: Decode, content: bytes) -> float:
    """Returns the longest time for which another Python thread could not run while an image was decoded."""
    gaps = [0.0]
    is_over = threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not is_over.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    for _ in range(3):
        decode(content)
    is_over.set()
    ticking.join()
    return max(gaps) * 1e3


def _peak_mib(library: str, content: bytes) -> float:
    """Returns by how much decoding raises the peak of a fresh process."""
    program = [sys.executable, "-m", "benchmarks.image_decoding", "--peak-of", library]
    output = subprocess.run(program, input=content, capture_output=True, check=True).stdout
    peak: float = json.loads(output)
    return peak


def _say_peak(library: str) -> None:
    def memory(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    decode = _LIBRARIES[library]
    decode(_encoded(Image.new("RGB", (8, 8)), "jpeg"))
    content = sys.stdin.buffer.read()
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    decode(content)
    print((memory("VmHWM") - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak-of", choices=_LIBRARIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.peak_of:
        _say_peak(arguments.peak_of)
        return
    for key, value in describe().items():
        print(f"{key}: {value}")
    print(f"\n{'file':24}{'library':12}{'cpu ms':>10}{'peak MiB':>10}{'longest hold ms':>17}")
    for name, content in _files().items():
        for library, decode in _LIBRARIES.items():
            try:
                decode(content)
            except Exception as error:  # noqa: BLE001  whatever a library says of a format that it does not read
                print(f"{name:24}{library:12}  {type(error).__name__}")
                continue
            cpu, hold = _cpu_ms(decode, content, arguments.rounds), _longest_hold_ms(decode, content)
            print(f"{name:24}{library:12}{cpu:10.2f}{_peak_mib(library, content):10.0f}{hold:17.1f}", flush=True)


if __name__ == "__main__":
    main()
