"""The error catalogue, a page for people."""

import textwrap

from tools.errors.reasons import Reason


def render(introduction: str, reasons: list[Reason]) -> dict[str, str]:
    """Returns the files to write, by their path in the repository."""
    return {"docs/errors.md": markdown_page(introduction, reasons)}


def filled(text: str) -> str:
    """Returns paragraphs wrapped at 120 columns."""
    return "\n\n".join(textwrap.fill(part, 120, break_on_hyphens=False) for part in text.split("\n\n"))


def markdown_page(introduction: str, reasons: list[Reason]) -> str:
    """Returns the text of docs/errors.md."""
    lines = [
        "<!-- Generated from proto/trivium/v1/errors.proto by `make generate`: do not edit. -->",
        "",
        "# Error catalogue",
        "",
        filled(introduction),
        "",
        "| reason | status | Python exception |",
        "|---|---|---|",
        *(
            f"| [`{reason.name}`](#{reason.name.lower()}) | {', '.join(f'`{code}`' for code in reason.codes)} "
            f"| `trivium.errors.{reason.class_name}` |"
            for reason in reasons
        ),
    ]
    for reason in reasons:
        lines += ["", f"## {reason.name}", "", filled(reason.comment)]
    return "\n".join(lines) + "\n"
