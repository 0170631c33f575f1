"""The search example with the real corpus, the real model and a real server."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import trivium
from examples.search.__main__ import main
from examples.search.factbook import Passage, distinct_passages, distinct_sentences, fetch_archive, read_passages
from examples.search.passage_index import PassageIndex
from examples.search.searching import Searcher
from tests.serving import RunningServer
from trivium_models.store import Store

pytestmark = pytest.mark.long

_MODEL = "all-minilm-l6-v2-int8"
_LIMIT = 200


@pytest.fixture(scope="module")
def encoder() -> Iterator[RunningServer]:
    folder = Store().pull(_MODEL).folder.parent
    with RunningServer(folder, models__load=_MODEL) as running:
        yield running


@pytest.fixture(scope="module")
def client(encoder: RunningServer) -> Iterator[trivium.Client]:
    with trivium.Client(encoder.address) as opened:
        opened.wait_ready(model=_MODEL)
        yield opened


@pytest.fixture(scope="module")
def corpus() -> list[Passage]:
    return read_passages(fetch_archive())


@pytest.fixture(scope="module")
def indexed(encoder: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of the first passages."""
    folder = tmp_path_factory.mktemp("search") / "index"
    main(["index", "--target", encoder.address, "--index", str(folder), "--limit", str(_LIMIT)])
    return folder


def _opened(folder: Path, client: trivium.Client, passages: list[Passage]) -> PassageIndex:
    return PassageIndex.open(folder, model_digest=client.models.get(_MODEL).digest, passages=passages)


def test_corpus_is_read_whole(corpus: list[Passage]) -> None:
    distinct = distinct_passages(corpus)
    assert (len(corpus), len(distinct), len(distinct_sentences(corpus))) == (14_892, 7_578, 5_214)
    assert all(15 <= passage.num_words <= 150 and "<" not in passage.text for passage in distinct)
    assert {"France", "Japan", "Pacific Ocean"} <= {passage.country for passage in distinct}


def test_statements_of_a_passage_are_its_text(corpus: list[Passage]) -> None:
    for passage in distinct_passages(corpus):
        assert " ".join(passage.statements) == passage.text
        assert all(passage.statements)


def test_question_finds_the_passage_that_answers_it(
    client: trivium.Client, corpus: list[Passage], indexed: Path
) -> None:
    passages = distinct_passages(corpus)[:_LIMIT]
    index = _opened(indexed, client, passages)
    assert len(index) == _LIMIT
    searcher = Searcher(client, index, model=_MODEL, rerank_model=_MODEL)
    findings = searcher.ask("Who won the presidency of Algeria in 1999?", candidates=30, top=5)
    assert findings.after[0].passage.country == "Algeria"
    assert "BOUTEFLIKA" in findings.after[0].statement
    assert findings.num_candidates == 30
    assert findings.num_statements >= 30


def test_ranking_is_by_the_best_statement(client: trivium.Client, corpus: list[Passage], indexed: Path) -> None:
    index = _opened(indexed, client, distinct_passages(corpus)[:_LIMIT])
    searcher = Searcher(client, index, model=_MODEL, rerank_model=_MODEL)
    findings = searcher.ask("What threatens the coast?", candidates=12, top=12)
    before = [hit.passage for hit in findings.before]
    assert len(before) == len(findings.after) == 12
    similarities = [hit.similarity for hit in findings.before]
    scores = [answer.score for answer in findings.after]
    assert similarities == sorted(similarities, reverse=True)
    assert scores == sorted(scores, reverse=True)
    for answer in findings.after:
        assert before[answer.was - 1] == answer.passage
        options = [answer.passage.under_title(statement) for statement in answer.passage.statements]
        best = client.compare(findings.question, options, model=_MODEL).max()
        assert answer.score == pytest.approx(float(best), abs=1e-5)


def test_killed_indexing_goes_on_where_it_was(
    encoder: RunningServer, client: trivium.Client, corpus: list[Passage], tmp_path: Path
) -> None:
    folder, limit = tmp_path / "index", 400
    options = [
        "index",
        "--target",
        encoder.address,
        "--index",
        str(folder),
        "--limit",
        str(limit),
        "--save-every",
        "16",
    ]
    process = subprocess.Popen([sys.executable, "-m", "examples.search", *options], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "about.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    passages = distinct_passages(corpus)[:limit]
    had = len(_opened(folder, client, passages))
    assert 16 <= had < limit
    assert had % 16 == 0

    main(options)
    index = _opened(folder, client, passages)
    assert len(index) == limit
    for place in (0, had - 1, had, limit - 1):
        vector = client.embed(passages[place].titled, model=_MODEL, purpose="document", truncation="keep_start")
        hit = index.nearest(vector, 1)[0]
        assert hit.passage == passages[place]
        assert hit.similarity == pytest.approx(1.0, abs=1e-5)


def test_second_run_changes_nothing(encoder: RunningServer, indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (indexed / "passages.usearch").read_bytes()
    main(["index", "--target", encoder.address, "--index", str(indexed), "--limit", str(_LIMIT)])
    assert (indexed / "passages.usearch").read_bytes() == before
    assert f"the index holds {_LIMIT} of {_LIMIT} passages" in capsys.readouterr().out


def test_index_of_another_model_or_corpus_is_not_used(
    encoder: RunningServer, corpus: list[Passage], indexed: Path
) -> None:
    passages = distinct_passages(corpus)[:_LIMIT]
    assert len(PassageIndex.open(indexed, model_digest="sha256:other", passages=passages)) == 0
    with pytest.raises(SystemExit, match="run the command `index` first"):
        main(["ask", "Who?", "--target", encoder.address, "--index", str(indexed), "--limit", "7"])


def test_answers_name_countries_and_scores(
    encoder: RunningServer, indexed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["ask", "Who won the presidency of Algeria in 1999?", "--limit", str(_LIMIT), "--top", "3"]
    main([*asked, "--target", encoder.address, "--index", str(indexed)])
    printed = capsys.readouterr().out
    before, after = printed.split("Ranked anew: 40 passages")
    for part in (before, after):
        assert "Algeria" in part
        assert "cosine" in part


def test_empty_index_refuses_queries(corpus: list[Passage], tmp_path: Path) -> None:
    index = PassageIndex.open(tmp_path, model_digest="any", passages=distinct_passages(corpus)[:1])
    with pytest.raises(RuntimeError, match="empty"):
        index.nearest(np.zeros(384, np.float32), 1)
