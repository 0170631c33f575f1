"""Reads the files of a folder with our model, as the server does, and prints what it read as JSON. See ocr.py."""

import argparse
import asyncio
import dataclasses
import json
import time
from pathlib import Path

from trivium_models.store import Store
from trivium_server.architectures.image.decoder import ImageDecoder
from trivium_server.architectures.image.text_reader import PageReader, load
from trivium_server.architectures.vision_capabilities import VisionMeter
from trivium_server.config import Config

_PATIENCE_S = 3600.0


class OurReader:
    """A decoder and a model, in one event loop."""

    def __init__(self, threads: int) -> None:
        config = Config()
        images = dataclasses.replace(config.images, decoders=threads, runners=threads)
        self._decoder = ImageDecoder(images)
        folder = Store().pull("pp-ocrv6-small").folder
        self._model: PageReader = load(folder, dataclasses.replace(config, images=images), lambda _: None)

    async def read_all(self, files: list[Path], *, concurrency: int) -> tuple[float, float, list[list[str]]]:
        """Returns seconds of wall and of processor time, and the lines of each file."""
        await self._model.warm_up()
        await self._read(files[0])
        turns = asyncio.Semaphore(concurrency)

        async def in_turn(file: Path) -> list[str]:
            async with turns:
                return await self._read(file)

        wall_s, cpu_s = time.perf_counter(), time.process_time()
        texts = await asyncio.gather(*map(in_turn, files))
        measured = time.perf_counter() - wall_s, time.process_time() - cpu_s
        await self._model.close(0.0)
        await self._decoder.close()
        return *measured, texts

    async def _read(self, file: Path) -> list[str]:
        deadline_s = time.monotonic() + _PATIENCE_S
        content = await asyncio.to_thread(file.read_bytes)
        image = await self._decoder.decode(content, deadline_s=deadline_s)
        found = await self._model.read_text(
            image,
            min_score=self._model.default_min_line_score,
            with_words=False,
            deadline_s=deadline_s,
            meter=VisionMeter(),
        )
        return [line.text for line in found.lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="runs at the same time, one thread each")
    options = parser.parse_args()
    reader = OurReader(options.threads)
    wall_s, cpu_s, texts = asyncio.run(reader.read_all(options.files, concurrency=options.concurrency))
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "texts": texts}))


if __name__ == "__main__":
    main()
