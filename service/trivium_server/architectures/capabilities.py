"""What a model can do, as rpc/ sees it: one Protocol per capability, with its request and result types.

A family of models (a module beside this one) implements the Protocols that it serves; `catalog` finds a loaded model by
name and Protocol. No protobuf, no onnxruntime.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

from trivium_server.runtime.workload import Workload


class Capability(Enum):
    """Names as in trivium.v1.Capability, without the prefix."""

    GENERATE_TEXT = "GENERATE_TEXT"
    EMBED_TEXT = "EMBED_TEXT"
    RERANK = "RERANK"
    CLASSIFY_TEXT = "CLASSIFY_TEXT"
    EXTRACT_ENTITIES = "EXTRACT_ENTITIES"
    DETECT_LANGUAGE = "DETECT_LANGUAGE"
    CLASSIFY_IMAGE = "CLASSIFY_IMAGE"
    DETECT_OBJECTS = "DETECT_OBJECTS"
    RECOGNIZE_TEXT = "RECOGNIZE_TEXT"
    DETECT_FACES = "DETECT_FACES"
    EMBED_IMAGE = "EMBED_IMAGE"
    RECOGNIZE_SPEECH = "RECOGNIZE_SPEECH"
    SYNTHESIZE_SPEECH = "SYNTHESIZE_SPEECH"
    DETECT_VOICE_ACTIVITY = "DETECT_VOICE_ACTIVITY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of a model from its folder, loaded or not."""

    name: str
    version: str
    digest: str
    display_name: str
    license: str
    language_codes: tuple[str, ...]
    capabilities: frozenset[Capability]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """What a loaded model accepts at most: tokens, and candidates of one request."""

    max_input_tokens: int
    max_output_tokens: int
    max_context_tokens: int
    max_candidates: int
    vocabulary_size: int


class Role(Enum):
    """Who speaks; values are the names that chat templates use."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Messages, oldest first, at least one; a system message only in front; the last is the user's or assistant's."""

    messages: tuple[ChatMessage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrompt:
    """Token ids taken as they are."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPrompt:
    """Plain text to be continued; special tokens in it are text."""

    text: str


Prompt = Conversation | TextPrompt | TokenPrompt


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingOverrides:
    """What the caller set, already checked against the ranges in the contract. None takes the model's default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    max_output_tokens: int | None = None
    min_output_tokens: int | None = None
    stop_sequences: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    seed: int | None = None
    candidate_count: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingDefaults:
    """The values that absent sampling fields take."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    max_output_tokens: int = 512
    min_output_tokens: int = 0
    candidate_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """What to generate from, and how.

    top_logprobs: None for no log-probabilities, else the number of alternatives per token, 0 to 20.
    """

    prompt: Prompt
    sampling: SamplingOverrides = field(default_factory=SamplingOverrides)
    top_logprobs: int | None = None
    include_stop_sequence: bool = False


class FinishReason(Enum):
    """Names as in trivium.v1.FinishReason, without the prefix."""

    STOP = "STOP"
    STOP_SEQUENCE = "STOP_SEQUENCE"
    MAX_OUTPUT_TOKENS = "MAX_OUTPUT_TOKENS"
    CONTEXT_FULL = "CONTEXT_FULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """A token, the bytes that it stands for, and the natural logarithm of its probability."""

    token_id: int
    token_bytes: bytes
    logprob: float
    alternatives: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """What is new of a candidate. `logprobs` is empty unless asked for, else as long as `token_ids`."""

    candidate_index: int
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateEnd:
    """A candidate ended; nothing follows for it."""

    candidate_index: int
    reason: FinishReason
    matched_stop_sequence: str = ""
    matched_stop_token_id: int | None = None


GenerationEvent = TextDelta | CandidateEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationStats:
    """What an answer has used so far; final once iteration ended. Durations in seconds.

    first_output_s is None until there was output. queue_position is None once a runner took the request.
    """

    input_tokens: int
    input_characters: int
    output_tokens: int
    preprocess_s: float
    queue_s: float
    first_output_s: float | None
    inference_s: float
    compute_s: float
    queue_position: int | None


@runtime_checkable
class Generation(Protocol):
    """An answer under way. Iterate it once, from one task; close it always (`contextlib.aclosing`).

    The engine never waits for the reader: what was made since the last read arrives as one bigger delta. Iteration
    ends after one CandidateEnd per candidate, or raises QueueTimeout, DeadlineExceeded or CallAborted. Closing it early
    frees everything it holds within one decoding step.
    """

    @property
    def stats(self) -> GenerationStats: ...

    def __aiter__(self) -> AsyncGenerator[GenerationEvent]: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptToken:
    """A token of a prompt, with the bytes it stands for (the token's name for a special token)."""

    id: int
    token_bytes: bytes
    is_special: bool


@runtime_checkable
class TextGenerator(Protocol):
    """A loaded language model. All methods may be called concurrently from the event loop."""

    @property
    def limits(self) -> ModelLimits: ...

    @property
    def sampling_defaults(self) -> SamplingDefaults: ...

    @property
    def execution_provider(self) -> str: ...

    async def generate(self, request: GenerationRequest, *, deadline_s: float) -> Generation:
        """Tokenizes the prompt and queues the request.

        The request must be within `limits`, but for the length of a prompt that is not token ids yet. deadline_s:
        absolute, on the clock of time.monotonic(). Raises InvalidArgument, InputTooLong, UnsupportedFeature, QueueFull
        or CallAborted; field paths in errors begin with `input.`.
        """
        ...

    async def tokenize(self, prompt: Prompt) -> Sequence[int]:
        """Returns the ids of the prompt, chat template included. Raises InvalidArgument or UnsupportedFeature."""
        ...

    def describe(self, ids: Sequence[int]) -> Sequence[PromptToken]:
        """Returns what the ids, which must be in the vocabulary, stand for."""
        ...


class ServedModel(Protocol):
    """What every family's loader returns: a model ready to be warmed up and called."""

    @property
    def workload(self) -> Workload:
        """How busy it is now, and what it has done. For any thread."""
        ...

    async def warm_up(self) -> None:
        """Runs every shape that traffic will use once."""
        ...

    async def close(self, grace_s: float) -> None:
        """Ends running calls with CallAborted after at most grace_s seconds, then frees sessions and threads."""
        ...
