"""`trivium embed`, rerank, compare, classify and detect: what they write, print and refuse."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.sdk.command import TRIVIUM, Command
from tests.sdk.embedding_script import LOST, embed, embed_stream, info, refused_item, vector_of
from tests.sdk.scripted import Act, ScriptedServer, hang, reply
from tests.serving import wait_until
from trivium import _calls
from trivium.v1 import analysis_pb2, common_pb2, embedding_pb2

LINES = [f"text {number}" for number in range(500)]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("".join(f"{line}\n" for line in LINES))
    return path


def is_whole(output: Path, lines: list[str] = LINES) -> bool:
    """Whether the file has the right rows, and nothing unfinished is left beside it."""
    assert not list(output.parent.glob("*.partial*"))
    return np.array_equal(np.load(output, mmap_mode="r"), np.stack([vector_of(line) for line in lines]))


def test_rows_are_the_lines(faulty: Command, faults: ScriptedServer, notes: Path, tmp_path: Path) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    out = tmp_path / "out.npy"
    done = faulty.run("embed", str(notes), "-o", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}: 500 x 4 by m, 1000 tokens\n"
    assert done.stderr == ""
    assert is_whole(out)
    assert np.load(out).dtype == np.float32


def test_lines_of_json(faulty: Command, faults: ScriptedServer, tmp_path: Path) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    source, out = tmp_path / "docs.jsonl", tmp_path / "out.npy"
    source.write_text('\ufeff{"body": "one", "key": 7}\n\n{"key": "b", "body": "two\\nlines"}')
    done = faulty.run(
        "embed", str(source), "-o", str(out), "--field", "body", "--id-field", "key", "--purpose", "document", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert is_whole(out, ["one", "two\nlines"])
    ids = (tmp_path / "out.npy.ids.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in ids] == ["7", "b"]
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["dimensions"], summary["model_digest"]) == (2, 4, "sha256:1")


def test_standard_input(faulty: Command, faults: ScriptedServer, tmp_path: Path) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    out = tmp_path / "out.npy"
    done = faulty.run("embed", "-", "-o", str(out), stdin="one\ntwo\n")
    assert done.returncode == 0, done.stderr
    assert is_whole(out, ["one", "two"])
    assert [path.name for path in tmp_path.glob("*out*")] + [path.name for path in tmp_path.glob(".out*")] == [
        "out.npy"
    ]


def slowly(seen: list[str], until: int) -> Act:
    """Answers so many texts and then says nothing, so that a run can be killed there."""
    return embed_stream(cut_after=until, cut=hang(), seen=seen, group=20)


def wait_for_rows(out: Path, at_least: int) -> None:
    state = out.with_name(f"{out.name}.partial.json")
    assert wait_until(lambda: state.exists() and json.loads(state.read_text())["rows"] >= at_least, seconds=60), (
        "no checkpoint was written"
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_run_goes_on(
    faulty: Command, faults: ScriptedServer, notes: Path, tmp_path: Path, how: signal.Signals
) -> None:
    out, second = tmp_path / "out.npy", list[str]()

    def pausing(requests: object, context: grpc.ServicerContext) -> object:
        messages: Any = slowly([], 300)(requests, context)  # an act for a stream returns an iterator
        for place, message in enumerate(messages):
            time.sleep(0.3 if place > 5 else 0)  # so that a checkpoint falls between two messages
            yield message

    faults.script(_calls.STREAM_EMBED, pausing, embed_stream(seen=second))
    command = [TRIVIUM, "embed", str(notes), "-o", str(out)]
    with subprocess.Popen(command, env=faulty.environment, stderr=subprocess.PIPE) as running:
        wait_for_rows(out, 1)
        running.send_signal(how)
        _, printed = running.communicate(timeout=60)
        assert running.returncode == (-signal.SIGKILL if how is signal.SIGKILL else 130)
        if how is signal.SIGINT:
            assert b"of 500 vectors are kept; the same command goes on" in printed
    assert not out.exists()
    done = faulty.run("embed", str(notes), "-o", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert is_whole(out)
    resumed = json.loads(done.stdout)["resumed_at"]
    assert 0 < resumed < 500
    assert second == LINES[resumed:]
    assert json.loads(done.stdout)["input_tokens"] == 1000


def unfinished(faulty: Command, faults: ScriptedServer, notes: Path, out: Path) -> None:
    """Leaves a run behind that lost its server after 100 texts."""
    faults.script(_calls.STREAM_EMBED, embed_stream(cut_after=100), LOST)
    done = faulty.run("embed", str(notes), "-o", str(out))
    assert done.returncode == 1
    assert "100 of 500 vectors are kept; the same command goes on" in done.stderr


@pytest.mark.parametrize("change", ["input", "option", "model", "damage", "rows"])
def test_what_changed_is_refused(
    faulty: Command, faults: ScriptedServer, notes: Path, tmp_path: Path, change: str
) -> None:
    out = tmp_path / "out.npy"
    unfinished(faulty, faults, notes, out)
    faults.script(_calls.STREAM_EMBED, embed_stream(digest="sha256:2" if change == "model" else "sha256:1"))
    if change == "input":
        notes.write_text(notes.read_text().replace("text 7\n", "text 7!\n"))
    elif change == "damage":
        (tmp_path / "out.npy.partial.json").write_text("{")
    elif change == "rows":
        os.truncate(tmp_path / "out.npy.partial", 200)
    more = ["--purpose", "query"] if change == "option" else []
    done = faulty.run("embed", str(notes), "-o", str(out), *more)
    assert done.returncode == 2
    says = {
        "input": "was begun with other input",
        "option": "was begun with another purpose",
        "model": "was begun with another model, or another version",
        "damage": "cannot be read",
        "rows": "has fewer rows than it says",
    }
    assert says[change] in " ".join(done.stderr.split())
    assert "--restart" in done.stderr
    assert not out.exists()
    anew = faulty.run("embed", str(notes), "-o", str(out), "--restart", *more)
    assert anew.returncode == 0, anew.stderr
    assert is_whole(out, notes.read_text().splitlines())


@pytest.fixture
def holes(notes: Path) -> Path:
    lines = LINES.copy()
    lines[0] = lines[1] = lines[250] = ""
    notes.write_text("\n".join(lines))
    return notes


def test_failed_lines_are_named_and_no_file_is_written(
    faulty: Command, faults: ScriptedServer, holes: Path, tmp_path: Path
) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    out = tmp_path / "out.npy"
    done = faulty.run("embed", str(holes), "-o", str(out))
    assert done.returncode == 1
    assert "line 1: INVALID_ARGUMENT_FIELD: text is empty" in done.stderr
    assert "line 251: " in done.stderr
    assert "3 of 500 texts failed" in done.stderr
    assert not out.exists()

    calls = len(faults.received)
    again = faulty.run("embed", str(holes), "-o", str(out), "--on-error", "zero")
    assert again.returncode == 0, again.stderr
    assert len(faults.received) == calls  # what was embedded is there
    matrix = np.load(out)
    assert matrix.shape == (500, 4)
    assert np.flatnonzero(~matrix.any(axis=1)).tolist() == [0, 1, 250]
    assert np.array_equal(matrix[2], vector_of(LINES[2]))
    failures = [json.loads(line) for line in (tmp_path / "out.npy.errors.jsonl").read_text().splitlines()]
    assert [(failure["row"], failure["line"]) for failure in failures] == [(0, 1), (1, 2), (250, 251)]
    assert not list(tmp_path.glob("*.partial*"))


def test_failures_survive_a_break(faulty: Command, faults: ScriptedServer, holes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    unfinished(faulty, faults, holes, out)
    faults.script(_calls.STREAM_EMBED, embed_stream())
    done = faulty.run("embed", str(holes), "-o", str(out), "--on-error", "zero", "--json")
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["failed"], json.loads(done.stdout)["resumed_at"]) == (3, 100)
    assert np.flatnonzero(~np.load(out).any(axis=1)).tolist() == [0, 1, 250]


def test_all_failed(faulty: Command, faults: ScriptedServer, tmp_path: Path) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    source, out = tmp_path / "empty.txt", tmp_path / "out.npy"
    source.write_text("\n\n")
    done = faulty.run("embed", str(source), "-o", str(out), "--on-error", "zero")
    assert done.returncode == 1
    assert "all 2 texts failed" in done.stderr
    assert not out.exists()


def test_two_runs_do_not_share_a_file(faulty: Command, faults: ScriptedServer, notes: Path, tmp_path: Path) -> None:
    faults.script(_calls.STREAM_EMBED, slowly([], 100))
    out = tmp_path / "out.npy"
    with subprocess.Popen([TRIVIUM, "embed", str(notes), "-o", str(out)], env=faulty.environment) as running:
        try:
            assert wait_until(lambda: bool(faults.received[1:]), seconds=60)
            done = faulty.run("embed", str(notes), "-o", str(out))
        finally:
            running.kill()
    assert done.returncode == 1
    assert "another run is writing" in done.stderr


WRONG = [
    ("docs.jsonl", '{"text": "one"}\n{"body": "two"}\n', [], "line 2: there is no field 'text'; there are: body"),
    ("docs.jsonl", '{"text": 5}\n', [], "line 1: 'text' is not text"),
    ("docs.jsonl", "text\n", [], "line 1: it is not JSON"),
    ("docs.jsonl", "[1]\n", [], "line 1: it is not a JSON object"),
    ("docs.jsonl", '{"text": "\\ud800"}\n', [], "surrogate"),
    ("docs.jsonl", '{"text": "one"}\n', ["--id-field", "key"], "there is no field 'key'"),
    ("docs.json", '[{"text": "one"}]', [], "say with --format what it is"),
    ("docs.txt", "", [], "has no texts"),
    ("docs.txt", "one", ["--field", "text"], "--format jsonl"),
    ("docs.txt", "one", ["--dimensions", "0"], "--dimensions"),
    ("docs.txt", "one", ["--purpose", "sales"], "--purpose"),
]


@pytest.mark.parametrize(("name", "content", "options", "says"), WRONG, ids=[says for *_, says in WRONG])
def test_wrong_input_is_named(tmp_path: Path, name: str, content: str, options: list[str], says: str) -> None:
    (tmp_path / name).write_text(content)
    done = Command(tmp_path, "127.0.0.1:1").run(
        "embed", str(tmp_path / name), "-o", str(tmp_path / "out.npy"), *options
    )
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert not list(tmp_path.glob("out.npy*"))


@pytest.mark.parametrize(
    ("output", "says"),
    [("notes.npy", "is the input"), ("out.csv", "must end in .npy"), ("nowhere/out.npy", "there is no folder")],
)
def test_wrong_output_is_named(tmp_path: Path, output: str, says: str) -> None:
    source = tmp_path / "notes.npy"
    source.write_text("one\n")
    command = Command(tmp_path, "127.0.0.1:1")
    done = command.run("embed", str(source), "--format", "txt", "-o", str(tmp_path / output))
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())
    assert source.read_text() == "one\n"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "docs.txt").write_bytes(b"one\n\xff\xfe\n")
    done = Command(tmp_path, "127.0.0.1:1").run("embed", str(tmp_path / "docs.txt"), "-o", str(tmp_path / "out.npy"))
    assert done.returncode == 2
    assert "line 2: it is not text in UTF-8" in done.stderr


def test_progress_shows_on_a_terminal(faulty: Command, faults: ScriptedServer, notes: Path, tmp_path: Path) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    running = faulty.spawn("embed", str(notes), "-o", str(tmp_path / "out.npy"))
    running.expect("/500")
    running.expect("500 x 4 by m")


MEMORY = """
import resource, sys
from trivium.cli._root import run
assert run(sys.argv[1:]) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_many_lines_take_no_more_memory(faulty: Command, faults: ScriptedServer, tmp_path: Path) -> None:
    faults.script(_calls.STREAM_EMBED, embed_stream())
    peaks = []
    for count in (5_000, 60_000):
        source = tmp_path / f"{count}.txt"
        source.write_text("".join(f"text {number}\n" for number in range(count)))
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, "embed", str(source), "-o", str(tmp_path / "out.npy")],
            env=faulty.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        peaks.append(float(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 15


RANKED = embedding_pb2.RerankResponse(
    results=[embedding_pb2.RankedDocument(index=1, score=0.75), embedding_pb2.RankedDocument(index=0, score=-0.5)],
    info=info(),
)


@pytest.mark.parametrize("source", ["file", "-"])
def test_rerank(faulty: Command, faults: ScriptedServer, tmp_path: Path, source: str) -> None:
    faults.script(_calls.RERANK, reply(RANKED))
    path = tmp_path / "facts.txt"
    path.write_text("Rome [bold]\n\nTokyo \x1b[31m\n")
    done = faulty.run("rerank", "query", str(path) if source == "file" else "-", stdin=path.read_text())
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["SCORE", "TEXT"],
        ["0.7500", "Tokyo", "[31m"],
        ["-0.5000", "Rome", "[bold]"],
    ]
    inline = faulty.run("rerank", "query", "-d", "Rome [bold]", "--document", "Tokyo \x1b[31m")
    assert inline.stdout == done.stdout
    assert [document.text for document in faults.received[-1].request.documents] == ["Rome [bold]", "Tokyo \x1b[31m"]
    as_json = json.loads(faulty.run("rerank", "query", str(path), "--json").stdout)
    assert [ranked["index"] for ranked in as_json["results"]] == [1, 0]


def test_texts_of_the_command_line(faulty: Command, faults: ScriptedServer) -> None:
    faults.script(_calls.EMBED, embed)
    done = faulty.run("embed", "--text", "one [bold] \x1b[31m", "--text", "", "--text", "three words here")
    assert done.returncode == 1
    heading, first, second, third = (line.split() for line in done.stdout.splitlines())
    assert heading == ["DIMENSIONS", "TOKENS", "VECTOR", "TEXT"]
    assert (first[:2], first[6:], second[:3]) == (["4", "3"], ["one", "[bold]", "[31m"], ["-", "0", "-"])
    assert [float(value) for value in third[2:6]] == vector_of("three words here").tolist()
    assert done.stderr == "trivium: text 2: INVALID_ARGUMENT_FIELD: text is empty\n"
    told = json.loads(faulty.run("embed", "--text", "one", "--purpose", "query", "--json").stdout)
    assert told["results"][0]["vector"] == vector_of("one").tolist()
    assert told["info"]["model"]["digest"] == "sha256:1"


def test_compare(faulty: Command, faults: ScriptedServer) -> None:
    comparison = embedding_pb2.TextComparison
    compared = [
        comparison(index=0, similarity=0.25),
        comparison(index=1, error=refused_item()),
        comparison(index=2, similarity=1),
    ]
    faults.script(_calls.COMPARE_TEXTS, reply(embedding_pb2.CompareTextsResponse(comparisons=compared, info=info())))
    done = faulty.run("compare", "source", "one", "", "three")
    assert done.returncode == 1
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [["1.0000", "three"], ["0.2500", "one"], ["-"]]
    assert done.stderr == "trivium: text 3: INVALID_ARGUMENT_FIELD: text is empty\n"
    as_json = json.loads(faulty.run("compare", "source", "one", "", "three", "--json").stdout)
    assert as_json["results"][1]["error"]["reason"] == "INVALID_ARGUMENT_FIELD"


def test_classify(faulty: Command, faults: ScriptedServer) -> None:
    scores = [common_pb2.LabelScore(label="sport", score=0.75), common_pb2.LabelScore(label="news", score=0.5)]
    result = analysis_pb2.ClassifyTextResult(labels=analysis_pb2.LabelScores(labels=scores))
    response = analysis_pb2.ClassifyTextResponse(
        results=[result], info=info(), score_scale=common_pb2.SCORE_SCALE_COSINE
    )
    faults.script(_calls.CLASSIFY_TEXT, reply(response))
    done = faulty.run(
        "classify", "-", "--label", "sport", "--label", "news", "--template", "It is {}.", stdin="A draw."
    )
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["COSINE", "LABEL"],
        ["0.7500", "sport"],
        ["0.5000", "news"],
    ]
    request = faults.received[-1].request
    assert (request.items[0].text, list(request.candidate_labels)) == ("A draw.", ["sport", "news"])
    assert json.loads(faulty.run("classify", "A draw.", "-l", "a", "--json").stdout)["score_scale"] == "COSINE"
    failed = analysis_pb2.ClassifyTextResult(error=refused_item())
    faults.script(_calls.CLASSIFY_TEXT, reply(analysis_pb2.ClassifyTextResponse(results=[failed], info=info())))
    done = faulty.run("classify", "", "-l", "a")
    assert done.returncode == 1
    assert "text is empty" in done.stderr


def test_detect(faulty: Command, faults: ScriptedServer) -> None:
    told = {"pt": 0.30001, "gl": 0.2999}
    scores = [analysis_pb2.LanguageScore(language_code=code, score=score) for code, score in told.items()]
    results = [
        analysis_pb2.DetectLanguageResult(languages=analysis_pb2.LanguageScores(languages=scores)),
        analysis_pb2.DetectLanguageResult(index=1, error=refused_item()),
    ]
    faults.script(_calls.DETECT_LANGUAGE, reply(analysis_pb2.DetectLanguageResponse(results=results, info=info())))
    done = faulty.run("detect", "Bom dia", "")
    assert done.returncode == 1
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["pt", "0.3000", "Bom", "dia"],
        ["gl?", "0.2999", "Bom", "dia"],
        ["-", "-"],
    ]
    assert done.stderr == "trivium: text 2: INVALID_ARGUMENT_FIELD: text is empty\n"
    languages = json.loads(faulty.run("detect", "Bom dia", "", "--json").stdout)["results"][0]["languages"]
    assert [language["language_code"] for language in languages] == ["pt", "gl"]
    assert "under 0.3 is a guess" in faulty.run("detect", "--help").stdout


@pytest.mark.parametrize("name", ["embed", "rerank", "compare", "classify", "detect"])
def test_help_has_examples(tmp_path: Path, name: str) -> None:
    done = Command(tmp_path, "127.0.0.1:1").run(name, "--help")
    assert done.returncode == 0
    assert f"\n    trivium {name} " in done.stdout
    assert name in Command(tmp_path, "127.0.0.1:1").run("--help").stdout


def test_terminal_sequences_are_not_obeyed(faulty: Command, faults: ScriptedServer) -> None:
    named = common_pb2.LabelScore(label="\x1b[2Jcleared", score=1)
    result = analysis_pb2.ClassifyTextResult(labels=analysis_pb2.LabelScores(labels=[named]))
    faults.script(_calls.CLASSIFY_TEXT, reply(analysis_pb2.ClassifyTextResponse(results=[result], info=info())))
    assert "\x1b" not in faulty.run("classify", "one", "-l", "a").stdout
