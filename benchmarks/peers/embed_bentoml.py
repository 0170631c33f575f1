"""BentoML with its adaptive batching. POST /encode {"texts": […]} answers [[…]].

Started by `bentoml serve benchmarks.peers.embed_bentoml:Encoder`, which takes its settings from the environment:
MODEL_FOLDER, WORKERS (processes that run the model) and THREADS of each.
"""

import os
from pathlib import Path

import bentoml
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.embed_model import OnnxEncoder


@bentoml.service(workers=int(os.environ["WORKERS"]), traffic={"timeout": 600}, logging={"access": {"enabled": False}})
class Encoder:
    """The service, one in each worker."""

    def __init__(self) -> None:
        self._encoder = OnnxEncoder(Path(os.environ["MODEL_FOLDER"]), threads=int(os.environ["THREADS"]))

    @bentoml.api(batchable=True, max_batch_size=256)  # type: ignore[untyped-decorator]  # BentoML has no types
    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Embeds the texts of all requests that were batched together."""
        return self._encoder.encode(texts)
