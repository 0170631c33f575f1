"""HTTP as the sources share it: a client with pip's or npm's settings, and pages of bounded size."""

import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Protocol

import httpx

from trivium_models.errors import NetworkError, SourceError

# The largest pages of real projects have a few megabytes.
_MAX_PAGE_LEN = 64 << 20
_TIMEOUT = httpx.Timeout(30.0, connect=15.0)


class HttpSettings(Protocol):
    """What a package manager is set up with for its index."""

    @property
    def certificates(self) -> Path | None:
        """A file of the authorities to trust; None: those that are trusted by default."""
        ...

    @property
    def proxy(self) -> str | None:
        """The proxy's address; None: what the environment says."""
        ...

    def auth(self) -> httpx.Auth | None:
        """How to prove who asks, to the index's own host and to no other."""
        ...


def open_client(settings: HttpSettings) -> httpx.Client:
    """An HTTP client with those certificates, proxy and credentials; the caller closes it. Raises NetworkError."""
    if settings.certificates is None:
        verify: ssl.SSLContext | bool = True
    else:
        try:
            verify = ssl.create_default_context(cafile=str(settings.certificates))
        except (OSError, ssl.SSLError) as error:
            raise NetworkError(f"certificates {settings.certificates} cannot be read: {error}") from error
    try:
        return httpx.Client(
            verify=verify, proxy=settings.proxy, auth=settings.auth(), timeout=_TIMEOUT, follow_redirects=True
        )
    except (ValueError, TypeError, ImportError, OSError, httpx.InvalidURL) as error:
        # `from None`: the cause may repeat the proxy's address with its password.
        raise NetworkError(
            f"the proxy or certificate settings cannot be used ({type(error).__name__}); "
            "check PIP_PROXY, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and npm's proxy settings"
        ) from None


def get_page(client: httpx.Client, page: httpx.URL, *, accept: str, index: str) -> httpx.Response:
    """The answer with its whole body, whatever its status. index: what to call it in errors.

    Raises NetworkError when there is no answer, SourceError when it is longer than any page.
    """
    try:
        with client.stream("GET", page, headers={"Accept": accept}) as answer:
            body = bytearray()
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > _MAX_PAGE_LEN:
                    raise SourceError(f"{index} at {page.host} sends a page of more than {_MAX_PAGE_LEN >> 20} MiB")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(page, error) from error
    kept = {"Content-Type": answer.headers.get("content-type", "")}
    return httpx.Response(answer.status_code, headers=kept, content=bytes(body), request=answer.request)


def unreachable(url: httpx.URL, error: httpx.HTTPError | httpx.InvalidURL) -> NetworkError:
    """The error for a host that does not answer, with what to try; without the address, which may hold a password."""
    reason = str(error) or type(error).__name__
    return NetworkError(
        f"cannot fetch from {url.host}: {reason}; check the network, the proxy (HTTPS_PROXY) and the index "
        "(PIP_INDEX_URL, for npm packages npm's registry), then run the same command again: it resumes"
    )


class HostAuth(httpx.Auth):
    """Proves who asks to one host only."""

    def __init__(self, index: httpx.URL, inner: httpx.Auth) -> None:
        self._host = (index.scheme, index.netloc)
        self._inner = inner

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header for that host."""
        if (request.url.scheme, request.url.netloc) == self._host:
            yield from self._inner.auth_flow(request)
        else:
            yield request


class HeaderAuth(httpx.Auth):
    """Sends a fixed Authorization header."""

    def __init__(self, value: str) -> None:
        self._value = value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header."""
        request.headers["Authorization"] = self._value
        yield request
