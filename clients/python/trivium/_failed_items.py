"""Items of a call that failed alone, while the others of the call were answered. Pure."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import grpc

from trivium._error_base import TriviumError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ItemResult(Protocol):
    """A result of one item."""

    @property
    def index(self) -> int: ...
    @property
    def error(self) -> TriviumError | None: ...


class ItemsFailed(TriviumError):
    """Some items of a call failed; the others did not.

    failures: the error of each failed item by its place in the call, from 0.
    vectors: for embed, float32 of shape (texts, dimensions), NaN in the rows of those that failed; for compare, the
        similarities, NaN for those that failed; None where all failed, and for other calls.

    Code, reason and metadata are those of the first failure.
    """

    default_code = grpc.StatusCode.INVALID_ARGUMENT

    def __init__(self, failures: dict[int, TriviumError], vectors: "NDArray[np.float32] | None" = None) -> None:
        index, first = next(iter(failures.items()))
        number = "1 item" if len(failures) == 1 else f"{len(failures)} items"
        super().__init__(
            f"{number} failed; the first is item {index}: {first.message}",
            code=first.code,
            reason=first.reason,
            metadata=first.metadata,
            field_violations=first.field_violations,
            request_id=first.request_id,
        )
        self.failures = failures
        self.vectors = vectors


def raise_for_failed(results: Iterable[ItemResult]) -> None:
    """Raises ItemsFailed where a result carries an error."""
    if failures := {result.index: result.error for result in results if result.error is not None}:
        raise ItemsFailed(failures)
