"""Starts a server of its own and asks its models over gRPC: text, sentences, photos, a scan and speech."""

import argparse
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

from rich.console import Console
from rich.table import Table

import trivium
from examples import speech_demo
from examples.pictures import pictures
from examples.recordings import recordings
from trivium import vision

CONVERSATION = "How do plants make food?"
LANGUAGE_MODEL, ENCODER, DETECTOR = "smollm2-135m-instruct", "all-minilm-l6-v2", "langid-140"
VISION_MODELS = ("efficientnet-lite0", "nanodet-coco", "centerface", "pp-ocrv6-small")
OUTPUT = Path("demo-output")
COMPLETION = "Once upon a time, in a small house by the sea,"
QUESTIONS = (
    "What is the water cycle, in one sentence?",
    "What is the capital of Japan?",
    "What is a computer, in one sentence?",
    "Write one sentence about the moon.",
)
SENTENCES = (
    "The invoice was paid twice by mistake.",
    "A customer was charged two times for one order.",
    "Our office is closed on public holidays.",
    "The train to the coast leaves at nine.",
)
QUERY = "How do I get my money back?"
DOCUMENTS = (
    "Parcels are delivered within three working days.",
    "Refunds are made to the card that was charged, usually within a week.",
    "You can change your password in the settings.",
    "Shops may refuse notes that are torn.",
)
GREETINGS = ("Where is the station?", "Wo ist der Bahnhof?", "¿Dónde está la estación?", "駅はどこですか。")


@contextmanager
def server(models: tuple[str, ...], console: Console) -> Iterator[str]:
    """Runs `trivium serve` on a free port of this machine; yields its address once the model is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{probe.getsockname()[1]}"
    command = ["trivium", "serve", "--listen", target, *(part for model in models for part in ("--model", model))]
    started = time.monotonic()
    with tempfile.NamedTemporaryFile("w", prefix="trivium-demo-", suffix=".log", delete=False) as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        with console.status(f"{' '.join(command)} (log: {log.name})"), trivium.Client(target) as client:
            wait_until_ready(process, client)
        console.print(f"[green]server ready[/] on {target} after {time.monotonic() - started:.1f} s")
        yield target
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
        console.print(f"[green]server drained[/] and left with exit code {code}")


def wait_until_ready(process: "subprocess.Popen[bytes]", client: trivium.Client) -> None:
    """Waits for the server as long as it lives; leaves with its log's name when it does not."""
    while True:
        try:
            return client.wait_ready(timeout_s=1.0)
        except trivium.errors.ServerUnavailable:
            if process.poll() is not None:
                raise SystemExit(f"the server left with exit code {process.returncode}; its log says why") from None


def stream_one(
    client: trivium.Client, prompt: trivium.Prompt, console: Console, **sampling: Unpack[trivium.SamplingOptions]
) -> None:
    """Prints an answer token by token, and what it took. sampling: as `client.text.stream` takes it."""
    with client.text.stream(prompt, **sampling) as stream:
        for delta in stream:
            sys.stdout.write(delta.text)
            sys.stdout.flush()
        result = stream.result
    usage, timing = result.usage, result.timing
    rate = usage.output_tokens / timing.inference_s if timing.inference_s else 0.0
    console.print(
        f"\n[dim]{usage.input_tokens} tokens in, {usage.output_tokens} out, first after "
        f"{1000 * (timing.first_output_s or 0):.0f} ms, {rate:.0f} tokens/s; {result.finish_reason.name}; "
        f"request {result.info.request_id}[/]\n"
    )


def ask_together(client: trivium.Client, console: Console) -> None:
    """Asks all questions at once; the server decodes them in one batch."""
    answers: dict[str, trivium.GenerationResult] = {}

    def ask(question: str) -> None:
        answers[question] = client.text.generate(question, max_output_tokens=60, seed=7)

    threads = [threading.Thread(target=ask, args=(question,)) for question in QUESTIONS]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - started
    table = Table(title=f"{len(QUESTIONS)} questions at once", title_justify="left", show_lines=True)
    table.add_column("question")
    table.add_column("answer")
    for question in QUESTIONS:
        table.add_row(question, answers[question].text.strip())
    console.print(table)
    tokens = sum(answer.usage.output_tokens for answer in answers.values())
    console.print(f"[dim]{tokens} tokens in {elapsed:.1f} s: {tokens / elapsed:.0f} tokens/s together[/]\n")


def compare_sentences(client: trivium.Client, console: Console) -> None:
    """Embeds sentences and prints how alike each is to each."""
    vectors = client.embed(SENTENCES, model=ENCODER)
    table = Table(title=f"Similarity, from vectors of {vectors.shape[1]} numbers", title_justify="left")
    table.add_column("")
    for number in range(1, len(SENTENCES) + 1):
        table.add_column(str(number), justify="right")
    for number, (sentence, row) in enumerate(zip(SENTENCES, vectors @ vectors.T, strict=True), 1):
        table.add_row(f"{number}  {sentence}", *(f"[{_shade(value)}]{value:.2f}[/]" for value in row))
    console.print(table)


def rank_documents(client: trivium.Client, console: Console) -> None:
    """Orders documents by how well they answer a query."""
    ranked = client.rerank(QUERY, DOCUMENTS, model=ENCODER)
    table = Table(title=f"{QUERY!r}, best first ({ranked.score_scale.name.lower()})", title_justify="left")
    table.add_column("score", justify="right")
    table.add_column("document")
    for result in ranked.results:
        table.add_row(f"[{_shade(result.score)}]{result.score:.2f}[/]", result.text)
    console.print(table)


def name_languages(client: trivium.Client, console: Console) -> None:
    """Tells in which language texts are written."""
    table = Table(title="Languages", title_justify="left")
    table.add_column("text")
    table.add_column("likeliest")
    for text, result in zip(GREETINGS, client.detect_language(GREETINGS, model=DETECTOR).results, strict=True):
        best = result.languages[0]
        table.add_row(text, f"{best.language_code} ({best.score:.2f})")
    console.print(table)


def see_photos(client: trivium.Client, photos: dict[str, Path], console: Console) -> None:
    """Asks several things about each photo in one call, and prints what was found, in pixels."""
    asked: dict[str, list[vision.Feature | vision.FeatureName]] = {
        "coffee": ["classify", "detect"],
        "astronaut": ["detect", vision.DetectFaces(include_landmarks=True)],
    }
    table = Table(title="What photos show", title_justify="left")
    for heading in ("photo", "what", "score", "where"):
        table.add_column(heading)
    for name, features in asked.items():
        analysis = client.vision.analyze(photos[name], features)
        analysis.raise_for_failed()
        for what, score, box in _findings(analysis):
            where = "{} {} to {} {}".format(*box.pixels(analysis.image)) if box else "the whole image"
            table.add_row(name, what, f"[{_shade(score)}]{score:.2f}[/]", where)
        _save(analysis, name, console)
    console.print(table)


def _findings(analysis: vision.ImageAnalysis) -> Iterator[tuple[str, float, vision.BoundingBox | None]]:
    for result in analysis.results:
        match result.outcome:
            case vision.ImageLabels(labels=labels):
                yield from ((entry.label, entry.score, None) for entry in labels[:2])
            case vision.DetectedObjects(objects=objects):
                yield from ((entry.label, entry.score, entry.box) for entry in objects)
            case vision.DetectedFaces(faces=faces):
                yield from (("face", face.score, face.box) for face in faces)


def read_scan(client: trivium.Client, scan: Path, console: Console) -> None:
    """Prints the text of a scanned page."""
    text = client.vision.read_text(scan)
    console.print(text.text, markup=False)
    info = text.info
    if info is not None and info.timing.total_s is not None:
        size = f"{text.image.width} x {text.image.height} pixels"
        console.print(f"[dim]{len(text.lines)} lines, {size}, in {1000 * info.timing.total_s:.0f} ms[/]")
    _save(text, "page", console)


def _save(result: vision.ImageAnalysis | vision.RecognizedText, name: str, console: Console) -> None:
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / f"{name}.png"
    result.draw().save(path)
    console.print(f"drawn: [bold]{path}[/]")


def _shade(value: float) -> str:
    return "bold green" if value >= 0.6 else "green" if value >= 0.3 else "dim"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    console = Console(highlight=False)
    files, sounds = pictures(), recordings()
    with (
        server((LANGUAGE_MODEL, ENCODER, DETECTOR, *VISION_MODELS, *speech_demo.SPEECH_MODELS), console) as target,
        trivium.Client(target, default_model=LANGUAGE_MODEL) as client,
    ):
        console.rule("[bold]A conversation, streamed")
        console.print(f"[cyan]you:[/] {CONVERSATION}")
        stream_one(client, CONVERSATION, console, max_output_tokens=120, seed=7)
        console.rule("[bold]A text, continued")
        sys.stdout.write(COMPLETION)
        story = trivium.TextPrompt(COMPLETION)
        stream_one(client, story, console, max_output_tokens=70, temperature=0.6, repetition_penalty=1.1, seed=1)
        console.rule("[bold]Four callers")
        ask_together(client, console)
        console.rule("[bold]Sentences, compared and ranked")
        compare_sentences(client, console)
        rank_documents(client, console)
        name_languages(client, console)
        console.rule("[bold]Photos, seen")
        see_photos(client, files, console)
        console.rule("[bold]A scanned page, read")
        read_scan(client, files["page"], console)
        console.rule("[bold]A recording, heard while it plays")
        speech_demo.listen(client, sounds["two_cities"], console)
        console.rule("[bold]A sentence, spoken")
        speech_demo.speak(client, OUTPUT, console)
    console.print("Next: [bold]make serve[/], then [bold].venv/bin/trivium chat[/] in another terminal.")


if __name__ == "__main__":
    main()
