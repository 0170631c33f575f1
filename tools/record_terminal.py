"""Runs a command in a terminal of its own and draws what it left on the screen as SVG.

python tools/record_terminal.py --title "make demo" --output docs/images/demo.svg -- make demo
"""

import argparse
import itertools
import re
from pathlib import Path

import pexpect
import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

_COLOURS = {"default": None, "brown": "yellow"}


def screen_after(command: list[str], *, columns: int, lines: int, timeout_s: float) -> pyte.Screen:
    """Runs the command to its end and returns the screen; raises when it fails, hangs or needs more lines."""
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    child = pexpect.spawn(command[0], command[1:], dimensions=(lines, columns), timeout=timeout_s)
    while True:
        try:
            stream.feed(child.read_nonblocking(4096, timeout=timeout_s))
        except pexpect.EOF:
            break
    child.close()
    if child.exitstatus:
        raise SystemExit(f"{' '.join(command)} left with exit code {child.exitstatus}")
    return screen


def as_text(screen: pyte.Screen) -> Text:
    """Returns the used lines of a screen with their colours."""
    last = max((row for row, line in enumerate(screen.display) if line.strip()), default=0)
    text = Text()
    for row in range(last + 1):
        # A wide character has two cells, the second of them empty; `display` has one place for it.
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        while cells and not cells[-1].data.strip():
            cells.pop()
        for style, run in itertools.groupby(cells, _style):
            text.append("".join(cell.data for cell in run), style)
        text.append("\n")
    return text


def _style(cell: pyte.screens.Char) -> Style:
    return Style(color=_colour(cell.fg), bold=cell.bold, italic=cell.italics, reverse=cell.reverse)


def _colour(name: str) -> str | None:
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    return _COLOURS.get(name, name.replace("bright", "bright_"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the SVG file to write")
    parser.add_argument("--title", default="", help="the title of the window")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--lines", type=int, default=80, help="more than the command prints")
    parser.add_argument("--timeout-s", type=float, default=600)
    parser.add_argument("command", nargs="+", help="what to run")
    given = parser.parse_args()
    screen = screen_after(given.command, columns=given.columns, lines=given.lines, timeout_s=given.timeout_s)
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=given.columns, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(as_text(screen), soft_wrap=True)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    # A picture in the documentation fetches no fonts from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=given.title), flags=re.DOTALL)
    given.output.write_text(svg)


if __name__ == "__main__":
    main()
