"""Sentences per second of our server, beside the limit and its peers, and a query's latency while a bulk job runs.

The limit is a bare onnxruntime loop on the same graph in ideal batches. The peers are LitServe and BentoML on the same
graph, and infinity-emb, where it is installed, on the weights that the graph was made from. All get the same texts of
ragged lengths and as many threads. One is awake at a time, in rounds; ratios are taken within a round.
"""

from benchmarks import command_line, machine
from benchmarks.contenders import PEERS_PYTHON
from benchmarks.embed_contenders import INFINITY, Bare, folder_of, peers, trivium
from benchmarks.embed_rounds import measure
from benchmarks.embed_tables import Results
from benchmarks.embed_texts import MAX_TOKENS, MEDIAN_TOKENS, P95_TOKENS, RaggedTexts, tokenizer_of
from benchmarks.embed_work import Plan
from benchmarks.report import Report

_NOTES = f"""\
- Texts: sentences of the World Factbook (public domain), clauses for short lengths and neighbours together for long
  ones. Lengths in tokens are log-normal: median {MEDIAN_TOKENS}, 95 % at most {P95_TOKENS}, none over {MAX_TOKENS}.
  Everybody gets the same texts in the same order, which knows nothing of lengths.
- Limit: every text is known and tokenized before the clock starts; batches are neighbours in length. The token budget
  and the layout (threads that share one session) are the best of those tried here, three times each. For one caller of
  single texts it is each text alone, with all threads in one run; they spin, so it is no limit by core-second.
- Bulk: one StreamEmbed for ours, 64 texts in a message; the peers have no such stream and get calls of 64, eight at
  once. LitServe and BentoML run our graph, a batch's texts sorted by length and 32 in a run, as sentence-transformers
  does. Both batch calls: LitServe up to 32 of them within 5 ms, BentoML up to 256 texts, otherwise as they come.
  infinity-emb is its torch engine as it comes, without BetterTransformer. The peers' settings were chosen and not
  tuned, but for the number of processes times threads, which is in the name.
- Clients are in a process of their own, which shares the processors with the server; the core-seconds are those of the
  server alone, of all its processes, by /proc. Vectors: float32 as bytes from ours, base64 from infinity-emb, JSON
  numbers from the others.
- Query under load: one short question at a time with a pause of 10 ms, from a process of its own, first alone and then
  while another process runs the bulk work.
- Medians, with the range over rounds. Against a peer with variants the better one counts.
"""


def main() -> None:
    given = command_line.parse(
        __doc__,
        rounds=3,
        add=lambda parser: parser.add_argument(
            "--model", default="all-minilm-l6-v2", help="a sentence encoder of the store (default: %(default)s)"
        ),
    )
    plan = Plan(RaggedTexts(tokenizer_of(folder_of(given.model))), quick=given.quick)
    ours, bare = trivium(given.model, threads=given.threads), Bare(given.model, threads=given.threads)
    others = peers(given.model, threads=given.threads) if given.peers else []
    facts = machine.describe() | {"threads": str(given.threads), "model": given.model}
    if given.peers:
        facts["peers"] = machine.package_versions(PEERS_PYTHON, ("litserve", "bentoml", "onnxruntime", "tokenizers"))
        facts["infinity-emb"] = "not installed, left out"
        if INFINITY.exists():
            names = ("infinity-emb", "sentence-transformers", "torch")
            facts["infinity-emb"] = machine.package_versions(INFINITY.with_name("python"), names)
    report = Report(
        name=f"embed-{given.model}", title="Sentences per second, and queries beside them", notes=_NOTES, facts=facts
    )
    samples = measure(ours, others, bare, plan, given.rounds)
    report.tables.extend(Results(samples, [ours.name, bare.name, *(peer.name for peer in others)], plan).tables())
    report.samples = samples.raw()
    report.write(given.results)


if __name__ == "__main__":
    main()
