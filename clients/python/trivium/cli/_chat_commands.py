"""What `/…` does in `trivium chat`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trivium import Client
from trivium.cli._chat_session import ChatSession
from trivium.models import Capability, Model

HELP = """\
/help           this list
/clear          forget the conversation
/system [TEXT]  show or set the instructions to the model
/model [NAME]   show the models, or change to one
/save FILE      write the conversation to a file
/quit           leave (also Ctrl-D)

Ctrl-C stops an answer. Esc, then Enter, starts a new line; pasted text keeps its lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCommands:
    """Runs a command line that starts with a slash; says what came of it."""

    session: ChatSession
    client: Client
    say: Callable[[str], None]

    def run(self, line: str) -> bool:
        """Runs one command. Returns False when the person wants to leave."""
        name, _, argument = line.partition(" ")
        argument = argument.strip()
        match name:
            case "/quit" | "/exit" | "/q":
                return False
            case "/help" | "/?":
                self.say(HELP)
            case "/clear":
                self.session.clear()
                self.say("forgotten")
            case "/system":
                self._system(argument)
            case "/model":
                self._model(argument)
            case "/save":
                self._save(argument)
            case _:
                self.say(f"there is no {name}; /help lists what there is")
        return True

    def _system(self, text: str) -> None:
        if text:
            self.session.set_system(text)
        self.say(f"system: {self.session.conversation.system_instruction or '(none)'}")

    def _model(self, name: str) -> None:
        models = self.client.models.list(Capability.GENERATE_TEXT)
        if not name:
            self.say("\n".join(self._model_line(model) for model in models))
        elif name in {model.name for model in models}:
            self.session.model = name
            self.say(f"model: {name}")
        else:
            self.say(f"the server has no text model {name!r}; /model lists those it has")

    def _model_line(self, model: Model) -> str:
        return f"{'*' if model.name == self.session.model else ' '} {model.name}  {model.state.lower()}"

    def _save(self, name: str) -> None:
        if not name:
            self.say("/save FILE")
            return
        path = Path(name).expanduser()
        try:
            with path.open("x", encoding="utf-8") as file:  # never over somebody's file
                file.write(self.session.as_markdown())
        except OSError as error:
            self.say(f"not saved: {path}: {error.strerror}")
        else:
            self.say(f"saved: {path}")
