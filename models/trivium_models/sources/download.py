"""Downloads one file with a known hash: resumes after a cut, retries with growing pauses, verifies at the end."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from trivium_models.disk import full_disk_named
from trivium_models.errors import HashMismatchError, NetworkError
from trivium_models.manifest import hash_file
from trivium_models.progress import Progress
from trivium_models.sources.http_client import unreachable

_MAX_TRIES = 5
_FIRST_PAUSE_S = 0.5
_RETRIABLE = {408, 425, 429, 500, 502, 503, 504}


class Download:
    """One file on its way to `target`. Its bytes wait in `target` + ".part" until they are complete and verified.

    A download that is cut off, by an error or by a kill, leaves the .part file; the next one goes on from there when
    the server honours ranges, and starts over when it does not. `pause` waits between tries, in seconds.
    """

    def __init__(
        self,
        client: httpx.Client,
        target: Path,
        *,
        sha256: str,
        size_bytes: int,
        progress: Progress,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._sha256 = sha256
        self._size_bytes = size_bytes
        self._progress = progress
        self._pause = pause

    def run(self, url: httpx.URL, label: str) -> None:
        """Fetches the file; afterwards `target` holds exactly the pinned bytes.

        Raises NetworkError after several tries without progress, HashMismatchError when the bytes are others (nothing
        is kept then), and DiskSpaceError when the disk fills up.
        """
        self._progress.begin(label, self._size_bytes, "bytes")
        resumed = self._received() > 0
        with full_disk_named(self._target.parent):
            self._fetch(url)
            if hash_file(self._part) != self._sha256 and resumed:
                # The half that an earlier run left may be damaged, so one try from the start is fair.
                self._progress.note("the resumed download does not verify; fetching it again from the start")
                self._part.unlink()
                self._fetch(url)
        if (actual := hash_file(self._part)) != self._sha256:
            self._part.unlink()
            raise HashMismatchError(
                f"{label}: the bytes received have sha256 {actual}; the catalogue pins {self._sha256}"
            )
        self._part.replace(self._target)

    def _fetch(self, url: httpx.URL) -> None:
        tries, furthest = 0, self._received()
        while self._received() < self._size_bytes:
            try:
                self._stream(url)
                problem = NetworkError(f"{url.host} ended the transfer of {self._target.name} early")
            except httpx.TransportError as error:
                problem = unreachable(url, error)
            except (httpx.HTTPError, httpx.InvalidURL) as error:  # redirects without end, an encoding that lies
                raise unreachable(url, error) from error
            except _RetriableStatus as error:
                problem = NetworkError(f"{url.host} answered with HTTP status {error.status}; try again later")
            if self._received() >= self._size_bytes:
                return
            # Only new ground counts, or a server that starts over at every try would be asked for ever.
            tries = 1 if self._received() > furthest else tries + 1
            furthest = max(furthest, self._received())
            if tries >= _MAX_TRIES:
                raise problem
            self._progress.note(f"{problem}; trying again")
            self._pause(_FIRST_PAUSE_S * 2 ** (tries - 1))

    def _stream(self, url: httpx.URL) -> None:
        start = self._received()
        # "identity": a compressed transfer would make offsets meaningless.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._part.unlink()
                return
            if answer.status_code in _RETRIABLE:
                raise _RetriableStatus(answer.status_code)
            if answer.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
                raise NetworkError(f"{url.host} answered with HTTP status {answer.status_code} for {self._target.name}")
            resumes = answer.headers.get("content-range", "").startswith(f"bytes {start}-")
            append = answer.status_code == httpx.codes.PARTIAL_CONTENT and resumes
            self._receive(answer, append=append)

    def _receive(self, answer: httpx.Response, *, append: bool) -> None:
        with self._part.open("ab" if append else "wb") as file:
            received = file.tell()
            # As they arrive: pieces of a fixed size would lose what is buffered when the transfer breaks off.
            for piece in answer.iter_bytes():
                received += len(piece)
                if received > self._size_bytes:
                    self._part.unlink()
                    raise HashMismatchError(
                        f"{self._target.name} is longer than the {self._size_bytes} bytes of the catalogue"
                    )
                file.write(piece)
                self._progress.advance(received)

    def _received(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0


class _RetriableStatus(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
