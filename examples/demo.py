"""Starts a server of its own, asks a real language model over gRPC, and shows the answers while they are made."""

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
from typing import Unpack

from rich.console import Console
from rich.table import Table

import trivium

CONVERSATION = "How do plants make food?"
COMPLETION = "Once upon a time, in a small house by the sea,"
QUESTIONS = (
    "What is the water cycle, in one sentence?",
    "What is the capital of Japan?",
    "What is a computer, in one sentence?",
    "Write one sentence about the moon.",
)


@contextmanager
def server(model: str, console: Console) -> Iterator[str]:
    """Runs `trivium serve` on a free port of this machine; yields its address once the model is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{probe.getsockname()[1]}"
    command = ["trivium", "serve", "--listen", target, "--model", model]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a model of the store (default: %(default)s)")
    model = parser.parse_args().model
    console = Console(highlight=False)
    with server(model, console) as target, trivium.Client(target, default_model=model) as client:
        console.rule("[bold]A conversation, streamed")
        console.print(f"[cyan]you:[/] {CONVERSATION}")
        stream_one(client, CONVERSATION, console, max_output_tokens=120, seed=7)
        console.rule("[bold]A text, continued")
        sys.stdout.write(COMPLETION)
        story = trivium.TextPrompt(COMPLETION)
        stream_one(client, story, console, max_output_tokens=70, temperature=0.6, repetition_penalty=1.1, seed=1)
        console.rule("[bold]Four callers")
        ask_together(client, console)
    console.print("Next: [bold]make serve[/], then [bold].venv/bin/trivium chat[/] in another terminal.")


if __name__ == "__main__":
    main()
