"""The `trivium` command: talk to a server from a terminal or a script.

Needs the packages of the extra `cli`. Other distributions add commands through the entry-point group
`trivium.commands`, name -> click.Command.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command line of this process and exits: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C."""
    try:
        from trivium.cli._root import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich", "prompt_toolkit"):
            raise
        print(f"trivium: {error.name} is not installed; run: pip install 'clients/python[cli]'", file=sys.stderr)
        sys.exit(1)
    sys.exit(run())
