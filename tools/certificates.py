"""Certificates for servers on this machine, made with openssl by each process: no file has what expires or is secret.

`server` is the server's, for 127.0.0.1 and trivium.test; `client` a client's; `root` signed both. `stranger` is a root
that signed nothing. Each has its key under `…_key`.
"""

import functools
import subprocess
import tempfile
from pathlib import Path

__all__ = ["pem"]

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
_SERVER_NAMES = "subjectAltName=IP:127.0.0.1,DNS:trivium.test"


def pem(name: str) -> str:
    """Returns a certificate or key. KeyError for a name that there is not."""
    return _made()[name]


@functools.cache
def _made() -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="trivium-certificates-") as name:
        folder = Path(name)
        for root in ("root", "stranger"):
            _openssl(folder, root, "-x509", "-days", "2", "-subj", f"/CN={root} of Trivium's tests")
        issued = ["-CA", "root.pem", "-CAkey", "root_key.pem", "-x509", "-days", "2"]
        usage = ["-addext", "basicConstraints=critical,CA:FALSE"]
        _openssl(folder, "server", *issued, *usage, "-subj", "/CN=trivium.test", "-addext", _SERVER_NAMES)
        _openssl(folder, "client", *issued, *usage, "-subj", "/CN=a client of Trivium's tests")
        return {path.stem: path.read_text() for path in folder.glob("*.pem")}


def _openssl(folder: Path, name: str, *arguments: str) -> None:
    files = ["-keyout", f"{name}_key.pem", "-out", f"{name}.pem"]
    subprocess.run(["openssl", "req", *_NEW_KEY, *arguments, *files], cwd=folder, check=True, capture_output=True)
