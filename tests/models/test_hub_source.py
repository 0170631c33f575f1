"""Hugging Face repositories, through huggingface_hub itself: from its cache offline, and from a hub on loopback."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.models.speech_folders import write_folder
from tests.models.tiny_bert import write_tiny_bert
from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.encoder_export import export_bert
from trivium_models.errors import UsageError
from trivium_models.genai_folder import export_gguf
from trivium_models.sources.hub import HubSource

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("exported")
    folder = root / "model"
    folder.mkdir()
    export_gguf(write_tiny_gguf(root / "tiny.gguf"), folder)
    (folder / "README.md").write_text("A card.")
    (folder / "run.py").write_text("raise SystemExit('code of a repository must never be fetched')")
    return folder


def pull(
    tmp_path: Path, spec: str, *, file_limit: int | None = None, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Pulls in a process of its own, because huggingface_hub reads its settings when it is imported.

    file_limit: the largest file that the process may write, in bytes; writing on gives the error of a full disk.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    variables |= {"HF_HOME": str(tmp_path / "hf"), "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    arguments = [sys.executable, "-m", "trivium_models", "--store", str(tmp_path / "store"), "pull", spec]
    if file_limit is not None:
        limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2);"
        arguments = [sys.executable, "-c", limit + "os.execv(sys.argv[2], sys.argv[2:])", str(file_limit), *arguments]
    return subprocess.run(arguments, env=variables | environment, capture_output=True, text=True, check=False)


def write_cache(tmp_path: Path, exported: Path, inside: str = "") -> Path:
    """The repository acme/tiny in the hub's cache layout: snapshots are links to blobs."""
    repository = tmp_path / "hf" / "hub" / "models--acme--tiny"
    snapshot = repository / "snapshots" / COMMIT / inside
    (repository / "blobs").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot.mkdir(parents=True)
    for path in exported.iterdir():
        blob = repository / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copyfile(path, blob)
        (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


@pytest.mark.parametrize("inside", ["", "onnx/cpu"])
def test_cached_repository_is_installed_offline(tmp_path: Path, exported: Path, inside: str) -> None:
    write_cache(tmp_path, exported, inside)
    spec = "hf:acme/tiny" + (f"/{inside}" if inside else "")
    done = pull(tmp_path, spec, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    name = inside.rsplit("/", 1)[-1] or "tiny"
    folder = tmp_path / "store" / name
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert (folder / "model.onnx.data").read_bytes() == (exported / "model.onnx.data").read_bytes()
    assert COMMIT in (folder / "model.toml").read_text()


def test_link_out_of_the_cache_is_refused(tmp_path: Path, exported: Path) -> None:
    snapshot = write_cache(tmp_path, exported)
    (snapshot / "notes.txt").symlink_to("/etc/hostname")
    done = pull(tmp_path, "hf:acme/tiny", HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "notes.txt is a link that leads out" in done.stderr
    assert not (tmp_path / "store" / "tiny").exists()


def test_repository_that_is_not_cached_fails_clearly_offline(tmp_path: Path) -> None:
    done = pull(tmp_path, "hf:acme/tiny", HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "hf: acme/tiny cannot be fetched" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def hub(exported: Path) -> Iterator[str]:
    """A hub with the one repository acme/tiny, a decoder; yields its address."""
    with serve_hub(exported) as address:
        yield address


@contextmanager
def serve_hub(folder: Path) -> Iterator[str]:
    """A hub with the one repository acme/tiny, which holds the folder's files; yields its address."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.split("?")[0]
            # /acme/tiny/resolve/<revision>/<name>
            name = path.split("/", 5)[-1]
            if path.startswith("/api/models/acme/tiny/tree/"):
                entries = [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in files.items()
                ]
                self._send(json.dumps(entries).encode(), with_body=with_body)
            elif path.startswith("/api/models/acme/tiny"):
                siblings = [{"rfilename": name} for name in files]
                info = {"id": "acme/tiny", "sha": COMMIT, "siblings": siblings}
                self._send(json.dumps(info).encode(), with_body=with_body)
            elif path.startswith("/acme/tiny/resolve/") and name in files:
                self._send(files[name], with_body=with_body)
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _send(self, body: bytes, *, with_body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_repository_is_fetched_from_a_hub(tmp_path: Path, hub: str, exported: Path) -> None:
    done = pull(tmp_path, "hf:acme/tiny@main", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "store" / "tiny"
    assert (folder / "model.onnx.data").read_bytes() == (exported / "model.onnx.data").read_bytes()
    assert not (folder / "run.py").exists()
    cached = {path.name for path in (tmp_path / "hf").rglob("*")}
    assert "run.py" not in cached


def test_full_disk_of_the_cache_is_no_network_error(tmp_path: Path, hub: str) -> None:
    done = pull(tmp_path, "hf:acme/tiny", file_limit=20_000, HF_ENDPOINT=hub, HF_HUB_DISABLE_XET="1")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert line.startswith(f"Error: the disk of {tmp_path / 'hf' / 'hub'} is full")
    assert "HF_HOME" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store" / "tiny").exists()


def test_cache_that_cannot_be_written_is_named(tmp_path: Path, hub: str) -> None:
    (tmp_path / "hf").write_text("a file where a folder should be")
    done = pull(tmp_path, "hf:acme/tiny", HF_ENDPOINT=hub)
    assert done.returncode == 1
    assert "the Hugging Face cache cannot be used: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "nonsense", "http://"])
def test_hub_out_of_reach_fails_in_one_line(tmp_path: Path, endpoint: str) -> None:
    done = pull(tmp_path, "hf:acme/tiny", HF_ENDPOINT=endpoint)
    assert done.returncode == 1
    assert "Error: hf: acme/tiny cannot be fetched" in done.stderr
    assert "Traceback" not in done.stderr


def test_encoder_is_fetched_in_one_precision(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    export_bert(write_tiny_bert(theirs), theirs, "fp32")
    (theirs / "onnx").mkdir()
    graph = (theirs / "model.onnx").read_bytes()
    (theirs / "model.onnx").rename(theirs / "onnx" / "model.onnx")
    (theirs / "onnx" / "model_quantized.onnx").write_bytes(graph)
    with serve_hub(theirs) as hub:
        done = pull(tmp_path, "hf:acme/tiny", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    installed = tmp_path / "store" / "tiny"
    assert (installed / "onnx" / "model.onnx").read_bytes() == graph
    assert 'task = "embed_text"' in (installed / "model.toml").read_text()
    cached = {path.name for path in (tmp_path / "hf").rglob("*")}
    assert "model.onnx" in cached
    assert not {"model_quantized.onnx", "model.safetensors"} & cached


def test_recogniser_is_fetched_in_one_precision(tmp_path: Path) -> None:
    theirs = write_folder(tmp_path / "theirs", "moonshine", place="onnx/{}.onnx")
    for name in ("encoder_model", "decoder_model_merged"):
        graph = theirs / "onnx" / f"{name}.onnx"
        graph.with_name(f"{name}_quantized.onnx").write_bytes(graph.read_bytes())
    with serve_hub(theirs) as hub:
        done = pull(tmp_path, "hf:acme/tiny", HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    installed = tmp_path / "store" / "tiny"
    assert 'task = "recognize_speech"' in (installed / "model.toml").read_text()
    graphs = {path.name for path in (tmp_path / "hf").rglob("*.onnx")}
    assert graphs == {"encoder_model.onnx", "decoder_model_merged.onnx"}


def test_unknown_repository_fails_clearly(tmp_path: Path, hub: str) -> None:
    done = pull(tmp_path, "hf:acme/huge", HF_ENDPOINT=hub)
    assert done.returncode == 1
    assert "hf: acme/huge" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store" / "huge").exists()


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        ("hf:acme/tiny", ("acme/tiny", "", None)),
        ("hf:acme/tiny@v1.0", ("acme/tiny", "", "v1.0")),
        ("hf:acme/tiny/onnx/cpu", ("acme/tiny", "onnx/cpu", None)),
        ("hf:acme/tiny/onnx@refs/pr/1", ("acme/tiny", "onnx", "refs/pr/1")),
    ],
)
def test_spec_is_read(spec: str, want: tuple[str, str, str | None]) -> None:
    source = HubSource.parse(spec)
    assert (source.repository, source.folder, source.revision) == want


@pytest.mark.parametrize("spec", ["hf:", "hf:acme", "hf:acme/", "hf:/tiny", "hf:acme/tiny/../../x", "hf:acme/tiny@"])
def test_spec_that_names_no_repository_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        HubSource.parse(spec)
