"""LitServe with its own batching. POST /predict {"texts": […]} answers {"vectors": [[…]]}."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import litserve
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.embed_model import OnnxEncoder


class EmbedApi(litserve.LitAPI):  # type: ignore[misc]  # LitServe has no types
    """A request has one text or more; requests that arrive within the batch timeout are run together."""

    def __init__(self, folder: Path, *, threads: int, max_batch_size: int, batch_timeout_s: float) -> None:
        super().__init__(max_batch_size=max_batch_size, batch_timeout=batch_timeout_s)
        self._folder = folder
        self._threads = threads

    def setup(self, device: str) -> None:  # noqa: ARG002  LitServe's interface
        """Loads the model, in the worker's own process."""
        self._encoder = OnnxEncoder(self._folder, threads=self._threads)

    def decode_request(self, request: dict[str, list[str]]) -> list[str]:
        """Returns the texts of one request."""
        return request["texts"]

    def batch(self, inputs: list[list[str]]) -> list[list[str]]:
        """Keeps requests apart."""
        return inputs

    def predict(self, x: list[list[str]]) -> list[NDArray[np.float32]]:
        """Embeds the texts of all requests together."""
        vectors = self._encoder.encode([text for texts in x for text in texts])
        return np.split(vectors, np.cumsum([len(texts) for texts in x])[:-1])

    def unbatch(self, output: Sequence[NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
        """Gives each request its own."""
        return output

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, list[list[float]]]:
        """Makes what JSON can hold."""
        return {"vectors": output.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the model's folder")
    parser.add_argument("--port", type=int, required=True, help="loopback port")
    parser.add_argument("--workers", type=int, required=True, help="processes that run the model")
    parser.add_argument("--threads", type=int, required=True, help="threads of each")
    parser.add_argument("--max-batch-size", type=int, default=32, help="most requests in a batch")
    parser.add_argument("--batch-timeout-s", type=float, default=0.005, help="how long a batch waits to fill")
    given = parser.parse_args()
    api = EmbedApi(
        given.folder, threads=given.threads, max_batch_size=given.max_batch_size, batch_timeout_s=given.batch_timeout_s
    )
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=given.workers, timeout=600)
    server.run(host="127.0.0.1", port=given.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
