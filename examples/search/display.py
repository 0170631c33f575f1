"""What is seen of the search: progress while the index fills, and tables of answers."""

import textwrap
import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

import trivium
from examples.search.passage_index import PassageIndex
from examples.search.searching import Findings


def fill(index: PassageIndex, client: trivium.Client, console: Console, *, model: str, save_every: int) -> None:
    """Embeds the passages that are missing, and saves at the end and after every `save_every` of them.

    Raises TriviumError, after what came before was saved.
    """
    total, had = len(index.passages), len(index)
    if had:
        console.print(f"{had} of {total} passages are in the index already")
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    started, num_tokens = time.monotonic(), 0
    waiting: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []

    def keep() -> None:
        if waiting:
            index.add(np.stack(waiting))
            index.save()
            waiting.clear()

    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=total, completed=had, rate="")
        try:
            stream = client.embed_stream(index.missing(), model=model, purpose="document", truncation="keep_start")
            for result in stream:
                if result.error is not None:
                    raise result.error
                assert result.vector is not None, "dense vectors were asked for"
                waiting.append(result.vector)
                num_tokens += result.input_tokens
                if len(waiting) == save_every:
                    keep()
                rate = (result.index + 1) / (time.monotonic() - started)
                progress.update(task, advance=1, rate=f"{rate:.0f} passages/s")
        finally:
            keep()
    added, elapsed = len(index) - had, time.monotonic() - started
    if added:
        console.print(
            f"{added} passages, {num_tokens} tokens, in {elapsed:.1f} s: "
            f"{added / elapsed:.0f} passages/s, {num_tokens / elapsed:.0f} tokens/s"
        )
    console.print(f"[green]the index holds {len(index)} of {total} passages[/]")


def answer(findings: Findings, console: Console) -> None:
    """Prints the passages as they were found, then as they were ranked anew."""
    before = _table("The nearest passages", "", "cosine", "where", "passage")
    for place, hit in enumerate(findings.before, 1):
        before.add_row(
            str(place),
            f"{hit.similarity:.3f}",
            _where(hit.passage.country, hit.passage.topic),
            _shortened(hit.passage.text),
        )
    console.print(before)
    title = f"Ranked anew: {findings.num_candidates} passages by the best of their {findings.num_statements} statements"
    after = _table(title, "", "was", findings.score_scale.name.lower(), "where", "passage")
    for place, found in enumerate(findings.after, 1):
        text = Text(found.statement, "bold green")
        if found.statement != found.passage.text:
            text.append(f"\nin: {_shortened(found.passage.text)}", "not bold dim")
        where = _where(found.passage.country, found.passage.topic)
        after.add_row(str(place), str(found.was), f"{found.score:.3f}", where, text)
    console.print(after)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", show_lines=True)
    for name in columns:
        table.add_column(name, justify="left" if name in ("where", "passage") else "right", overflow="fold")
    return table


def _shortened(text: str) -> str:
    return textwrap.shorten(text, 160, placeholder=" …")


def _where(country: str, topic: str) -> Text:
    return Text.assemble((country, "bold"), f"\n{topic}")
