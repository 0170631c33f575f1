"""Joins the labels of a text's words to entities: BIO, BILOU, BIOES, or plain labels (IO)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OUTSIDE = "O"

_PREFIXED = re.compile(r"([BILUES])[-_](.+)", re.DOTALL)


class Word(NamedTuple):
    """A word: which row of the model's output has its label (its first token's), and its code points [start, end)."""

    row: int
    start: int
    end: int


class Entity(NamedTuple):
    """Words of one label: code points [start, end), and the mean probability of what was found for its words."""

    label: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class _Tag:
    """What a label says: the entity's own label, whether it begins one here, and whether it ends one here."""

    entity: str
    begins: bool = False
    ends: bool = False


class EntityTags:
    """What the labels of a model mean, by class index."""

    def __init__(self, labels: Sequence[str]) -> None:
        inside = [label for label in labels if label != OUTSIDE]
        split = [_PREFIXED.fullmatch(label) for label in inside]
        # "E-mail" among labels without prefixes is a label.
        has_prefixes = all(split) and any(found is not None and found[1] in "BI" for found in split)
        self._tags = [None if label == OUTSIDE else _tag(label, has_prefixes=has_prefixes) for label in labels]
        self.entity_labels = tuple(dict.fromkeys(tag.entity for tag in self._tags if tag is not None))

    def entities(self, words: Sequence[Word], probabilities: NDArray[np.float32]) -> list[Entity]:
        """Returns the entities of a text in its order. probabilities: shape (tokens, labels); words: in order.

        A label that goes on with what did not begin begins it, as models that were trained on IOB1 mean it.
        """
        found: list[Entity] = []
        scores: list[float] = []
        is_open = False
        for word in words:
            index = int(probabilities[word.row].argmax())
            tag = self._tags[index]
            if tag is None:
                is_open = False
                continue
            score = float(probabilities[word.row, index])
            if is_open and not tag.begins and found[-1].label == tag.entity:
                scores.append(score)
                found[-1] = found[-1]._replace(end=word.end, score=sum(scores) / len(scores))
            else:
                scores = [score]
                found.append(Entity(tag.entity, word.start, word.end, score))
            is_open = not tag.ends
        return found


def _tag(label: str, *, has_prefixes: bool) -> _Tag:
    match = _PREFIXED.fullmatch(label)
    if match is None or not has_prefixes:
        return _Tag(label)
    return _Tag(match[2], begins=match[1] in "BUS", ends=match[1] in "LEUS")
