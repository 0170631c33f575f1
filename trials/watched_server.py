"""`trivium serve` that notes when things happen inside it, on the clock of time.monotonic(), which all processes share.

    WATCH_FILE=FILE python -m trials.watched_server …     all options of trivium serve

Appends a line to the file whenever one of them is over; `read_notes` reads them. WATCH_WITHOUT in the environment takes
something away, for controls: `cancel` (an engine is not told that a caller left), `end` (no run is ended).
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from functools import wraps
from pathlib import Path
from typing import Any  # whatever the watched functions take

from trivium_server.architectures.answer import Candidate
from trivium_server.cli import serve
from trivium_server.decoding.decoder import Decoder
from trivium_server.decoding.engine import Engine
from trivium_server.decoding.kv_cache import KVCache
from trivium_server.decoding.scheduler import PrefillChunk, Scheduler
from trivium_server.decoding.sequence import DecodeRequest, SequenceEnd
from trivium_server.rpc.call import current_call
from trivium_server.runtime.session import Binding, RunToken, Session

FILE, WITHOUT = "WATCH_FILE", "WATCH_WITHOUT"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that happened. kind, and what `about` is:

    run: a graph ran; its RunToken. end: RunToken.end; the token. cancel: Engine.cancel; the request id. read: a piece
    of a prompt is to be read; the request id. over: a sequence ended, with the reason in `how`; the request id.
    freed: a KV slot was given back. decode: a decoding step; its sequences.
    """

    kind: str
    begun_s: float
    ended_s: float
    how: str
    about: str

    @property
    def took_s(self) -> float:
        return self.ended_s - self.begun_s


def read_notes(file: Path, *, since_s: float = 0.0) -> list[Note]:
    """Returns what was noted so far and began since then, in the order of the ends."""
    lines = file.read_text().splitlines()
    return [note for note in (Note(*json.loads(line)) for line in lines) if note.begun_s >= since_s]


class _Watch:
    """Replaces functions of the server by ones that note their calls."""

    def __init__(self, file: Path) -> None:
        # Lines that are appended whole need no lock.
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        # Whose a request, or the listener of its sequence, is. An id that is used again was submitted again.
        self._callers: dict[int, str] = {}
        self._governing = threading.local()

    def begin(self) -> None:
        self._watch_tokens()
        for owner in (Session, Binding):
            self._watch(owner, "run", "run", lambda *_: getattr(self._governing, "token", ""))
        self._watch(RunToken, "end", "end", lambda token: str(id(token)))
        self._watch(Engine, "submit", "submit", self._submitted)
        self._watch(Engine, "cancel", "cancel", lambda _, request: self._caller(request))
        self._watch(Candidate, "on_end", "over", lambda candidate, _: self._caller(candidate), _reason)
        self._watch(KVCache, "remove", "freed", lambda *_: "")
        self._watch(Decoder, "decode", "decode", lambda _, tokens: str(len(tokens)))
        self._watch_chunks()

    def _watch(
        self,
        owner: type,
        name: str,
        kind: str,
        about: Callable[..., str],
        how_called: Callable[..., str] = lambda *_: "done",
    ) -> None:
        function = getattr(owner, name)

        @wraps(function)
        def noting(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  whatever the function takes and returns
            begun_s = time.monotonic()
            how = how_called(*args)
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                how = type(error).__name__
                raise
            finally:
                self._note(Note(kind, begun_s, time.monotonic(), how, about(*args)))

        setattr(owner, name, noting)

    def _watch_tokens(self) -> None:
        governs = RunToken.governs

        @contextmanager
        def noting(token: RunToken) -> Iterator[None]:
            self._governing.token = str(id(token))
            try:
                with governs(token):
                    yield
            finally:
                self._governing.token = ""

        RunToken.governs = noting  # type: ignore[method-assign,assignment]  # watched

    def _watch_chunks(self) -> None:
        next_chunk = Scheduler.next_chunk

        def noting(scheduler: Scheduler) -> PrefillChunk | None:
            chunk = next_chunk(scheduler)
            if chunk is not None:
                now_s = time.monotonic()
                self._note(Note("read", now_s, now_s, "done", self._caller(chunk.request)))
            return chunk

        Scheduler.next_chunk = noting  # type: ignore[method-assign,assignment]  # watched

    def _submitted(self, _engine: Engine, request: DecodeRequest) -> str:
        caller = current_call().request_id
        for submitted in (request, *(sequence.listener for sequence in request.sequences)):
            self._callers[id(submitted)] = caller
        return caller

    def _caller(self, submitted: object) -> str:
        return self._callers.get(id(submitted), "")

    def _note(self, note: Note) -> None:
        os.write(self._file, (json.dumps(astuple(note)) + "\n").encode())


def _reason(_candidate: Candidate, end: SequenceEnd) -> str:
    return end.reason.name


def _take_away(what: str) -> None:
    owners: dict[str, type] = {"cancel": Engine, "end": RunToken}
    if what:
        setattr(owners[what], what, lambda *_: None)


if __name__ == "__main__":
    _take_away(os.environ.get(WITHOUT, ""))
    _Watch(Path(os.environ[FILE])).begin()
    serve(prog_name="python -m trials.watched_server")
