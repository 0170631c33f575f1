"""`trivium chat`: a conversation in the terminal."""

import sys

import click

from trivium import Client
from trivium._calls import choose_model
from trivium.cli import _options
from trivium.cli._chat_commands import ChatCommands
from trivium.cli._chat_screen import PipedScreen, Screen, TerminalScreen
from trivium.cli._chat_session import ChatSession
from trivium.cli._errors import describe
from trivium.cli._generate import speed_line
from trivium.cli._reporting import one_line
from trivium.errors import TriviumError
from trivium.models import Capability
from trivium.sampling import SamplingOptions

EPILOG = """\b
In the chat:
  /help lists the commands; Ctrl-C stops an answer; Ctrl-D leaves.

\b
Examples:
  trivium chat
  trivium chat --system "Answer in one sentence." --temperature 0.3
  printf 'What is the water cycle?\\nSay it shorter.\\n' | trivium chat
"""


@click.command(epilog=EPILOG)
@_options.model_option
@_options.system_option
@_options.sampling_options
@click.option("--plain", is_flag=True, help="Print answers as they come, without rendering Markdown.")
@click.option("--history/--no-history", default=True, help="Keep what is typed for the next time.  [default: keep]")
@_options.connection_options
def chat(
    connection: _options.Connection,
    model: str | None,
    system: str,
    sampling: SamplingOptions,
    plain: bool,
    history: bool,
) -> int:
    """Talk with a model.

    Answers appear while they are made, followed by tokens and speed. Without a terminal, each line of standard input
    is a message, answers go to standard output, and everything else to standard error.
    """
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    screen: Screen = TerminalScreen(plain=plain, keep_history=history) if is_terminal else PipedScreen()
    with connection.client() as client:
        capability = Capability.GENERATE_TEXT
        name = client.models.get(model).name if model else choose_model(client.models.list(capability), capability)
        session = ChatSession(client, name, system, sampling, connection.timeout_s, screen.note)
        if is_terminal:
            screen.note(f"{name} at {connection.target} · /help lists commands, Ctrl-D leaves")
        return _Chat(session, client, screen, is_terminal, connection.target).run()


class _Chat:
    """Reads, asks, shows; until the input ends."""

    def __init__(self, session: ChatSession, client: Client, screen: Screen, is_terminal: bool, target: str) -> None:
        self._session = session
        self._screen = screen
        self._is_terminal = is_terminal
        self._target = target
        self._commands = ChatCommands(session=session, client=client, say=screen.note)

    def run(self) -> int:
        """Returns the exit status: 1 where a piped chat failed."""
        while True:
            try:
                line = self._screen.read().strip()
            except EOFError:
                return 0
            except KeyboardInterrupt:
                if not self._is_terminal:
                    raise
                self._screen.note("Ctrl-D leaves")
                continue
            try:
                if line and not self._turn(line):
                    return 0
            except TriviumError as error:
                self._screen.note(f"trivium: {one_line(describe(error, self._target))}")
                if not self._is_terminal:
                    return 1

    def _turn(self, line: str) -> bool:
        """Handles one line. Returns False when the person wants to leave."""
        if line.startswith("/") and "\n" not in line:
            return self._commands.run(line)
        try:
            self._screen.show(self._session.ask(line))
        except KeyboardInterrupt:
            if not self._is_terminal:
                raise
            self._screen.note("stopped")
        if self._session.last_result is not None:
            self._screen.note(speed_line(self._session.last_result))
            for warning in self._session.last_result.info.warnings:
                self._screen.note(f"warning: {warning.message}")
        return True
