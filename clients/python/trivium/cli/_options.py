"""Options that several commands share."""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from trivium import Client
from trivium._target import DEFAULT_TARGET, parse_target
from trivium.cli._errors import CallFailed, describe
from trivium.cli._reporting import read_stdin
from trivium.errors import TriviumError
from trivium.prompts import Conversation, Message, Prompt, TextPrompt
from trivium.sampling import SamplingOptions
from trivium.settings import DEFAULT_UNARY_TIMEOUT_S, TLS

_R = TypeVar("_R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a command reaches its server. timeout_s is None where the person set no limit."""

    target: str
    tls: TLS | bool | None
    token: str | None
    timeout_s: float | None

    def client(self, default_model: str | None = None) -> Client:
        """Returns a new client, which the caller closes. UsageError where the settings make no sense."""
        timeout_s = DEFAULT_UNARY_TIMEOUT_S if self.timeout_s is None else self.timeout_s
        try:
            return Client(self.target, tls=self.tls, token=self.token, default_model=default_model, timeout_s=timeout_s)
        except ValueError as error:
            raise click.UsageError(str(error)) from error


def _connection(
    target: str | None, tls: bool | None, ca_file: Path | None, token: str | None, timeout_s: float | None
) -> Connection:
    try:
        parsed = parse_target(DEFAULT_TARGET if target is None else target)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    wanted = parsed.is_encrypted if tls is None else tls
    if parsed.is_encrypted not in (None, wanted):
        raise click.UsageError(f"{target} and {'--tls' if tls else '--no-tls'} contradict each other")
    if ca_file and wanted is False:
        raise click.UsageError("--ca-file is for an encrypted connection, and this one is to be plain text")
    encryption = TLS(root_certificates=ca_file.read_bytes()) if ca_file else wanted
    return Connection(target=parsed.address, tls=encryption, token=token, timeout_s=timeout_s)


def connection_options(command: Callable[..., _R]) -> Callable[..., _R]:
    """Adds --target, --tls, --ca-file and --timeout; the command gets them as `connection`."""

    @click.option(
        "--target", metavar="HOST:PORT", envvar="TRIVIUM_TARGET", help=f"The server.  [default: {DEFAULT_TARGET}]"
    )
    @click.option("--tls/--no-tls", default=None, help="Encrypt the connection.  [default: except on this machine]")
    @click.option(
        "--ca-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Certificates (PEM) to trust instead of the usual ones; implies --tls.",
    )
    @click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Limit of a call.  [default: 60, and none for an answer that is streamed]",
    )
    @click.option("--token", envvar="TRIVIUM_TOKEN", hidden=True)  # from the environment: arguments show in `ps`
    @functools.wraps(command)
    def wrapped(
        *args: object,
        target: str | None,
        tls: bool | None,
        ca_file: Path | None,
        timeout: float | None,
        token: str | None,
        **kwargs: object,
    ) -> _R:
        connection = _connection(target, tls, ca_file, token, timeout)
        try:
            return command(*args, connection=connection, **kwargs)
        except TriviumError as error:
            raise CallFailed(describe(error, connection.target)) from error

    return wrapped


class UnicodeText(click.ParamType[str]):
    """Text. Arguments that are not UTF-8 reach Python as halves of surrogate pairs, which no message can carry."""

    name = "text"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            str(value).encode("utf-8")
        except UnicodeEncodeError:
            self.fail("it is not text in UTF-8", param, ctx)
        return str(value)


TEXT = UnicodeText()

model_option = click.option(
    "-m",
    "--model",
    metavar="NAME",
    type=TEXT,
    envvar="TRIVIUM_MODEL",
    help="The model.  [default: the only one that is ready]",
)
task_model_option = click.option(  # without $TRIVIUM_MODEL, which names a model that generates text
    "-m", "--model", metavar="NAME", type=TEXT, help="The model.  [default: the only one that is ready and can do it]"
)
system_option = click.option("-s", "--system", metavar="TEXT", type=TEXT, default="", help="Instructions to the model.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class TokenBias(click.ParamType[tuple[int, float]]):
    """ID=BIAS."""

    name = "id=bias"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, float]:
        token, _, bias = str(value).partition("=")
        try:
            return int(token), float(bias)
        except ValueError:
            self.fail(f"{value!r} is not a token id, '=', and a number, such as 42=-5", param, ctx)


_SAMPLING_OPTIONS = (
    click.option("-t", "--temperature", type=float, help="Sharpness of the choice, 0 to 2; 0 takes the likeliest."),
    click.option("--top-p", type=float, help="Choose among the likeliest that reach this probability, up to 1."),
    click.option("--top-k", type=int, help="Choose among this many of the likeliest; 0 is all."),
    click.option("--min-p", type=float, help="Choose among those at least this likely, relative to the likeliest."),
    click.option("--repetition-penalty", type=float, help="Weaken what prompt and answer have already, 0.1 to 10."),
    click.option("--frequency-penalty", type=float, help="Weaken by how often the answer has it, -2 to 2."),
    click.option("--presence-penalty", type=float, help="Weaken what the answer has, -2 to 2."),
    click.option("-n", "--max-output-tokens", type=int, help="Stop after this many tokens."),
    click.option("--min-output-tokens", type=int, help="Do not stop before this many tokens."),
    click.option(
        "--stop", "stop_sequences", multiple=True, type=TEXT, metavar="TEXT", help="Stop at this text. Repeatable."
    ),
    click.option("--stop-token", "stop_token_ids", multiple=True, type=int, metavar="ID", help="Stop at this token."),
    click.option("--seed", type=int, help="Make the answer repeatable."),
    click.option("--logit-bias", multiple=True, type=TokenBias(), help="Add to a token's logit. Repeatable."),
)

_SAMPLING_NAMES = (
    "temperature top_p top_k min_p repetition_penalty frequency_penalty presence_penalty max_output_tokens "
    "min_output_tokens stop_sequences stop_token_ids seed"
)


def sampling_options(command: Callable[..., _R]) -> Callable[..., _R]:
    """Adds the sampling options; the command gets those that were given as `sampling`."""

    @functools.wraps(command)
    def wrapped(*args: object, logit_bias: tuple[tuple[int, float], ...], **kwargs: object) -> _R:
        given = {name: kwargs.pop(name) for name in _SAMPLING_NAMES.split()}
        sampling: SamplingOptions = {name: value for name, value in given.items() if value not in (None, ())}  # type: ignore[assignment]  # a filtered dict of the names above
        if logit_bias:
            sampling["logit_bias"] = dict(logit_bias)
        return command(*args, sampling=sampling, **kwargs)

    decorated: Callable[..., _R] = wrapped
    for option in reversed(_SAMPLING_OPTIONS):
        decorated = option(decorated)
    return decorated


def read_prompt(text: str | None) -> str:
    """Returns the prompt: the argument, or standard input where it is `-`, or missing while input is piped."""
    if text == "-" or (text is None and not sys.stdin.isatty()):
        return read_stdin(sys.stdin.read)
    if text is None:
        raise click.UsageError("give a prompt, or - to read it from standard input")
    return text


def make_prompt(text: str, system: str, completion: bool) -> Prompt:
    """Returns plain text to continue, or the user's message after the system instruction."""
    if not completion:
        return Conversation((Message.user(text),), system)
    if system:
        raise click.UsageError("--completion continues plain text, which has no --system")
    return TextPrompt(text)
