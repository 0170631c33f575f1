"""`trivium generate`: one prompt, one answer."""

import click

from trivium import TextStream
from trivium.cli import _options
from trivium.cli._reporting import to_json, write_answer
from trivium.generation import CandidateFinished, Completed, Delta, GenerationEvent, GenerationResult, Heartbeat
from trivium.sampling import SamplingOptions

EPILOG = """\b
Examples:
  trivium generate "What is photosynthesis, in one sentence?"
  trivium generate --completion "Once upon a time" -n 40 --seed 1
  git diff | trivium generate --system "Write a commit message." -
  trivium generate "What is the capital of Japan?" --json | jq -r .candidates[0].text

\b
Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
"""


@click.command(epilog=EPILOG)
@click.argument("prompt", required=False, type=_options.TEXT)
@_options.model_option
@_options.system_option
@click.option("--completion", is_flag=True, help="Continue the prompt as plain text, without a chat template.")
@_options.sampling_options
@click.option("--candidates", "candidate_count", type=int, help="How many answers, 1 to 8.")
@click.option("--logprobs", "top_logprobs", type=int, help="With --json: log-probabilities and this many alternatives.")
@click.option("--stream/--no-stream", default=None, help="Print while it is made.  [default: unless --json]")
@_options.json_option
@click.option("--stats", is_flag=True, help="Print tokens and speed to standard error.")
@_options.connection_options
def generate(
    connection: _options.Connection,
    prompt: str | None,
    model: str | None,
    system: str,
    completion: bool,
    sampling: SamplingOptions,
    candidate_count: int | None,
    top_logprobs: int | None,
    stream: bool | None,
    as_json: bool,
    stats: bool,
) -> None:
    """Answer one PROMPT.

    The prompt is a message of the user; - reads it from standard input.

    The answer appears on standard output while it is made. With --json it is one JSON object with usage and timing;
    with --json --stream, one JSON object for each event.
    """
    if top_logprobs is not None and not as_json:
        raise click.UsageError("--logprobs needs --json, which shows them")
    wanted = _options.make_prompt(_asked(prompt, completion), system, completion)
    sampling = {**sampling, "candidate_count": candidate_count, "top_logprobs": top_logprobs}
    several = candidate_count is not None and candidate_count > 1
    streaming = stream if stream is not None else not (as_json or several)
    with connection.client(model) as client:
        try:
            if not streaming:
                result = client.text.generate(wanted, **sampling)
                _print_whole(result, as_json)
            elif as_json:
                result = _stream_events(client.text.stream(wanted, timeout_s=connection.timeout_s, **sampling))
            else:
                result = _stream_text(client.text.stream(wanted, timeout_s=connection.timeout_s, **sampling))
        except (TypeError, ValueError) as error:
            raise click.UsageError(str(error)) from error
    if stats:
        click.echo(speed_line(result), err=True)


def _asked(prompt: str | None, completion: bool) -> str:
    text = _options.read_prompt(prompt)
    if not text or (not text.strip() and not completion):
        source = ", since standard input had none" if prompt in (None, "-") else ""
        raise click.UsageError(f"the prompt is empty{source}; there is nothing to answer")
    return text


def _print_whole(result: GenerationResult, as_json: bool) -> None:
    if as_json:
        click.echo(to_json(result))
        return
    for candidate in result.candidates:
        if len(result.candidates) > 1:
            click.echo(f"--- {candidate.index + 1} of {len(result.candidates)} ---")
        write_answer(candidate.text if candidate.text.endswith("\n") else f"{candidate.text}\n")


def _stream_text(stream: TextStream) -> GenerationResult:
    text = ""
    try:
        with stream:
            for delta in stream:
                text = delta.text or text
                write_answer(delta.text)
    finally:
        if text and not text.endswith("\n"):
            click.echo()  # also after a failure, so that the error stands on a line of its own
    return stream.result


def _stream_events(stream: TextStream) -> GenerationResult:
    with stream:
        for event in stream.events():
            click.echo(event_line(event))
    return stream.result


def event_line(event: GenerationEvent) -> str:
    """Returns an event as JSON, its kind first."""
    name = {Delta: "delta", CandidateFinished: "candidate_finished", Completed: "completed", Heartbeat: "heartbeat"}
    return to_json(event).replace("{", f'{{"event": "{name.get(type(event), "started")}", ', 1)


def speed_line(result: GenerationResult) -> str:
    """Returns tokens and speed. Tokens per second are those after the first, over the time since the first."""
    usage, timing = result.usage, result.timing
    parts = [f"{usage.input_tokens} + {usage.output_tokens} tokens"]
    if timing.first_output_s is not None and timing.total_s is not None:
        decode_s = timing.total_s - timing.first_output_s
        if usage.output_tokens > 1 and decode_s > 0:
            parts.append(f"{(usage.output_tokens - 1) / decode_s:.1f} tokens/s")
        parts.append(f"first after {timing.first_output_s:.2f} s")
    return " · ".join(parts)
