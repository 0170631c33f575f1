"""Does one case after another with a runner, each with a server of its own, and says what is wrong."""

import base64
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.conformance.answer import Answer, BadAnswer, read_answer
from tests.conformance.case import Case, ServerKind, parse_case
from tests.conformance.judgement import answer_complaints, server_complaints
from tests.conformance.real_server import real_complaints
from tests.conformance.runner import REPOSITORY, Runner, RunnerFailed
from tests.conformance.scripted_server import ScriptedServer, server_credentials

__all__ = ["Suite", "Verdict"]

CASE_LIMIT_S = 30.0
SETTLING_S = 3.0
_WARM_UP = parse_case(
    {
        "name": "warm_up",
        "about": "A stream opens and ends.",
        "script": [{"replies": [{"started": {}}, {"delta": {"text": "Good"}}, {"completed": {}}]}],
        "call": {
            "method": "trivium.v1.TextGenerationService/StreamGenerate",
            "requests": [{"input": {"model": "m", "text": "Once"}}],
        },
        "expect": {"ok": True},
    },
    "suite",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """complaints: what is not as expected, a line each; none where the case passed. answer: None where none came."""

    case: Case
    complaints: tuple[str, ...]
    answer: Answer | None
    elapsed_s: float

    @property
    def passed(self) -> bool:
        return not self.complaints


class Suite:
    """The cases of one language. real_target: where a real server listens, None where no real case is asked for."""

    def __init__(
        self,
        language: str,
        command: list[str],
        real_target: str | None = None,
        *,
        root: Path = REPOSITORY,
        case_limit_s: float = CASE_LIMIT_S,
        settling_s: float = SETTLING_S,
    ) -> None:
        """root: where the command is run. case_limit_s: how long a runner may take.

        settling_s: how long until the server has seen how a call ended.
        """
        self.language = language
        self._runner = Runner(command, root)
        self._real_target = real_target
        self._case_limit_s = case_limit_s
        self._settling_s = settling_s

    def close(self) -> None:
        """Ends the runner."""
        self._runner.close()

    def check(self, case: Case) -> Verdict:
        """Does a case."""
        began = time.monotonic()
        answer = None
        try:
            with self._server(case) as server:
                answer = self._ask(case, server.target)
                complaints = [*answer_complaints(case, answer), *server.complaints(answer)]
        except (RunnerFailed, BadAnswer) as error:
            complaints = [str(error)]
        return Verdict(case=case, complaints=tuple(complaints), answer=answer, elapsed_s=time.monotonic() - began)

    @contextmanager
    def _server(self, case: Case) -> Iterator["_Server"]:
        """The server of a case, for as long as it takes."""
        if case.server is ServerKind.SCRIPTED:
            credentials = server_credentials(case.server_tls) if case.server_tls else None
            scripted = ScriptedServer(case.scripts, credentials)
            try:
                yield _Server(scripted.target, lambda answer: self._settled(case, answer, scripted))
            finally:
                scripted.close()
        elif case.server is ServerKind.REAL:
            target = self._real_target
            assert target is not None, "a real case needs the real server"
            yield _Server(target, lambda answer: list(real_complaints(case, answer, target)))
        else:
            with _silent_port() as port:
                yield _Server(f"127.0.0.1:{port}", lambda _answer: [])

    def _settled(self, case: Case, answer: Answer, server: ScriptedServer) -> list[str]:
        """What the server complains about once it had the time to see how its calls ended."""
        look = partial(server_complaints, case, answer, server.received, language=self.language)
        end = time.monotonic() + self._settling_s
        while (found := list(look(num_connections=server.num_connections))) and time.monotonic() < end:
            time.sleep(0.05)
        return found

    def _ask(self, case: Case, target: str) -> Answer:
        if not self._runner.is_running:
            self._warm_up()
        return read_answer(self._said(case, target), case.name, case.rpc)

    def _warm_up(self) -> None:
        """Has a new program make a call that does not count: loading a language's libraries may take seconds."""
        server = ScriptedServer(_WARM_UP.scripts)
        try:
            self._said(_WARM_UP, server.target)
        finally:
            server.close()

    def _said(self, case: Case, target: str) -> dict[str, object]:
        request = {
            "case": case.name,
            "client": {"target": target, **case.client, **_own_target(case, target)},
            "call": {
                "method": case.rpc.name,
                "requests": [base64.b64encode(message.SerializeToString()).decode() for message in case.requests],
                **case.call_options,
            },
            "act": dict(case.act),
        }
        return self._runner.ask(request, self._case_limit_s)


def _own_target(case: Case, target: str) -> dict[str, str]:
    """A case may spell the target itself, with `{port}` where the server's goes."""
    given = case.client.get("target")
    return {"target": given.replace("{port}", target.rpartition(":")[2])} if isinstance(given, str) else {}


@dataclass(frozen=True, slots=True)
class _Server:
    """Where the server of a case listens, and what it says against what was answered."""

    target: str
    complaints: Callable[[Answer], list[str]]


@contextmanager
def _silent_port() -> Iterator[int]:
    """A port where nothing listens, and nothing else begins to."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
