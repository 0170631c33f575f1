"""Moonshine: English speech into text, at a cost that grows with the length of the speech.

Source: Jeffries et al. 2024, "Moonshine: Speech Recognition for Live Transcription and Voice Commands". The encoder
hears samples. The decoder is two graphs in one: without `use_cache_branch` it begins a text, with it goes on by one
token. Both quantize what they compute by the largest value of a run, so a run with company gives other numbers than
one alone (measured: 1 of 6 texts changed); so each piece of speech has runs of its own.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from trivium_server.architectures.folder_files import FolderFiles, Table
from trivium_server.architectures.model_folder import ModelFolderError
from trivium_server.architectures.speech.folder import language_codes, open_graph, open_tokenizer
from trivium_server.architectures.speech.runner import RunnerStats, SpeechRunner, max_waiting
from trivium_server.architectures.speech_capabilities import (
    SAMPLE_RATE_HZ,
    Heard,
    RecognitionOptions,
    RecognitionTask,
    RecognizerInfo,
    SpeechMeter,
    Urgency,
)
from trivium_server.config import Config
from trivium_server.numerics import NotFiniteError, finite
from trivium_server.runtime.session import Session, missing_names
from trivium_server.runtime.workload import Workload
from trivium_server.speech.repetition import loop_start

Floats = NDArray[np.float32]
Arrays = dict[str, NDArray[np.generic]]

_ENCODER, _DECODER = "encoder_model", "decoder_model_merged"
_ENCODED = "last_hidden_state"
_DECODER_INPUTS = ("input_ids", "encoder_hidden_states", "encoder_attention_mask", "use_cache_branch")
_PAST, _PRESENT = "past_key_values.", "present."
# Less is no word, and hardly a frame of the encoder.
_SHORTEST = SAMPLE_RATE_HZ // 10
# Tokens beyond those that the seconds allow: short answers have a full stop too.
_SPARE_TOKENS = 2
# Of noise and music the model makes a word without a full stop, a text that it hardly believes, or few words of which
# it is not sure. Measured with 975 words: none of them is lost as they are, two where noise is half as loud.
_FEWEST_TOKENS = 2
_GUESSED = 0.35
_FEWEST_TOKENS_PER_S = 1.5
_SURE = 0.65
_MAX_ID = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MoonshineFolder:
    """What the folder says."""

    bos: int
    eos: int
    max_segment_s: float
    max_tokens_per_s: float
    language_code: str


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """Tokens, and the natural logarithm of their probabilities, that of the end included where it came."""

    tokens: list[int]
    logprobs: list[float]


class MoonshineModel:
    """Implements capabilities.ServedModel and speech_capabilities.SpeechRecognizer."""

    def __init__(
        self,
        name: str,
        folder: MoonshineFolder,
        *,
        encoder: Session,
        decoder: "MoonshineDecoder",
        tokenizer: Tokenizer,
        config: Config,
    ) -> None:
        self.execution_provider = encoder.execution_provider
        self.recognizer_info = RecognizerInfo(
            language_codes=(folder.language_code,),
            tasks=(RecognitionTask.TRANSCRIBE,),
            max_segment_s=folder.max_segment_s,
            gives_word_timings=False,
            honors_prompt=False,
        )
        self._folder = folder
        self._encoder = encoder
        self._decoder = decoder
        self._tokenizer = tokenizer
        self._runner: SpeechRunner[Floats, Heard] = SpeechRunner(
            self._hear_all,
            model=name,
            num_runners=config.speech.runners,
            max_items=1,
            max_waiting=max_waiting(config),
        )

    @property
    def stats(self) -> RunnerStats:
        """For tests and telemetry: what waits and runs."""
        return self._runner.stats

    @property
    def workload(self) -> Workload:
        return self._runner.workload

    async def warm_up(self) -> None:
        """Raises SessionError."""
        await self._runner.start(self._rehearse)

    async def close(self, grace_s: float) -> None:
        await self._runner.close(grace_s)

    async def recognize_speech(
        self,
        samples: Floats,
        options: RecognitionOptions,  # noqa: ARG002  it has one language, one task, and neither words nor a prompt
        *,
        urgency: Urgency,
        deadline_s: float,
        meter: SpeechMeter,
    ) -> Heard:
        return await self._runner.run(samples, urgency=urgency, deadline_s=deadline_s, meter=meter)

    def _hear_all(self, pieces: Sequence[Floats]) -> list[Heard]:
        return [self._hear(piece) for piece in pieces]

    def _hear(self, samples: Floats) -> Heard:
        language = self._folder.language_code
        if len(samples) < _SHORTEST:
            return Heard(text="", language_code=language)
        said = self._say(samples)
        text = self._tokenizer.decode(said.tokens, skip_special_tokens=True).strip()
        confidence = float(np.exp(np.mean(said.logprobs)))
        is_sparse = len(said.tokens) < _FEWEST_TOKENS_PER_S * len(samples) / SAMPLE_RATE_HZ
        is_guess = len(said.tokens) < _FEWEST_TOKENS or confidence < (_SURE if is_sparse else _GUESSED)
        if is_guess or not any(map(str.isalnum, text)):
            return Heard(text="", language_code=language)
        return Heard(text=text, language_code=language, confidence=confidence)

    def _rehearse(self) -> None:
        self._say(np.zeros(SAMPLE_RATE_HZ, np.float32))

    def _say(self, samples: Floats) -> Said:
        whole = np.ones((1, len(samples)), np.int64)
        (encoded,) = self._encoder.run({"input_values": samples[np.newaxis], "attention_mask": whole}, [_ENCODED])
        most = int(len(samples) / SAMPLE_RATE_HZ * self._folder.max_tokens_per_s) + _SPARE_TOKENS
        return self._decoder.say(finite(encoded.astype(np.float32, copy=False)), whole, max_tokens=most)


class MoonshineDecoder:
    """The merged decoder. Runs may be concurrent."""

    def __init__(self, session: Session, folder: MoonshineFolder) -> None:
        """Raises ModelFolderError."""
        pasts = [name for name in session.inputs if name.startswith(_PAST)]
        presents = [_PRESENT + name.removeprefix(_PAST) for name in pasts]
        missing = missing_names(session.outputs, presents)
        if missing or not pasts:
            raise ModelFolderError(f"{_DECODER}: has no {', '.join(missing) or _PAST + '*'}")
        self._session = session
        self._folder = folder
        self._empty: Arrays = {}
        for name in pasts:
            _, heads, _, size = session.inputs[name].shape
            if heads is None or size is None:
                raise ModelFolderError(f"{_DECODER}: input {name} must have a fixed number of heads, of a fixed size")
            self._empty[name] = np.zeros((1, heads, 0, size), np.float32)
        self._first_outputs = ["logits", *presents]
        # The keys and values of what was heard are right only from the first run; they stay.
        self._later_outputs = ["logits", *(name for name in presents if ".decoder." in name)]

    def say(self, encoded: NDArray[np.generic], mask: NDArray[np.int64], *, max_tokens: int) -> Said:
        """Returns the likeliest token after token, until the end, max_tokens, or a loop, which is left out.

        encoded: of the encoder, shape (1, frames, size). mask: over samples, as the encoder had it; the graph thins it
        out to frames itself. Raises NotFiniteError and SessionError.
        """
        inputs: Arrays = {"encoder_hidden_states": encoded, "encoder_attention_mask": mask, **self._empty}
        inputs["input_ids"] = np.array([[self._folder.bos]], np.int64)
        inputs["use_cache_branch"] = np.array([False])
        outputs = self._first_outputs
        said = Said([], [])
        while len(said.tokens) < max_tokens:
            logits, *presents = self._session.run(inputs, outputs)
            token, logprob = _likeliest(logits[0, -1].astype(np.float32, copy=False))
            said.logprobs.append(logprob)
            if token == self._folder.eos:
                break
            said.tokens.append(token)
            start = loop_start(said.tokens)
            if start is not None:
                return Said(said.tokens[:start], said.logprobs[:start])
            for name, present in zip(outputs[1:], presents, strict=True):
                inputs[_PAST + name.removeprefix(_PRESENT)] = present
            inputs["input_ids"] = np.array([[token]], np.int64)
            inputs["use_cache_branch"] = np.array([True])
            outputs = self._later_outputs
        return said


def load(files: FolderFiles, name: str, config: Config, progress: Callable[[float], None]) -> MoonshineModel:
    """Loads a folder. progress: called with 0 to 1. Raises ModelFolderError and SessionError."""
    folder = _read(files)
    tokenizer = open_tokenizer(files)
    encoder = open_graph(files, _ENCODER, config, inputs=["input_values", "attention_mask"], outputs=[_ENCODED])
    progress(0.4)
    decoder = open_graph(files, _DECODER, config, inputs=_DECODER_INPUTS, outputs=["logits"])
    progress(0.9)
    return MoonshineModel(
        name,
        folder,
        encoder=encoder,
        decoder=MoonshineDecoder(decoder, folder),
        tokenizer=tokenizer,
        config=config,
    )


def _read(files: FolderFiles) -> MoonshineFolder:
    ours = Table("config.json trivium", files.table("config.json").table("trivium"))
    generation = files.table("generation_config.json")
    ids = [generation.integer(key, low=0, high=_MAX_ID) for key in ("decoder_start_token_id", "eos_token_id")]
    bos, eos = (each for each in ids)
    if bos is None or eos is None:
        raise ModelFolderError("generation_config.json: must have decoder_start_token_id and eos_token_id")
    max_segment_s, max_tokens_per_s = (
        ours.number("max_segment_seconds", 10.0),
        ours.number("max_tokens_per_second", 6.5),
    )
    if not (1.0 <= max_segment_s <= 60.0 and 0.0 < max_tokens_per_s <= 100.0):
        raise ModelFolderError(
            "config.json trivium: max_segment_seconds must be from 1 to 60, max_tokens_per_second to 100"
        )
    return MoonshineFolder(
        bos=bos,
        eos=eos,
        max_segment_s=max_segment_s,
        max_tokens_per_s=max_tokens_per_s,
        language_code=language_codes(files)[0],
    )


def _likeliest(logits: Floats) -> tuple[int, float]:
    """Returns a token and the natural logarithm of its probability. Raises NotFiniteError."""
    token = int(logits.argmax())
    # Numbers that are none are told by an error, not by warnings.
    with np.errstate(all="ignore"):
        logprob = -float(np.log(np.exp(logits - logits[token]).sum()))
    if not np.isfinite(logprob):
        raise NotFiniteError
    return token, logprob
