"""Certificates for tests of encryption, made with the openssl command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_OPENSSL = [
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"),
    *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The files of a certificate for localhost, which is its own CA."""

    certificate: Path
    key: Path

    @property
    def roots(self) -> bytes:
        return self.certificate.read_bytes()

    def install(self, folder: Path) -> None:
        """Writes the pair where a server reads it, as a renewal does."""
        (folder / "key.pem").write_bytes(self.key.read_bytes())
        (folder / "cert.pem").write_bytes(self.certificate.read_bytes())


def self_signed(folder: Path, name: str, password: str = "") -> KeyPair:
    pair = KeyPair(folder / f"{name}.pem", folder / f"{name}_key.pem")
    lock = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    command = [*_OPENSSL, *lock, "-keyout", str(pair.key), "-out", str(pair.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return pair
