"""What all models that look at images are made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from trivium_server.architectures.image.graph import ImageGraph
from trivium_server.architectures.image.preprocessor import Prepared, Preprocessor
from trivium_server.architectures.image.runner import ImageRunner, ImageWork
from trivium_server.architectures.vision_capabilities import Image, VisionMeter
from trivium_server.config import ImagesConfig
from trivium_server.runtime.batcher import BatcherStats
from trivium_server.runtime.workload import Workload

Outputs: TypeAlias = Mapping[str, NDArray[np.float32]]

_T = TypeVar("_T")

# A run's cost is its input's pixels in thousands.
_PIXELS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParts:
    """A model's name, and what was read from its folder."""

    name: str
    graph: ImageGraph
    preprocessor: Preprocessor
    config: ImagesConfig


class ImageModel:
    """Implements capabilities.ServedModel and vision_capabilities.VisionModel for models of one graph."""

    def __init__(self, parts: ImageParts, outputs: Sequence[str]) -> None:
        """outputs: those of the graph that calls ask for."""
        self.execution_provider = parts.graph.execution_provider
        self.enough_side: int | None = parts.preprocessor.fit.enough_side
        self._graph = parts.graph
        self._preprocessor = parts.preprocessor
        self._outputs = outputs
        self._runner = ImageRunner(
            model=parts.name,
            usual_cost=cost_of(parts.preprocessor.usual_pixels),
            num_runners=parts.config.runners,
            max_callers=parts.config.max_callers,
        )

    @property
    def stats(self) -> BatcherStats:
        """For tests and telemetry: what waits and runs."""
        return self._runner.stats

    @property
    def workload(self) -> Workload:
        return self._runner.workload

    async def warm_up(self) -> None:
        """Raises SessionError."""
        await self._runner.start(self._rehearse)

    async def close(self, grace_s: float) -> None:
        await self._runner.close(grace_s)

    async def _look(
        self,
        image: Image,
        outputs: Sequence[str],
        read: Callable[[Outputs, Prepared], _T],
        *,
        deadline_s: float,
        meter: VisionMeter,
    ) -> _T:
        """Runs the graph on an image; read makes the result of these outputs, on the runner's thread."""

        def infer(prepared: Prepared) -> _T:
            arrays = self._graph.run(prepared.pixels, outputs)
            # Numbers that are none raise NotFiniteError where they are read, not warnings.
            with np.errstate(all="ignore"):
                return read(arrays, prepared)

        cost = cost_of(self._preprocessor.num_pixels(image))
        work = ImageWork(prepare=lambda: self._preprocessor(image), infer=infer, cost=cost)
        return await self._runner.run(work, deadline_s=deadline_s, meter=meter)

    def _rehearse(self) -> None:
        width, height = self._preprocessor.fit.largest
        pixels = np.zeros((height, width, 3), np.uint8)
        blank = Image(pixels=pixels, width=width, height=height, orientation_applied=False, mime_type="image/bmp")
        self._graph.run(self._preprocessor(blank).pixels, self._outputs)


def cost_of(pixels: int) -> int:
    """Returns what a run on an input of so many pixels costs."""
    return max(1, pixels // _PIXELS)
