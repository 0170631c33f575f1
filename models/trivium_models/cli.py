"""`trivium models`: list, pull, show, verify and remove models. Results go to stdout, progress and errors to stderr."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from trivium_models.cli_card import card_values, lines
from trivium_models.cli_progress import Lines, plain, terminal_progress
from trivium_models.errors import ModelError, UsageError
from trivium_models.store import Store, default_store_path

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
@click.option(
    "--store",
    "store_path",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="TRIVIUM_MODELS_DIR",
    help="Folder of installed models. Default: $TRIVIUM_MODELS_DIR, else ~/.local/share/trivium/models.",
)
@click.pass_context
def models(context: click.Context, store_path: Path | None) -> None:
    """Fetch models, look at them, check them, remove them.

    A model is a folder with ONNX graphs, weights, a tokenizer and model.toml. `trivium serve` serves what is installed.

    Exit status: 0 when all went well, 1 when something failed, 2 when the command was used wrongly.
    """
    with _errors_told():
        context.obj = Store(store_path if store_path is not None else default_store_path())


@models.command("list")
@_json_option
@click.pass_obj
def list_models(store: Store, as_json: bool) -> None:
    """List the models of the catalogue and those that are installed."""
    with _errors_told():
        rows = list(_rows(store))
    if as_json:
        click.echo(json.dumps({"store": str(store.path), "models": rows}, indent=2))
        return
    # Here, because rich takes longer to import than all the rest of this command.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "STATE", "SIZE", "LICENCE", "TASK"):
        table.add_column(title, no_wrap=True, justify="right" if title == "SIZE" else "left")
    for row in rows:
        size = row["size_bytes"]
        shown = f"{size / 1e6:.0f} MB" if isinstance(size, int) else "-"
        cells = (str(row["name"]), str(row["state"]), shown, str(row["license"] or "-"), str(row["task"] or "-"))
        # As Text, because a stranger's words are not rich's markup.
        table.add_row(*(Text(plain(cell)) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)


@models.command()
@click.argument("specs", nargs=-1, metavar="NAME...")
@click.option("--name", help="Install under this name (with one NAME only).")
@click.option("--force", is_flag=True, help="Install anew even when it is installed already.")
@_json_option
@click.pass_obj
def pull(store: Store, specs: tuple[str, ...], name: str | None, force: bool, as_json: bool) -> None:
    """Fetch and install models.

    \b
    NAME is one of
      a name of the catalogue             smollm2-135m-instruct
      a Hugging Face repository           hf:owner/name, hf:owner/name/folder, hf:owner/name@revision
      a model folder on this machine      ./my-model   (onnxruntime-genai layout, or of the hub: a text encoder,
                                          an image classifier, a detector)
      a GGUF file on this machine         ./weights.gguf   (Llama family; it is exported to ONNX)

    What the catalogue names is checked byte for byte against pinned hashes. A download that was cut off goes on
    where it stopped when you run the same command again.
    """
    with _errors_told():
        if not specs:
            raise UsageError(f"name a model; the catalogue has: {', '.join(store.catalog.names())}")
        if name is not None and len(specs) > 1:
            raise UsageError("--name goes with one model at a time")
        before = {model.name for model in store.installed()}
        installed = []
        with terminal_progress() as progress:
            for spec in specs:
                model = store.pull(spec, name=name, force=force, progress=progress)
                installed.append({"name": model.name, "folder": str(model.folder)})
                if not as_json:
                    click.echo(f"{model.name} is installed in {_short(model.folder)}")
        if as_json:
            click.echo(json.dumps({"models": installed}, indent=2))
        elif new := [str(model["name"]) for model in installed if force or model["name"] not in before]:
            loads = " and ".join(f"`trivium models load {name}`" for name in new)
            serves = " ".join(f"--model {name}" for name in new)
            click.echo(f"a server that runs takes it with {loads}; a new one with `trivium serve {serves}`", err=True)


@models.command()
@click.argument("name")
@_json_option
@click.pass_obj
def show(store: Store, name: str, as_json: bool) -> None:
    """Show what a model is, is good and bad at, and where it comes from."""
    with _errors_told():
        installed, entry = store.find(name), store.catalog.find(name)
        if installed is not None and installed.problem is not None:
            raise ModelError(
                f"{name} is damaged: {installed.problem}; `trivium models pull --force {name}` installs it anew"
            )
        if installed is not None and installed.manifest is not None:
            manifest = installed.manifest
            details: dict[str, object] = {
                "state": "installed",
                "folder": str(installed.folder),
                "source": manifest.source,
            }
            details |= {
                "size_bytes": manifest.size_bytes,
                "digest": manifest.digest,
                "graph": manifest.default_graph or "",
            }
            card = manifest.card
        else:
            card = (entry or store.catalog.get(name)).card
            assert entry is not None
            details = {
                "state": "available",
                "source": entry.describe_sources(),
                "size_bytes": entry.installed_size_bytes,
            }
    shown = card_values(card) | details
    if as_json:
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    for key, value in shown.items():
        for index, line in enumerate(lines(key, value)):
            click.echo(f"{key if index == 0 else '':<16} {plain(line)}")


@models.command()
@click.argument("name")
@_json_option
@click.pass_obj
def verify(store: Store, name: str, as_json: bool) -> None:
    """Hash every file of an installed model again and check its graphs."""
    with _errors_told(), terminal_progress() as progress:
        result = store.verify(name, progress=progress)
    if as_json:
        shown = {"name": name, "ok": not result.problems, "files": result.num_files, "problems": list(result.problems)}
        click.echo(json.dumps(shown, indent=2))
    elif not result.problems:
        click.echo(f"{name}: {result.num_files} files, {result.size_bytes / 1e6:.0f} MB, all as listed")
    else:
        for problem in result.problems:
            click.echo(plain(f"{name}: {problem}"), err=True)
        click.echo(f"`trivium models pull --force {name}` installs it anew", err=True)
    if result.problems:
        sys.exit(1)


@models.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json_option
@click.pass_obj
def rm(store: Store, name: str, yes: bool, as_json: bool) -> None:
    """Remove an installed model from the store."""
    with _errors_told():
        model = store.find(name)
        if model is not None and not yes:
            click.confirm(f"Remove {name} from {model.folder}?", abort=True, err=True)
        store.remove(name)
    click.echo(json.dumps({"removed": name}) if as_json else f"{name} is removed")


class _WrongUse(click.ClickException):
    """One line and status 2; click's own UsageError would print the usage before it."""

    exit_code = 2


@contextmanager
def _errors_told() -> Iterator[None]:
    """Turns this package's errors into one line on stderr and the exit status."""
    try:
        yield
    except UsageError as error:
        raise _WrongUse(plain(str(error))) from error
    except ModelError as error:
        raise click.ClickException(plain(str(error))) from error
    except OSError as error:
        # The machine's own refusals: a folder that may not be read, a disk that fails.
        where = f"{error.filename}: " if error.filename is not None else ""
        raise click.ClickException(plain(f"{where}{error.strerror or error}")) from error


def _rows(store: Store) -> Iterator[dict[str, object]]:
    installed = {model.name: model for model in store.installed(progress=Lines())}
    for name in sorted({*installed, *store.catalog.names()}):
        model, entry = installed.get(name), store.catalog.find(name)
        card = model.manifest.card if model and model.manifest else entry.card if entry else None
        if model is None:
            state, size = "available", entry.installed_size_bytes if entry else None
        elif model.manifest is None:
            state, size = "damaged", None
        else:
            state, size = "installed", model.manifest.size_bytes
        yield {
            "name": name,
            "state": state,
            "size_bytes": size,
            "license": card.license if card else None,
            "task": card.task if card else None,
            "problem": model.problem if model else None,
        }


def _short(path: Path) -> str:
    """The path as people write it, with ~ for their home."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
