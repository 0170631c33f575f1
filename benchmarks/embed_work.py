"""What is asked of everybody when embeddings are measured."""

from dataclasses import dataclass

from benchmarks.embed_client import Work
from benchmarks.embed_texts import RaggedTexts

QUERIES = [
    "Which countries border the Caspian Sea?",
    "Where is coffee the main export?",
    "Who won the war of independence?",
    "Which islands are threatened by rising seas?",
    "What do people there live on?",
    "Is there oil in the north?",
    "When did the king give up his powers?",
    "Which port is the largest in West Africa?",
]
_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """How some texts are sent: `callers` at once, each with `size` in a call. bulk: ours gets them on one stream."""

    name: str
    texts: list[str]
    size: int
    callers: int
    bulk: bool = False

    def work(self, *, streams: bool) -> Work:
        """For a client; streams: whether the server has a stream for bulk work."""
        if self.bulk and streams:
            return Work(texts=self.texts, stream=True)
        return Work(texts=self.texts, size=self.size, callers=self.callers)


class Plan:
    """The workloads, and the queries beside bulk work."""

    # Bulk work runs this long before the first query and after the last one.
    margin_s = 1.5

    def __init__(self, texts: RaggedTexts, *, quick: bool) -> None:
        many, some, few = (256, 96, 16) if quick else (1024, 512, 128)
        dealt = texts.take(many, seed=3)
        self.bulk = Workload(name="bulk", texts=dealt, size=64, callers=8, bulk=True)
        self.calls = Workload(name="calls of 64, 4 callers", texts=dealt[: many // 2], size=64, callers=4)
        self.singles = Workload(name="singles, 32 callers", texts=dealt[:some], size=1, callers=32)
        self.alone = Workload(name="singles, 1 caller", texts=dealt[:few], size=1, callers=1)
        self.all = [self.bulk, self.calls, self.singles, self.alone]
        self.check = dealt[:16]
        self._query_s = 2.0 if quick else 8.0

    def query(self) -> Work:
        """One short text at a time, for a while."""
        return Work(texts=QUERIES, size=1, callers=1, for_s=self._query_s, pause_s=_PAUSE_S)

    def background(self, *, streams: bool) -> Work:
        """Bulk work for longer than the queries take."""
        work = self.bulk.work(streams=streams)
        work["for_s"] = self._query_s + 2 * self.margin_s
        return work
