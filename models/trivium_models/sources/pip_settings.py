"""The package index, certificates and proxy that pip is set up with, so that one configuration serves both."""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import url2pathname

import httpx

from trivium_models.errors import NetworkError
from trivium_models.sources.http_client import HostAuth

_CERTIFICATE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_TRUE = frozenset({"1", "y", "yes", "t", "true", "on"})
# pip knows its default index; asking it keeps that address out of this program.
_ASK_DEFAULT_INDEX = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipSettings:
    """What pip would use. index_url carries no credentials; `credentials` (user, password) belong to its host alone."""

    index_url: httpx.URL
    credentials: tuple[str, str] | None
    certificates: Path | None
    proxy: str | None
    find_links: tuple[Path, ...]
    uses_index: bool = True

    def auth(self) -> httpx.Auth | None:
        """Basic authentication for the index's own host; None without credentials."""
        return HostAuth(self.index_url, httpx.BasicAuth(*self.credentials)) if self.credentials else None

    def __repr__(self) -> str:
        # The generated one would print the password.
        return f"PipSettings(index_url={self.index_url.host!r})"


def read_pip_settings() -> PipSettings:
    """Reads pip's environment variables, then its configuration files, then its default.

    find_links has the folders of this machine only; uses_index is False where pip is told to do without an index.
    Raises NetworkError when pip cannot be asked, or when nothing names an index, which happens only without pip.
    """
    config = _read_config()
    index = os.environ.get("PIP_INDEX_URL") or config.get("index-url") or _python(["-c", _ASK_DEFAULT_INDEX])
    if not index:
        raise NetworkError("no package index is known: pip is not installed; set PIP_INDEX_URL")
    try:
        url = httpx.URL(index)
    except httpx.InvalidURL as error:
        # `from None`: the cause repeats the address, and the address may hold a password.
        raise NetworkError(
            f"the package index address is not a URL ({type(error).__name__}); check PIP_INDEX_URL"
        ) from None
    credentials = (url.username, url.password) if url.userinfo else None
    certificates = next((value for name in _CERTIFICATE_VARIABLES if (value := os.environ.get(name))), None)
    certificates = certificates or config.get("cert")
    return PipSettings(
        index_url=url.copy_with(userinfo=b""),
        credentials=credentials,
        certificates=Path(certificates) if certificates else None,
        proxy=os.environ.get("PIP_PROXY") or config.get("proxy") or None,
        find_links=_folders((os.environ.get("PIP_FIND_LINKS") or config.get("find-links", "")).split()),
        uses_index=(os.environ.get("PIP_NO_INDEX") or config.get("no-index", "")).lower() not in _TRUE,
    )


def _folders(words: list[str]) -> tuple[Path, ...]:
    paths = [Path(url2pathname(word.removeprefix("file://")) if word.startswith("file://") else word) for word in words]
    return tuple(path for path in paths if path.is_dir())


def _read_config() -> Mapping[str, str]:
    """The keys of pip's [global] configuration, of all its files; empty without pip."""
    found = {}
    for line in _python(["-m", "pip", "config", "list"]).splitlines():
        key, _, shown = line.partition("=")
        if key.startswith("global."):
            # pip prints values as Python literals.
            found[key.removeprefix("global.")] = str(ast.literal_eval(shown))
    return found


def _python(arguments: list[str]) -> str:
    """Standard output of this interpreter run with those arguments; empty when it fails."""
    try:
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        # Going on without would ask another index than the one that is configured.
        raise NetworkError(
            f"pip cannot be asked for its settings ({type(error).__name__}); set PIP_INDEX_URL"
        ) from error
    return done.stdout.strip() if done.returncode == 0 else ""
