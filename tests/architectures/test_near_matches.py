"""What somebody meant who named a model that there is not."""

import pytest

from trivium_server.architectures.near_matches import near_matches

KNOWN = ("smollm2-135m-instruct", "smollm2-360m-instruct", "all-minilm-l6-v2", "moonshine-tiny-en")
BOTH = ["smollm2-135m-instruct", "smollm2-360m-instruct"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smolm2", BOTH),
        ("SmolLM2", BOTH),
        ("smollm2-135-instruct", BOTH),
        ("minilm", ["all-minilm-l6-v2"]),
        ("moonshine-tiny", ["moonshine-tiny-en"]),
        ("gpt-4", []),
        ("x", []),
        ("", []),
        ("\u0130" * 256, []),
    ],
)
def test_near_matches_are_what_was_meant(name: str, expected: list[str]) -> None:
    assert near_matches(name, KNOWN) == expected
