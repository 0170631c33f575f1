"""How good the vectors are: int8 beside float32, both beside what people say, and a text alone beside it in company.

Everything goes through a real server and the SDK. The sentences are those of the World Factbook. What people say is the
test part of STS-B, 1,379 pairs scored from 0 to 5.
"""

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

import trivium
from benchmarks import command_line, machine
from benchmarks.embed_contenders import folder_of
from benchmarks.embed_contenders import trivium as our_server
from benchmarks.embed_sts import fetch_pairs, spearman
from benchmarks.embed_texts import RaggedTexts, tokenizer_of
from benchmarks.report import Report, Table, percentile
from examples.search.factbook import distinct_sentences, fetch_archive, read_passages

_REFERENCE = "all-minilm-l6-v2"
_MODELS = (_REFERENCE, "all-minilm-l6-v2-int8")
_NOTES = """\
- Cosine: of a model's vector of a sentence and the float32 model's, over real sentences of the World Factbook.
- STS-B: Spearman's rank correlation, times 100, of the cosine of two sentences' vectors with the score that people gave
  the pair; all 1,379 pairs of the test part.
- Company: the greatest difference of any component between a text's vector alone in a call with the server idle, and
  (calls) in calls of 1 to 64 texts, eight of which run at once, and (stream) in one stream. Texts of ragged lengths in
  an order that knows nothing of lengths.
"""

Vectors = NDArray[np.float32]


class Findings:
    """What was found of one model. vectors: of the sentences, float32, shape (sentences, dimensions)."""

    def __init__(self, client: trivium.Client, sentences: list[str], ragged: list[str]) -> None:
        self.vectors = client.embed(sentences)
        self.spearman = _sts(client)
        alone = np.stack([client.embed(text) for text in ragged])
        self.in_calls = _difference(alone, _in_calls(client, ragged))
        self.in_stream = _difference(alone, _in_stream(client, ragged))
        self.num_exact = int((_in_stream(client, ragged) == alone).all(axis=1).sum())


def _sts(client: trivium.Client) -> float:
    pairs = fetch_pairs()
    first, second = (client.embed(texts) for texts in ([p.first for p in pairs], [p.second for p in pairs]))
    cosines = np.einsum("ij,ij->i", first.astype(np.float64), second.astype(np.float64))
    return spearman(cosines, np.array([pair.score for pair in pairs]))


def _in_calls(client: trivium.Client, texts: list[str]) -> Vectors:
    rng = random.Random(5)
    calls, start = [], 0
    while start < len(texts):
        size = rng.randint(1, 64)
        calls.append(texts[start : start + size])
        start += size
    with ThreadPoolExecutor(8) as pool:
        return np.concatenate(list(pool.map(client.embed, calls)))


def _in_stream(client: trivium.Client, texts: list[str]) -> Vectors:
    vectors = []
    for result in client.embed_stream(texts):
        if result.error is not None:
            raise result.error
        assert result.vector is not None, "dense vectors were asked for"
        vectors.append(result.vector)
    return np.stack(vectors)


def _difference(first: Vectors, second: Vectors) -> float:
    return float(np.abs(first - second).max())


def measure(model: str, sentences: list[str], ragged: list[str], threads: int) -> Findings:
    """Serves the model and asks it for everything."""
    server = our_server(model, threads=threads)
    server.start()
    try:
        with trivium.Client(server.address, default_model=model) as client:
            return Findings(client, sentences, ragged)
    finally:
        server.close()


def _tables(found: dict[str, Findings], num_ragged: int) -> list[Table]:
    reference = found[_REFERENCE].vectors
    rows = []
    for model, findings in found.items():
        cosines = np.einsum("ij,ij->i", findings.vectors.astype(np.float64), reference.astype(np.float64))
        cells = [f"{value:.5f}" for value in (cosines.min(), percentile(cosines.tolist(), 0.01), cosines.mean())]
        rows.append([model, str(len(cosines)), *cells, f"{100 * findings.spearman:.2f}"])
    columns = ["", "sentences", "cosine min", "1 % below", "mean", "STS-B Spearman"]
    quality = Table(title="Beside the float32 model, and beside people", columns=columns, rows=rows)
    rows = [
        [model, str(num_ragged), f"{one.in_calls:.1e}", f"{one.in_stream:.1e}", f"{one.num_exact} of {num_ragged}"]
        for model, one in found.items()
    ]
    columns = ["", "texts", "calls", "stream", "equal to the bit in the stream"]
    return [quality, Table(title="A text alone and in company: greatest difference", columns=columns, rows=rows)]


def main() -> None:
    given = command_line.parse(__doc__, rounds=1, uses_peers=False)  # nothing here differs between rounds
    sentences = distinct_sentences(read_passages(fetch_archive()))
    sentences = random.Random(1).sample(sentences, 128 if given.quick else 2048)
    ragged = RaggedTexts(tokenizer_of(folder_of(_REFERENCE))).take(64 if given.quick else 512, seed=11)
    report = Report(
        name="embed-quality",
        title="Quality of embeddings",
        notes=_NOTES,
        facts=machine.describe() | {"threads": str(given.threads)},
    )
    found = {model: measure(model, sentences, ragged, given.threads) for model in _MODELS}
    report.tables.extend(_tables(found, len(ragged)))
    report.write(given.results)


if __name__ == "__main__":
    main()
