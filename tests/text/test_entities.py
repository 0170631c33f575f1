"""Labels of words into entities, by table."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trivium_server.text.entities import EntityTags, Word

BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
BILOU = ("O", "B-PER", "I-PER", "L-PER", "U-PER")
BIOES = ("O", "B_LOC", "I_LOC", "E_LOC", "S_LOC")
IO = ("O", "PER", "LOC", "E-mail")


def probabilities(labels: tuple[str, ...], found: list[str], *, scores: list[float]) -> NDArray[np.float32]:
    """One row per word: its label has the score, the others share the rest."""
    rows = np.zeros((len(found), len(labels)), np.float32)
    for row, (label, score) in enumerate(zip(found, scores, strict=True)):
        rows[row] = (1 - score) / (len(labels) - 1)
        rows[row, labels.index(label)] = score
    return rows


@pytest.mark.parametrize(
    ("labels", "found", "wanted"),
    [
        (BIO, "O O O", []),
        (BIO, "B-PER I-PER O", [("PER", 0, 1)]),
        (BIO, "B-PER B-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        (BIO, "I-PER I-PER", [("PER", 0, 1)]),
        (BIO, "B-PER I-LOC", [("PER", 0, 0), ("LOC", 1, 1)]),
        (BIO, "B-PER O I-PER", [("PER", 0, 0), ("PER", 2, 2)]),
        (BIO, "O B-LOC I-LOC I-LOC", [("LOC", 1, 3)]),
        (BILOU, "B-PER I-PER L-PER", [("PER", 0, 2)]),
        (BILOU, "U-PER U-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        (BILOU, "B-PER L-PER I-PER", [("PER", 0, 1), ("PER", 2, 2)]),
        (BILOU, "U-PER I-PER", [("PER", 0, 0), ("PER", 1, 1)]),
        (BILOU, "L-PER", [("PER", 0, 0)]),
        (BIOES, "B_LOC E_LOC S_LOC", [("LOC", 0, 1), ("LOC", 2, 2)]),
        (IO, "PER PER LOC O LOC", [("PER", 0, 1), ("LOC", 2, 2), ("LOC", 4, 4)]),
        (IO, "E-mail E-mail", [("E-mail", 0, 1)]),
    ],
)
def test_labels_are_joined(labels: tuple[str, ...], found: str, wanted: list[tuple[str, int, int]]) -> None:
    names = found.split()
    words = [Word(row, 10 * row, 10 * row + 4) for row in range(len(names))]
    entities = EntityTags(labels).entities(words, probabilities(labels, names, scores=[0.9] * len(names)))
    assert [(each.label, each.start // 10, each.end // 10) for each in entities] == wanted


def test_score_is_the_mean_probability_of_the_words() -> None:
    words = [Word(row, row, row + 1) for row in range(3)]
    rows = probabilities(BIO, ["B-PER", "I-PER", "I-PER"], scores=[0.9, 0.6, 0.6])
    (entity,) = EntityTags(BIO).entities(words, rows)
    assert entity.score == pytest.approx(0.7, abs=1e-6)


def test_only_the_rows_of_words_count() -> None:
    rows = probabilities(BIO, ["B-LOC", "B-PER", "O", "I-PER"], scores=[0.9] * 4)
    entities = EntityTags(BIO).entities([Word(1, 0, 3), Word(3, 4, 7)], rows)
    assert [(each.label, each.start, each.end) for each in entities] == [("PER", 0, 7)]


@pytest.mark.parametrize(
    ("labels", "wanted"), [(BIO, ("PER", "LOC")), (BILOU, ("PER",)), (BIOES, ("LOC",)), (IO, ("PER", "LOC", "E-mail"))]
)
def test_entity_labels_have_no_prefixes(labels: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    assert EntityTags(labels).entity_labels == wanted
