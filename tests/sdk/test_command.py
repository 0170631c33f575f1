"""What the commands of `trivium` print when all goes well."""

import json
import struct
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.sdk.command import Command, leave
from tests.serving import MODEL
from trivium.cli._reporting import to_json


def test_help_lists_all_commands(command: Command) -> None:
    listed = command.run("--help").stdout
    assert all(f"\n  {name} " in listed for name in ("chat", "generate", "models", "serve", "status", "tokens"))
    for name in ("chat", "generate", "status", "tokens"):
        assert "Examples:" in command.run(name, "--help").stdout


def test_generate_streams_the_answer(command: Command) -> None:
    done = command.run("generate", "Name two colours.", "-n", "8", "--seed", "1", "--stats")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stdout.endswith("\n")
    assert "+ 8 tokens" in done.stderr
    again = command.run("generate", "-", "-n", "8", "--seed", "1", "--no-stream", stdin="Name two colours.")
    assert again.stdout == done.stdout


def test_generate_as_json(command: Command) -> None:
    options = ("generate", "Name two colours.", "-n", "8", "--seed", "1", "--json")
    whole = json.loads(command.run(*options).stdout)
    assert whole["info"]["usage"]["output_tokens"] == 8
    assert whole["info"]["timing"]["total_s"] > 0
    lines = [json.loads(line) for line in command.run(*options, "--stream").stdout.splitlines()]
    assert [line["event"] for line in lines[:1] + lines[-2:]] == ["started", "candidate_finished", "completed"]
    text = "".join(line["text"] for line in lines if line["event"] == "delta")
    assert text == whole["candidates"][0]["text"]


def test_generate_continues_plain_text(command: Command) -> None:
    count = int(command.run("tokens", "--completion", "Once upon a").stdout)
    assert count < int(command.run("tokens", "Once upon a").stdout)
    done = command.run(
        "generate", "--completion", "Once upon a", "-t", "0", "-n", "3", "--stats", "--logit-bias", "1=0"
    )
    assert f"{count} + 3 tokens" in done.stderr


def test_tokens_can_be_seen(command: Command) -> None:
    *tokens, number = command.run("tokens", "--show", "--completion", "Once upon a").stdout.splitlines()
    assert len(tokens) == int(number)
    assert "'Once'" in tokens[0]


def test_status(command: Command) -> None:
    shown = command.run("status")
    assert MODEL in shown.stdout
    assert "ready" in shown.stdout
    status = json.loads(command.run("status", "--json").stdout)
    assert [model["state"] for model in status["models"] if model["name"] == MODEL] == ["READY"]
    watching = command.spawn("status", "--watch")
    watching.expect(f"{MODEL}  ready")
    watching.sendintr()
    leave(watching)
    assert watching.exitstatus == 130


def test_json_numbers_are_as_they_were_meant(command: Command) -> None:
    models = json.loads(command.run("status", "--json").stdout)["models"]
    (model,) = (model for model in models if model["name"] == MODEL)
    assert (model["default_sampling"]["temperature"], model["default_sampling"]["top_p"]) == (0.2, 0.9)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_shortest_number_is_the_same_32_bits(value: float) -> None:
    (shown,) = json.loads(to_json([value]))
    assert struct.pack("f", shown) == struct.pack("f", value)


@given(st.decimals(0, 1000, places=4))
def test_short_numbers_stay_short(written: Decimal) -> None:
    (narrowed,) = struct.unpack("f", struct.pack("f", float(written)))
    assert json.loads(to_json([narrowed])) == [float(written)]


def test_numbers_of_64_bits_are_left_alone() -> None:
    for value in (0.1, 1e300, 0.001414708, 3.4028234663852886e38, 0.0, -0.0):
        assert json.loads(to_json(value)) == value


def test_counted_tokens_as_json(command: Command) -> None:
    counted = json.loads(command.run("tokens", "--json", "--completion", "Once upon a").stdout)
    assert counted["token_count"] == int(command.run("tokens", "--completion", "Once upon a").stdout)
    assert counted["context_limit"] == 1024
    assert counted["info"]["model"]["name"] == MODEL
    assert "usage" not in counted["info"]


def test_target_may_be_a_url(command: Command) -> None:
    command.environment["TRIVIUM_TARGET"] = f"http://{command.environment['TRIVIUM_TARGET']}"
    assert command.run("tokens", "Hi").returncode == 0
