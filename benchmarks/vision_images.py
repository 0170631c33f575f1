"""Files to look at: photos and scans that packages ship, a page as paper looks, a large photo, frames of a camera."""

import io
from pathlib import Path

from PIL import Image

from benchmarks.ocr_pages import Spec, render
from tests.photos import photo

MODELS = {
    "classification": "efficientnet-lite0",
    "detection": "nanodet-coco",
    "faces": "centerface",
    "text recognition": "pp-ocrv6-small",
    "embedding": "efficientnet-lite0",
}
"""Who answers each feature."""

FRAME_SIZE = (1024, 768)

_PHOTOS = ("china.jpg", "flower.jpg", "rocket.jpg", "astronaut.png", "camera.png", "chelsea.png", "coffee.png")
_SCANS = ("page.png", "text.png")
_LARGE = (4000, 3000)
_NUM_FRAMES = 30


class Pictures:
    """Writes the files into a folder, and says which are for what."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.photos = [photo(name) for name in _PHOTOS]
        paper = self._written("paper.png", render(Spec(effect="paper", font="serif", height=640)).png())
        self.scans = [*map(photo, _SCANS), paper]
        self.large = [self._written("large.jpg", _jpeg(Image.open(photo("china.jpg")).resize(_LARGE)))]
        self.frames = self._frames()

    def of(self, feature: str) -> list[Path]:
        """Returns the files that a feature is measured on."""
        return self.scans if feature == "text recognition" else self.photos

    def _frames(self) -> list[Path]:
        """A camera that moves over a portrait."""
        width, height = FRAME_SIZE
        portrait = Image.open(photo("astronaut.png")).convert("RGB").resize((5 * width // 4, 5 * width // 4))
        written = []
        for number in range(_NUM_FRAMES):
            left, top = (int(number / _NUM_FRAMES * room) for room in (width // 4, 5 * width // 4 - height))
            frame = portrait.crop((left, top, left + width, top + height))
            written.append(self._written(f"frame-{number:02}.jpg", _jpeg(frame)))
        return written

    def _written(self, name: str, content: bytes) -> Path:
        file = self._folder / name
        file.write_bytes(content)
        return file


def _jpeg(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.convert("RGB").save(stream, "JPEG", quality=88)
    return stream.getvalue()
