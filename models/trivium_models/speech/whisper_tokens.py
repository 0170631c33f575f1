"""Which token of a Whisper vocabulary means what, read from its tokenizer.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trivium_models.errors import InvalidModelError
from trivium_models.json_file import JsonFile

# An English-only model has the tokens of languages and tasks too, but was not trained on them.
_FIRST_MULTILINGUAL_VOCAB_LEN = 51865
_NUM_TIMESTAMPS = 1501


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperTokens:
    """Ids by meaning. After no_timestamps follow the timestamps, 0.00 to 30.00 s in steps of 20 ms.

    languages: by the token's text, as <|en|>. tasks: by name. Both are empty where the model knows English only.
    """

    end: int
    start: int
    previous: int
    no_speech: int
    no_timestamps: int
    languages: Mapping[str, int]
    tasks: Mapping[str, int]


def read_tokens(tokenizer: Path, vocab_len: int) -> WhisperTokens:
    """Finds the tokens. vocab_len: how many the weights know. Raises InvalidModelError, naming what is missing."""
    ids: dict[str, int] = {}
    for token in JsonFile.read(tokenizer).tables("added_tokens"):
        ids[token.text("content")] = token.count("id")

    def find(*names: str) -> int:
        for name in names:
            if name in ids:
                return ids[name]
        raise InvalidModelError(f"{tokenizer.name} has no token {names[0]}")

    no_timestamps, start = find("<|notimestamps|>"), find("<|startoftranscript|>")
    if no_timestamps + _NUM_TIMESTAMPS >= vocab_len:
        raise InvalidModelError(f"{tokenizer.name} does not fit weights of {vocab_len} tokens: no room for timestamps")
    translate, transcribe = find("<|translate|>"), find("<|transcribe|>")
    is_multilingual = vocab_len >= _FIRST_MULTILINGUAL_VOCAB_LEN
    # Languages stand between the start and the tasks.
    languages = {name: number for name, number in ids.items() if start < number < translate}
    return WhisperTokens(
        end=find("<|endoftext|>"),
        start=start,
        previous=find("<|startofprev|>"),
        no_speech=find("<|nospeech|>", "<|nocaptions|>"),
        no_timestamps=no_timestamps,
        languages=languages if is_multilingual else {},
        tasks={"transcribe": transcribe, "translate": translate} if is_multilingual else {},
    )
