"""The registry, certificates, proxy and credentials that npm is set up with, so that one configuration serves both.

npm itself is asked, and nothing is written here of any registry. Where npm is not installed, its environment variables
and the user's .npmrc are read.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from trivium_models.errors import NetworkError
from trivium_models.sources.http_client import HeaderAuth, HostAuth

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NpmSettings:
    """What npm would use for a package. registry_url carries no credentials; `authorization` is for its host alone."""

    registry_url: httpx.URL
    authorization: str | None
    certificates: Path | None
    proxy: str | None

    def auth(self) -> httpx.Auth | None:
        """The header for the registry's own host; None without credentials."""
        return HostAuth(self.registry_url, HeaderAuth(self.authorization)) if self.authorization else None

    def __repr__(self) -> str:
        # The generated one would print the token.
        return f"NpmSettings(registry_url={self.registry_url.host!r})"


def read_npm_settings(package: str) -> NpmSettings:
    """Reads what npm uses for that package: the registry of its scope, or the one for all.

    Raises NetworkError when npm cannot be asked, or when nothing names a registry, which happens only without npm.
    """
    config = _ask_npm()
    npmrc = _read_npmrc(Path(config.get("userconfig") or os.environ.get("NPM_CONFIG_USERCONFIG") or "~/.npmrc"))
    known = {**npmrc, **_environment(), **config}
    scope = package.partition("/")[0]
    registry = (known.get(f"{scope}:registry") if scope.startswith("@") else None) or known.get("registry")
    if not registry:
        raise NetworkError("no npm registry is known: npm is not installed; set NPM_CONFIG_REGISTRY to its address")
    try:
        url = httpx.URL(registry)
    except httpx.InvalidURL as error:
        # `from None`: the cause repeats the address, and the address may hold a password.
        raise NetworkError(f"the npm registry's address is not a URL ({type(error).__name__})") from None
    certificates = known.get("cafile") or os.environ.get("NODE_EXTRA_CA_CERTS") or os.environ.get("SSL_CERT_FILE")
    return NpmSettings(
        registry_url=url.copy_with(userinfo=b""),
        authorization=_authorization(npmrc, url),
        certificates=Path(certificates) if certificates else None,
        proxy=known.get("https-proxy") or known.get("proxy") or None,
    )


def _ask_npm() -> Mapping[str, str]:
    """The values of npm's configuration that are texts, without secrets, which it does not tell; empty without npm."""
    npm = shutil.which("npm")
    if npm is None:
        return {}
    try:
        # In the home folder, because a project's settings are for the project's packages.
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [npm, "config", "list", "--json"], capture_output=True, text=True, timeout=60, check=True, cwd=Path.home()
        )
        config = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        # Going on without would ask another registry than the one that is configured.
        raise NetworkError(f"npm cannot be asked for its settings ({type(error).__name__})") from error
    if not isinstance(config, dict):
        raise NetworkError("npm cannot be asked for its settings: it answers with something else")
    return {key: value for key, value in config.items() if isinstance(value, str)}


def _environment() -> Mapping[str, str]:
    """npm's settings in environment variables, such as NPM_CONFIG_REGISTRY; npm takes any case."""
    prefix = "npm_config_"
    named = {name.lower(): value for name, value in os.environ.items() if value}
    return {
        name.removeprefix(prefix).replace("_", "-"): value for name, value in named.items() if name.startswith(prefix)
    }


def _read_npmrc(path: Path) -> Mapping[str, str]:
    """The lines `key = value` of an .npmrc, with ${VARIABLE} filled in; empty when there is none."""
    try:
        lines = path.expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, RuntimeError):
        return {}
    found = {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals and not key.lstrip().startswith(("#", ";")):
            plain = value.strip().strip("\"'")
            found[key.strip()] = _VARIABLE.sub(lambda match: os.environ.get(match[1], match[0]), plain)
    return found


def _authorization(npmrc: Mapping[str, str], registry: httpx.URL) -> str | None:
    """The header for the registry: npm keeps secrets by address, `//host/path/:_authToken` or `:_auth`."""
    address = f"//{registry.netloc.decode()}{registry.path.rstrip('/')}/"
    for secret, scheme in (("_authToken", "Bearer"), ("_auth", "Basic")):
        for key in sorted(npmrc, key=len, reverse=True):
            place, _, name = key.rpartition(":")
            if name == secret and place.startswith("//") and address.startswith(place.rstrip("/") + "/"):
                return f"{scheme} {npmrc[key]}"
    return None
