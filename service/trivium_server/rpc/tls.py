"""The server's certificates: read at start, and anew whenever their files change, as renewed ones do.

New connections get the new certificate; those that there are go on with the one they began with. New files that cannot
be used change nothing but the log, once.
"""

import logging
import ssl
import threading
from pathlib import Path

import grpc

from trivium_server.config import ServerConfig
from trivium_server.telemetry import log

_logger = logging.getLogger("trivium.server")

# Of each file: when it was written, how long it is, and which it is. None where there is none.
_Seen = tuple[tuple[int, int, int] | None, ...]


class CertificateError(Exception):
    """The files cannot be used; the text says why, and which."""


class Certificates:
    """The files of a server's settings. For any thread."""

    def __init__(self, config: ServerConfig) -> None:
        """Reads the files. Raises CertificateError."""
        assert config.tls_certificate, "checked when the settings were read"
        assert config.tls_private_key, "checked when the settings were read"
        self._certificate, self._key, self._client_ca = (
            config.tls_certificate,
            config.tls_private_key,
            config.tls_client_ca,
        )
        self._lock = threading.Lock()
        self._seen = self._look()
        self._first = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """Returns what a port is bound with, which follows the files from now on."""
        return grpc.dynamic_ssl_server_credentials(
            self._first,
            self._renewed,  # type: ignore[arg-type]  # the stubs forget that None means no change
            require_client_authentication=self._client_ca is not None,
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Returns the files anew where they have changed, else None. grpc calls it before each handshake."""
        with self._lock:
            seen = self._look()
            if seen == self._seen:
                return None
            self._seen = seen
            try:
                renewed = self._read()
            except CertificateError as error:
                log(_logger, logging.ERROR, "new certificates cannot be used, keeping the old ones", cause=str(error))
                return None
            # Written while they were read: they may be parts of two pairs, and the next connection looks again.
            if self._look() != seen:
                self._seen = ()
                return None
        log(_logger, logging.INFO, "certificates read anew", certificate=str(self._certificate))
        return renewed

    def _look(self) -> _Seen:
        files = (self._certificate, self._key, self._client_ca)
        return tuple(_seen(path) for path in files if path is not None)

    def _read(self) -> grpc.ServerCertificateConfiguration:
        # grpc tells what is wrong with them only in lines of its own, at the first handshake.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
            pair = (self._key.read_bytes(), self._certificate.read_bytes())
        except (OSError, ValueError) as error:
            raise CertificateError(
                f"server.tls_certificate {self._certificate} and server.tls_private_key {self._key} are no certificate "
                f"with its own, unencrypted key: {_why(error)}"
            ) from error
        client_ca = None
        try:
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
                client_ca = self._client_ca.read_bytes()
        except OSError as error:
            raise CertificateError(
                f"server.tls_client_ca {self._client_ca} has no certificates: {_why(error)}"
            ) from error
        return grpc.ssl_server_certificate_configuration([pair], client_ca)


def _seen(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _no_password() -> str:
    # Without it OpenSSL would ask for one on the terminal.
    raise ValueError("it has a password")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").lower().replace("_", " ")
    return (isinstance(error, OSError) and error.strerror) or str(error)
