"""What the folder of a Whisper model says: tokens, languages and features. The names are those of Hugging Face."""

from collections.abc import Mapping
from dataclasses import dataclass

from trivium_server.architectures.folder_files import FolderFiles, Table
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech.folder import language_codes
from trivium_server.architectures.speech_capabilities import SAMPLE_RATE_HZ, RecognitionTask
from trivium_server.speech.log_mel import MelConfig
from trivium_server.speech.whisper_rules import TokenRules

_GENERATION_FILE = "generation_config.json"
_FEATURES_FILE = "preprocessor_config.json"
_MAX_ID = 1 << 20
# Codes that ISO 639 has withdrawn.
_CODES = {"jw": "jv"}
_TASKS = {RecognitionTask.TRANSCRIBE: "transcribe", RecognitionTask.TRANSLATE: "translate"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WhisperFolder:
    """languages and tasks: the token of each; empty where the model hears English only.

    sot, previous, no_timestamps, no_speech: tokens that begin an answer, a prompt, a text without times, and that stand
    for silence. max_len: tokens of a prompt and its answer together. max_frames: of features, 10 ms each.
    """

    rules: TokenRules
    sot: int
    previous: int
    no_timestamps: int
    no_speech: int
    languages: Mapping[str, int]
    tasks: Mapping[RecognitionTask, int]
    language_codes: tuple[str, ...]
    max_len: int
    mel: MelConfig
    max_frames: int

    @property
    def max_segment_s(self) -> float:
        return self.max_frames * self.mel.hop_len / self.mel.sample_rate_hz

    def beginning(self, language_code: str, task: RecognitionTask) -> list[int]:
        """Returns the tokens with which an answer begins."""
        if not self.languages:
            return [self.sot]
        return [self.sot, self.languages[language_code], self.tasks[task]]


def read_whisper_folder(files: FolderFiles) -> WhisperFolder:
    """Raises ModelFolderError."""
    generation = files.table(_GENERATION_FILE)
    no_timestamps = _token(generation, "no_timestamps_token_id")
    is_multilingual = generation.flag("is_multilingual", default=False)
    languages = _tokens(generation, "lang_to_id", generation.table("lang_to_id")) if is_multilingual else {}
    named_tasks = _tokens(generation, "task_to_id", generation.table("task_to_id")) if is_multilingual else {}
    languages = {_CODES.get(name.strip("<|>"), name.strip("<|>")): token for name, token in languages.items()}
    if is_multilingual and not (languages and set(_TASKS.values()) <= set(named_tasks)):
        raise ModelFolderError(f"{_GENERATION_FILE}: must have lang_to_id and task_to_id, as is_multilingual is true")
    first_timestamp = no_timestamps + 1
    rules = TokenRules(
        eot=_token(generation, "eos_token_id"),
        first_timestamp=first_timestamp,
        last_first_timestamp=first_timestamp
        + (generation.integer("max_initial_timestamp_index", low=0, high=_MAX_ID) or 0),
        never=generation.integers("suppress_tokens", low=0, high=_MAX_ID),
        not_first=generation.integers("begin_suppress_tokens", low=0, high=_MAX_ID),
    )
    max_len = generation.integer("max_length", low=16, high=1 << 16) or 448
    mel, max_frames = _features(files)
    return WhisperFolder(
        rules=rules,
        sot=_token(generation, "decoder_start_token_id"),
        previous=_token(generation, "prev_sot_token_id"),
        no_timestamps=no_timestamps,
        no_speech=_token(generation, "no_speech_token_id"),
        languages=languages,
        tasks={task: named_tasks[name] for task, name in _TASKS.items()} if is_multilingual else {},
        language_codes=_english_first(tuple(languages)) if is_multilingual else language_codes(files)[:1],
        max_len=max_len,
        mel=mel,
        max_frames=max_frames,
    )


def _features(files: FolderFiles) -> tuple[MelConfig, int]:
    described = files.table(_FEATURES_FILE)

    def number(key: str, default: int) -> int:
        return described.integer(key, low=1, high=1 << 20) or default

    if number("sampling_rate", SAMPLE_RATE_HZ) != SAMPLE_RATE_HZ:
        raise ModelFolderError(f"{_FEATURES_FILE}: sampling_rate must be {SAMPLE_RATE_HZ}")
    mel = MelConfig(
        sample_rate_hz=SAMPLE_RATE_HZ,
        frame_len=number("n_fft", 400),
        hop_len=number("hop_length", 160),
        num_mels=number("feature_size", 80),
    )
    return mel, number("nb_max_frames", 3000)


def _token(table: Table, key: str) -> int:
    token = table.integer(key, low=0, high=_MAX_ID)
    if token is None:
        raise ModelFolderError(f"{table.file}: must have {key}")
    return token


def _tokens(table: Table, key: str, values: Mapping[str, object]) -> dict[str, int]:
    tokens = {name: value for name, value in values.items() if isinstance(value, int) and 0 <= value <= _MAX_ID}
    if len(tokens) < len(values):
        raise table.error(key, f"must be an object of whole numbers from 0 to {_MAX_ID}")
    return tokens


def _english_first(codes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(codes, key=lambda code: (code != "en", code)))
