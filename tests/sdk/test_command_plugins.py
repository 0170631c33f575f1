"""Commands of `trivium` that other distributions bring, and the list of all of them."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from click.testing import CliRunner

from trivium.cli import _root


def plugin(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> CliRunner:
    monkeypatch.setattr(_root, "entry_points", lambda **_: points)
    return CliRunner()


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, _root.PLUGIN_GROUP)


def test_missing_distributions_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = plugin(monkeypatch)
    listed = runner.invoke(_root.trivium, ["--help"]).output
    assert "serve       (not installed; it comes with trivium-server)" in listed
    called = runner.invoke(_root.trivium, ["models", "pull", "x", "--force"])
    assert called.exit_code == 1
    assert "it comes with trivium-models" in called.output
    own = runner.invoke(_root.trivium, ["models", "--help"]).output
    assert "  load    Load a model" in own
    assert "pull" not in own
    assert runner.invoke(_root.trivium, ["models", "unload", "--help"]).exit_code == 0


def test_broken_plugin_breaks_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = plugin(monkeypatch, point("serve", "no_such_module:x"), point("models", "json:dumps"))
    listed = runner.invoke(_root.trivium, ["--help"])
    assert listed.exit_code == 0
    assert "broken in no_such_module:x: ModuleNotFoundError" in listed.output
    assert "json:dumps is not a click" in listed.output
    assert runner.invoke(_root.trivium, ["serve"]).exit_code == 1
    assert runner.invoke(_root.trivium, ["tokens", "--help"]).exit_code == 0


def test_plugin_cannot_take_our_names(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = plugin(
        monkeypatch, point("tokens", "trivium.cli._status:status"), point("extra", "trivium.cli._chat:chat")
    )
    assert "Count the tokens" in runner.invoke(_root.trivium, ["tokens", "--help"]).output
    assert "Talk with a model" in runner.invoke(_root.trivium, ["extra", "--help"]).output


def test_list_of_commands_imports_none_of_them() -> None:
    heavy = ("trivium_server", "trivium_models", "trivium.cli._chat", "trivium.cli._generate", "rich", "prompt_toolkit")
    script = (
        "import sys; from trivium.cli._root import run; run(['--help']); "
        f"print(*[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "Fetch models" in done.stdout
    assert "Serve the models" in done.stdout
    assert done.stderr.split() == []
