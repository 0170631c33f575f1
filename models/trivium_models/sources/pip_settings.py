"""The package index, certificates and proxy that pip is set up with, so that one configuration serves both."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from trivium_models.errors import NetworkError

_CERTIFICATE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
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

    def __repr__(self) -> str:
        # The generated one would print the password.
        return f"PipSettings(index_url={self.index_url.host!r})"


def read_pip_settings() -> PipSettings:
    """Reads pip's environment variables, then its configuration files, then its default.

    Raises NetworkError when none of them names an index, which happens only without pip.
    """
    index = os.environ.get("PIP_INDEX_URL") or _config("index-url") or _python(["-c", _ASK_DEFAULT_INDEX])
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
    certificates = certificates or _config("cert")
    return PipSettings(
        index_url=url.copy_with(userinfo=b""),
        credentials=credentials,
        certificates=Path(certificates) if certificates else None,
        proxy=os.environ.get("PIP_PROXY") or _config("proxy") or None,
        find_links=tuple(
            path for word in os.environ.get("PIP_FIND_LINKS", "").split() if (path := Path(word)).is_dir()
        ),
    )


def _config(key: str) -> str:
    return _python(["-m", "pip", "config", "get", f"global.{key}"])


def _python(arguments: list[str]) -> str:
    """Standard output of this interpreter run with those arguments; empty when it fails."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - fixed arguments
    return done.stdout.strip() if done.returncode == 0 else ""
