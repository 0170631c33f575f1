"""Answers a question in two steps: passages that are near it as a whole, then their statements one by one.

The vector of a passage is about all that it says. A single statement may answer the question, and stands out only when
it is looked at alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import trivium
from examples.search.factbook import Passage
from examples.search.passage_index import Hit, PassageIndex

# What one call of Rerank takes.
_MOST_STATEMENTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A passage ranked anew. was: its place before, from 1. statement: what of it answers best, with that score."""

    passage: Passage
    statement: str
    score: float
    was: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found for a question: `before` by passage, `after` by statement; the best first, at most `top` each."""

    question: str
    before: Sequence[Hit]
    after: Sequence[Answer]
    num_candidates: int
    num_statements: int
    score_scale: trivium.ScoreScale


class Searcher:
    """An index and the server that its queries go to."""

    def __init__(self, client: trivium.Client, index: PassageIndex, *, model: str, rerank_model: str) -> None:
        """model: the one that the index was made with. rerank_model: any that lists CAPABILITY_RERANK."""
        self._client = client
        self._index = index
        self._model = model
        self._rerank_model = rerank_model

    def ask(self, question: str, *, candidates: int, top: int) -> Findings:
        """Finds `candidates` passages and ranks them anew. Raises TriviumError."""
        query = self._client.embed(question, model=self._model, purpose="query")
        hits = self._index.nearest(query, candidates)
        owners, statements = [], []
        for place, hit in enumerate(hits):
            for statement in hit.passage.statements:
                owners.append(place)
                statements.append(statement)
        ranked = self._client.rerank(
            question,
            [hits[place].passage.under_title(statement) for place, statement in zip(owners, statements, strict=True)][
                :_MOST_STATEMENTS
            ],
            model=self._rerank_model,
            truncation="keep_start",
        )
        ranked.raise_for_failed()
        best: dict[int, Answer] = {}
        for result in ranked.results:
            place = owners[result.index]
            answer = Answer(
                passage=hits[place].passage, statement=statements[result.index], score=result.score, was=place + 1
            )
            best.setdefault(place, answer)
        return Findings(
            question=question,
            before=hits[:top],
            after=list(best.values())[:top],
            num_candidates=len(hits),
            num_statements=len(ranked.results),
            score_scale=ranked.score_scale,
        )
