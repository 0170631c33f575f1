"""Finds a pinned file on a package index. Source: the simple repository API, PEP 503 (HTML) and PEP 691 (JSON)."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser

import httpx

from trivium_models.catalog import PackageSource
from trivium_models.errors import HashMismatchError, NetworkError, SourceError
from trivium_models.sources.http_client import get_page
from trivium_models.sources.pip_settings import PipSettings

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLink:
    """Where a file lies; sha256 is what the index says about it, or None when it says nothing."""

    url: httpx.URL
    sha256: str | None


def find_file(client: httpx.Client, settings: PipSettings, source: PackageSource) -> FileLink:
    """Asks the index for the pinned file.

    Raises NetworkError when the index cannot be reached, SourceError when it has no such file, and HashMismatchError
    when it announces other bytes than the catalogue pins.
    """
    if not settings.uses_index:
        raise SourceError(f"pip is set to use no index, and no folder of PIP_FIND_LINKS has {source.file}")
    project = re.sub(r"[-_.]+", "-", source.package).lower()
    page = settings.index_url.copy_with(path=settings.index_url.path.rstrip("/") + f"/{project}/")
    answer = get_page(client, page, accept=_ACCEPT, index="the package index")
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise SourceError(f"the package index at {page.host} has no package {source.package}")
    if answer.status_code != httpx.codes.OK:
        raise NetworkError(f"the package index at {page.host} answered with HTTP status {answer.status_code}")
    links = _links_of(answer)
    link = links.get(source.file)
    if link is None:
        raise SourceError(f"the package index at {page.host} has {source.package}, but not the file {source.file}")
    if link.sha256 is not None and link.sha256.lower() != source.sha256:
        raise HashMismatchError(
            f"the package index announces other bytes for {source.file} than the catalogue pins; not fetched"
        )
    return link


def _links_of(answer: httpx.Response) -> dict[str, FileLink]:
    if "json" in answer.headers.get("content-type", ""):
        return _json_links(answer)
    parser = _AnchorParser(answer.url)
    try:
        parser.feed(answer.text)
    except (ValueError, AssertionError, httpx.InvalidURL) as error:
        raise SourceError(f"the package index at {answer.url.host} answered with HTML that is not PEP 503") from error
    return parser.links


def _json_links(answer: httpx.Response) -> dict[str, FileLink]:
    try:
        page = answer.json()
        files = page["files"]
        return {
            item["filename"]: FileLink(url=answer.url.join(item["url"]), sha256=item.get("hashes", {}).get("sha256"))
            for item in files
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, httpx.InvalidURL) as error:
        raise SourceError(f"the package index at {answer.url.host} answered with JSON that is not PEP 691") from error


class _AnchorParser(HTMLParser):
    def __init__(self, base: httpx.URL) -> None:
        super().__init__()
        self.links: dict[str, FileLink] = {}
        self._base = base

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href")
        if tag != "a" or not href:
            return
        url = self._base.join(href)
        kind, _, value = url.fragment.partition("=")
        name = url.path.rsplit("/", 1)[-1]
        self.links[name] = FileLink(url=url.copy_with(fragment=None), sha256=value if kind == "sha256" else None)
