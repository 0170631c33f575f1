"""Prompts of an exact number of tokens, from real English: the licence text of the model's own folder."""

import os
from pathlib import Path

from tokenizers import Tokenizer

MODEL = "smollm2-135m-instruct"


def store() -> Path:
    """The model store, found as the server finds it."""
    data_home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Path(os.environ.get("TRIVIUM_MODELS_DIR") or data_home / "trivium" / "models")


def model_folder() -> Path:
    folder = store() / MODEL
    if not (folder / "model.toml").exists():
        raise SystemExit(f"benchmarks: {MODEL} is not in the store; get it with `trivium models pull {MODEL}`")
    return folder


class Prompts:
    """Deals out token sequences; no two of them share a beginning, so no prefix cache can help anybody."""

    def __init__(self) -> None:
        folder = model_folder()
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._ids: list[int] = tokenizer.encode((folder / "LICENSE").read_text()).ids
        self._next = 0

    def take(self, num_tokens: int) -> list[int]:
        """Returns the next num_tokens ids."""
        # A step that shares no factor with the length visits every beginning before one comes again.
        self._next = (self._next + 97) % len(self._ids)
        doubled = self._ids + self._ids
        return doubled[self._next : self._next + num_tokens]
