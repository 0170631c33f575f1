"""Calls the stack as its callers do, kills a replica under their hands, and says what they noticed.

Starts a stack of its own. Ends with exit status 0 only when everything went well; what cannot be tried because a
program is not installed is said to be so.
"""

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trivium
from tools.stack.admin import Admin
from tools.stack.running import RunningStack
from tools.stack.settings import ROOT, StackSettings, free_ports

EMBEDDER, GENERATOR = StackSettings(folder=Path()).models
GO, TYPESCRIPT = ROOT / "clients/go", ROOT / "clients/typescript"
PAGES = TYPESCRIPT / ".build/browser"
CALLERS = 6


class NotTriedError(Exception):
    """A program is missing; the text says which."""


def main() -> int:
    """Returns the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="trivium-stack-"))
    (page_port,) = free_ports(1)
    steps: dict[str, Callable[[RunningStack], str]] = {
        "Python": python,
        "Go": go,
        "curl": curl,
        "browser": functools.partial(browser, page_port=page_port),
        "kill -9": killed_replica,
    }
    results = {}
    with RunningStack(folder, "--origin", f"http://localhost:{page_port}") as stack:
        stack.wait_until_serving()
        for name, step in steps.items():
            print(f"\n--- {name}", flush=True)
            results[name] = attempt(step, stack)
        print(flush=True)
    return summary(results)


def attempt(step: Callable[[RunningStack], str], stack: RunningStack) -> tuple[str, str]:
    """Returns how it went, and one line about it."""
    try:
        return "ok", step(stack)
    except NotTriedError as error:
        return "NOT TRIED", str(error)
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError, trivium.TriviumError) as error:
        return "FAILED", f"{type(error).__name__}: {error}"


def summary(results: dict[str, tuple[str, str]]) -> int:
    """Prints the results; returns the exit status."""
    print()
    for name, (how, what) in results.items():
        print(f"{how:<10} {name:<8} {what}")
    return 1 if any(how == "FAILED" for how, _ in results.values()) else 0


def client(stack: RunningStack, retry: trivium.RetryPolicy | None = None) -> trivium.Client:
    """A client through Envoy, over TLS."""
    root = Path(stack.text("root_certificate")).read_bytes()
    tls = trivium.TLS(root_certificates=root)
    return trivium.Client(stack.text("tls_target"), tls=tls, retry=retry)


def python(stack: RunningStack) -> str:
    """Streams an answer, embeds and compares."""
    with client(stack) as caller:
        with caller.text.stream("What is the capital of Japan?", model=GENERATOR, max_output_tokens=40) as stream:
            for delta in stream:
                print(delta.text, end="", flush=True)
        print()
        shape = caller.embed(["Where is my parcel?", "Track an order"], model=EMBEDDER).shape
        near, far = caller.compare("Where is my parcel?", ["Track an order", "Change a password"], model=EMBEDDER)
    assert shape == (2, 384)
    assert near > far
    tokens = stream.result.usage.output_tokens
    return f"{tokens} tokens streamed over TLS, vectors of {shape[1]} numbers, likeness {near:.2f} and {far:.2f}"


def go(stack: RunningStack) -> str:
    """Runs two examples of the Go SDK."""
    if not shutil.which("go"):
        raise NotTriedError("there is no go")
    environment = os.environ | {
        "TRIVIUM_TARGET": stack.text("tls_target"),
        "SSL_CERT_FILE": stack.text("root_certificate"),
    }
    examples = {"chat_stream": ["Name a colour."], "embed_compare": ["A cat sleeps.", "A kitten naps.", "Shares fell."]}
    for example, arguments in examples.items():
        run = subprocess.run(
            ["go", "run", f"./examples/{example}", *arguments],
            cwd=GO,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        print(run.stdout, end="", flush=True)
        assert run.returncode == 0, run.stderr.strip()
        assert run.stdout.strip()
    return f"{' and '.join(examples)} ran over TLS"


def curl(stack: RunningStack) -> str:
    """Asks in JSON: one call that succeeds, one that fails with details."""
    if not shutil.which("curl"):
        raise NotTriedError("there is no curl")
    compared = _curl(
        stack,
        "EmbeddingService/CompareTexts",
        {"model": EMBEDDER, "source": "A cat sleeps.", "targets": ["A kitten naps.", "Shares fell."]},
    )
    assert len(compared["comparisons"]) == 2
    failed = _curl(stack, "TextGenerationService/CountTokens", {"input": {"model": "no-such-model", "text": "Hello"}})
    reason = failed["details"][0]["reason"]
    assert reason == "MODEL_NOT_FOUND"
    return f"JSON over HTTP/2 and TLS; an error body with {len(failed['details'])} details, {reason}"


# JSON has whatever shape it has.
def _curl(stack: RunningStack, method: str, request: object) -> dict[str, list[dict[str, str]]]:
    command = ["curl", "--silent", "--show-error", "--max-time", "60", "--cacert", stack.text("root_certificate")]
    command += ["--header", "content-type: application/json", "--data", json.dumps(request)]
    command += [f"{stack.text('tls_target')}/trivium.v1.{method}"]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=90)
    assert run.returncode == 0, run.stderr.strip()
    print(run.stdout, flush=True)
    answer: dict[str, list[dict[str, str]]] = json.loads(run.stdout)
    return answer


def browser(stack: RunningStack, *, page_port: int) -> str:
    """Chats from a page in headless Chromium, over gRPC-Web."""
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(chromium).exists():
        raise NotTriedError(f"there is no Chromium at {chromium}; on Debian: apt-get install chromium")
    if not shutil.which("node") or not (PAGES / "chat.js").exists():
        raise NotTriedError("the page is not built; `make build` in clients/typescript does, with Node 20 and npm")
    address = f"http://localhost:{page_port}/?target={stack.text('web_target')}&model={GENERATOR}"
    with _pages(page_port):
        run = subprocess.run(
            ["node", str(Path(__file__).with_name("page.mjs")), chromium, address, "Why is the sky blue?"],
            cwd=TYPESCRIPT,
            check=False,
            capture_output=True,
            text=True,
            timeout=180,
        )
    print(run.stdout, flush=True)
    assert run.returncode == 0, run.stderr.strip()
    return f"{run.stdout.strip().splitlines()[-1]} shown by a page in Chromium, over gRPC-Web"


@contextmanager
def _pages(port: int) -> Iterator[None]:
    handler = functools.partial(_QuietHandler, directory=str(PAGES))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the name that it has above
        pass


def killed_replica(stack: RunningStack) -> str:
    """Kills a replica while callers that never retry call without pause."""
    ending, failures, times_s = threading.Event(), [], []

    def call(caller: trivium.Client) -> None:
        while not ending.is_set():
            begun_s = time.monotonic()
            try:
                caller.text.generate("Once upon a time", model=GENERATOR, max_output_tokens=12)
                times_s.append(time.monotonic() - begun_s)
            except trivium.TriviumError as error:
                failures.append(str(error))

    with client(stack, retry=trivium.RetryPolicy(max_attempts=1)) as caller:
        threads = [threading.Thread(target=call, args=(caller,)) for _ in range(CALLERS)]
        for thread in threads:
            thread.start()
        try:
            exposed = _kill_under_load(stack)
            before = len(times_s)
            stack.wait_for("calls after the kill", lambda: len(times_s) + len(failures) > before + 20)
        finally:
            ending.set()
            for thread in threads:
                thread.join()
    print(f"{len(times_s)} calls answered, {len(failures)} failed, slowest {max(times_s):.2f} s", flush=True)
    assert not failures, f"{len(failures)} of {len(times_s) + len(failures)} calls failed: {failures[0]}"
    stack.wait_until_serving()
    return (
        f"killed with {exposed} calls under way on it: none of {len(times_s)} calls failed, and none was retried by "
        "its caller; the replica is back"
    )


def _kill_under_load(stack: RunningStack) -> int:
    """Kills the busiest replica; returns how many calls were under way on it."""
    admin = Admin(stack.text("admin"))
    active: dict[int, int] = {}

    def is_busy() -> bool:
        hosts = admin.hosts()
        active.update({int(str(one["number"])): hosts[str(one["address"])].active_calls for one in stack.replicas})
        return max(active.values()) >= CALLERS // 3

    stack.wait_for("calls under way", is_busy)
    victim = max(active, key=lambda number: active[number])
    stack.signal_replica(victim, signal.SIGKILL)
    return active[victim]


if __name__ == "__main__":
    sys.exit(main())
