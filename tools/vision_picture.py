"""Puts two pictures that `make demo` drew together for the README: python tools/vision_picture.py

Reads demo-output/{coffee,page}.png and writes docs/images/vision.png, with 160 colours to keep it small.
"""

from pathlib import Path

from PIL import Image

WIDTH = 640
ROOT = Path(__file__).parent.parent


def main() -> None:
    pictures = []
    for name in ("coffee", "page"):
        with Image.open(ROOT / "demo-output" / f"{name}.png") as drawn:
            size = WIDTH, round(drawn.height * WIDTH / drawn.width)
            pictures.append(drawn.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    whole = Image.new("RGB", (WIDTH, sum(picture.height for picture in pictures)))
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    packed = whole.quantize(160, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    packed.save(ROOT / "docs" / "images" / "vision.png", optimize=True)


if __name__ == "__main__":
    main()
