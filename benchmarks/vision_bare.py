"""The limit: what the server does with an image, in one process without a server.

The server's own functions and sessions, one after the other on one thread: decode, preprocess, run, postprocess; as
many threads as there are processors take images from one list. No gRPC, no messages, no event loop, no queue.

Reads one JSON line for each burst from standard input, {"feature", "files", "count", "threads"}: looks at `count`
images, the files in turn, over and over. Answers {"elapsed_s", "cpu_s", "durations_s", "seen"}: of all, and of each
image, and what was seen on each of the first ones in a word.
"""

import argparse
import contextlib
import itertools
import json
import sys
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

import numpy as np

from benchmarks.vision_images import MODELS
from trivium_server.architectures.image.classifier import Classifier, EmbeddingClassifier
from trivium_server.architectures.image.detector import Detector
from trivium_server.architectures.image.faces import CenterFace
from trivium_server.architectures.image.load import ImageModel, load
from trivium_server.architectures.image.runner import ImageCall, ImageRunner, ImageWork, Made, Prepared
from trivium_server.architectures.image.text_reader import PageReader
from trivium_server.architectures.vision_capabilities import Image, VisionMeter
from trivium_server.config import Config
from trivium_server.text.pooling import shaped
from trivium_server.vision.image import ImageLimits, decode, divisor_for, inspect

_LIMITS = ImageLimits(max_bytes=1 << 28, max_pixels=1 << 26, max_side=1 << 16, max_decoding_bytes=1 << 30)
_NEVER_S = float("inf")
_TOP_K = 5
_MAX_FOUND = 100

_T = TypeVar("_T")


class Burst(TypedDict):
    """As above."""

    elapsed_s: float
    cpu_s: float
    durations_s: list[float]
    seen: list[str]


class _Here(ImageRunner):
    """Has no queue and no threads: work is done where it is asked for, at once."""

    def __init__(self) -> None:
        """Makes none of what an ImageRunner has."""

    @contextlib.contextmanager
    def call(self, deadline_s: float, meter: VisionMeter) -> Iterator[ImageCall]:  # noqa: ARG002  as the server's
        yield _CallHere()


class _CallHere(ImageCall):
    def __init__(self) -> None:
        """Has neither a place in a queue nor a clock."""

    async def all(self, works: Iterable[ImageWork[Prepared, Made]]) -> list[Made]:
        return [work.infer(work.prepare()) for work in works]


class Pipeline:
    """One feature's steps, from a file's bytes to what is seen. `look` may be called from many threads."""

    def __init__(self, feature: str, model: ImageModel) -> None:
        self._feature = feature
        self._model = model

    def look(self, content: bytes) -> str:
        """Says in a word what was seen: as vision_client.outcome does of an answer of the server."""
        return _finished(self._look(_image(content, self._model.enough_side)))

    async def _look(self, image: Image) -> str:
        model, meter = self._model, VisionMeter()
        match self._feature:
            case "classification":
                assert isinstance(model, Classifier)
                scores = await model.classify_image(image, deadline_s=_NEVER_S, meter=meter)
                return _listed(np.argsort(-scores, kind="stable")[:_TOP_K].tolist())
            case "embedding":
                assert isinstance(model, EmbeddingClassifier)
                vector = await model.embed_image(image, deadline_s=_NEVER_S, meter=meter)
                unit = shaped(vector, dimensions=None, normalize=True)
                return _listed([len(unit), int(unit.argmax())])
            case "detection":
                assert isinstance(model, Detector)
                objects = await model.detect_objects(
                    image,
                    max_objects=_MAX_FOUND,
                    min_score=model.default_min_score,
                    iou_threshold=model.default_iou_threshold or 0.0,
                    deadline_s=_NEVER_S,
                    meter=meter,
                )
                return _listed([found.class_index for found in objects])
            case "faces":
                assert isinstance(model, CenterFace)
                faces = await model.detect_faces(
                    image,
                    max_faces=_MAX_FOUND,
                    min_score=model.default_min_face_score,
                    deadline_s=_NEVER_S,
                    meter=meter,
                )
                return str(len(faces))
            case _:
                assert isinstance(model, PageReader)
                found = await model.read_text(
                    image,
                    min_score=model.default_min_line_score,
                    with_words=False,
                    deadline_s=_NEVER_S,
                    meter=meter,
                )
                return "\n".join(line.text for line in found.lines)


def pipelines(models: Path) -> dict[str, Pipeline]:
    """Loads every feature's model from the store; two features of one model share it."""
    loaded: dict[str, ImageModel] = {}
    for name in dict.fromkeys(MODELS.values()):
        model = load(models / name, Config(), lambda _: None)
        model._runner = _Here()  # this is the one difference from the server's
        loaded[name] = model
    return {feature: Pipeline(feature, loaded[name]) for feature, name in MODELS.items()}


def run_all(pipeline: Pipeline, contents: Sequence[bytes], *, count: int, threads: int) -> Burst:
    """Looks at `count` images with `threads` threads that take them from one list."""
    left, lock = iter(range(count)), threading.Lock()
    durations, seen = [0.0] * count, [""] * count

    def work() -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            begun = time.monotonic()
            seen[number] = pipeline.look(contents[number % len(contents)])
            durations[number] = time.monotonic() - begun

    workers = [threading.Thread(target=work) for _ in range(threads)]
    cpu, started = time.process_time(), time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed, used = time.monotonic() - started, time.process_time() - cpu
    return Burst(elapsed_s=elapsed, cpu_s=used, durations_s=durations, seen=seen[: len(contents)])


def _image(content: bytes, enough_side: int | None) -> Image:
    header = inspect(content, _LIMITS)
    is_turned = header.orientation >= 5
    width, height = (header.height, header.width) if is_turned else (header.width, header.height)
    return Image(
        pixels=decode(header, divisor_for(header, enough_side)),
        width=width,
        height=height,
        orientation_applied=header.orientation > 1,
        mime_type=header.format.value,
    )


def _finished(steps: Coroutine[object, None, _T]) -> _T:
    """Runs a coroutine that has nothing to wait for."""
    try:
        steps.send(None)
    except StopIteration as end:
        made: _T = end.value
        return made
    raise AssertionError("it waits for something")


def _listed(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="the model store")
    given = parser.parse_args()
    features = pipelines(given.models)
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        contents = [Path(file).read_bytes() for file in itertools.islice(asked["files"], asked["count"])]
        burst = run_all(features[asked["feature"]], contents, count=asked["count"], threads=asked["threads"])
        print(json.dumps(burst), flush=True)


if __name__ == "__main__":
    main()
