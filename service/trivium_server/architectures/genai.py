"""Language models in the onnxruntime-genai folder layout: prompt to token ids, and an answer from the decode engine."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tokenizers import Tokenizer

from trivium_server.architectures.answer import Answer, Candidate
from trivium_server.architectures.capabilities import (
    GenerationRequest,
    ModelLimits,
    Prompt,
    PromptToken,
    SamplingDefaults,
    SamplingOverrides,
    TokenPrompt,
)
from trivium_server.architectures.genai_folder import FolderError, GenaiFolder, read_genai_folder
from trivium_server.architectures.prompt_encoder import PromptEncoder, input_field, num_characters
from trivium_server.config import Config
from trivium_server.decoding.decoder import Decoder, GraphError
from trivium_server.decoding.engine import Engine, EngineClosedError
from trivium_server.decoding.sampling import SamplingParameters
from trivium_server.decoding.sequence import DecodeRequest, StopConditions
from trivium_server.errors import CallAborted, FieldViolation, InputTooLong, InvalidArgument
from trivium_server.runtime.session import Session, SessionError, SessionOptions
from trivium_server.runtime.workload import Workload
from trivium_server.text.assembler import TextAssembler
from trivium_server.text.chat_template import ChatTemplateError
from trivium_server.text.vocabulary import UnsupportedTokenizerError, Vocabulary, read_vocabulary

LOAD_ERRORS = (
    FolderError,
    SessionError,
    GraphError,
    ChatTemplateError,
    UnsupportedTokenizerError,
)
"""What `load` raises about a folder; the text says what is wrong with it."""

_TOKENIZER_THREADS = 2

_T = TypeVar("_T")


def load(folder: Path, config: Config, progress: Callable[[float], None]) -> "GenaiModel":
    """Loads a model folder; takes seconds, so call it off the event loop. progress: called with 0 to 1.

    Raises one of LOAD_ERRORS with what is wrong.
    """
    runtime, generation = config.runtime, config.generation
    description = read_genai_folder(folder, precision=runtime.precision)
    tokenizer_file = folder / "tokenizer.json"
    if not tokenizer_file.exists():
        raise FolderError("tokenizer.json is missing")
    try:
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    except Exception as error:
        raise FolderError(f"tokenizer.json: {error}") from error
    vocabulary = read_vocabulary(tokenizer, description.vocabulary_size)
    progress(0.2)
    options = SessionOptions(
        intra_op_threads=runtime.intra_op_threads,
        spin_duration_us=runtime.spin_duration_us,
        execution_providers=runtime.execution_providers,
    )
    session = Session(description.graph, options)
    progress(0.9)
    decoder = Decoder(
        session,
        description.names,
        num_layers=description.num_layers,
        vocabulary_size=description.vocabulary_size,
        slots=generation.slots,
        capacity=min(description.context_length, generation.max_context_tokens),
    )
    engine = Engine(decoder, queue_size=generation.queue_size, prefill_chunk_tokens=generation.prefill_chunk_tokens)
    progress(1.0)
    return GenaiModel(folder.name, description, tokenizer, vocabulary, session.execution_provider, engine)


class GenaiModel:
    """Implements capabilities.TextGenerator and capabilities.ServedModel."""

    def __init__(
        self,
        name: str,
        folder: GenaiFolder,
        tokenizer: Tokenizer,
        vocabulary: Vocabulary,
        execution_provider: str,
        engine: Engine,
    ) -> None:
        self._name = name
        self._vocabulary = vocabulary
        self._end_ids = folder.end_ids
        self._prompts = PromptEncoder(
            name,
            tokenizer,
            vocabulary,
            chat_template=folder.chat_template,
            template_variables=folder.template_variables,
        )
        self._engine = engine
        self._executor = ThreadPoolExecutor(_TOKENIZER_THREADS, thread_name_prefix="tokenize")
        self.execution_provider = execution_provider
        context = engine.capacity
        self.limits = ModelLimits(
            max_input_tokens=context - 1,
            max_output_tokens=context - 1,
            max_context_tokens=context,
            max_candidates=engine.slots,
            vocabulary_size=folder.vocabulary_size,
        )
        stated = folder.sampling_defaults
        self.sampling_defaults: SamplingDefaults = dataclasses.replace(
            stated,
            max_output_tokens=min(stated.max_output_tokens, self.limits.max_output_tokens),
            candidate_count=min(stated.candidate_count, self.limits.max_candidates),
        )

    @property
    def engine(self) -> Engine:
        """For tests and telemetry: counts of accepted sequences and live KV slots."""
        return self._engine

    @property
    def workload(self) -> Workload:
        return self._engine.workload

    async def warm_up(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._engine.warm_up)
        self._engine.start()

    async def close(self, grace_s: float) -> None:
        await self._engine.close(grace_s)
        self._executor.shutdown(wait=False)

    def describe(self, ids: Sequence[int]) -> Sequence[PromptToken]:
        special, spelled = self._vocabulary.special, self._vocabulary.token_bytes
        return [
            PromptToken(id=i, token_bytes=special[i].encode() if i in special else spelled[i], is_special=i in special)
            for i in ids
        ]

    async def generate(self, request: GenerationRequest, *, deadline_s: float) -> Answer:
        accepted_s = time.monotonic()
        stop = self._stop_conditions(request.sampling)
        ids = await self.tokenize(request.prompt)
        if len(ids) > self.limits.max_input_tokens:
            raise InputTooLong(input_field(request.prompt), len(ids), self.limits.max_input_tokens)
        defaults, sampling = self.sampling_defaults, request.sampling
        count = _given(sampling.candidate_count, defaults.candidate_count)
        candidates = [
            Candidate(
                index,
                self._vocabulary.token_bytes,
                TextAssembler(sampling.stop_sequences, include_stop=request.include_stop_sequence),
                min_tokens=stop.min_tokens,
            )
            for index in range(count)
        ]
        decode_request = DecodeRequest(
            ids,
            listeners=candidates,
            sampling=_parameters(sampling, defaults),
            stop=stop,
            deadline_s=deadline_s,
            vocabulary_size=self.limits.vocabulary_size,
            top_logprobs=request.top_logprobs,
        )
        try:
            self._engine.submit(decode_request)
        except EngineClosedError as error:
            raise CallAborted(self._name) from error
        return Answer(
            self._engine,
            decode_request,
            candidates,
            model=self._name,
            input_characters=num_characters(request.prompt),
            accepted_s=accepted_s,
        )

    def _stop_conditions(self, sampling: SamplingOverrides) -> StopConditions:
        max_tokens = _given(sampling.max_output_tokens, self.sampling_defaults.max_output_tokens)
        return StopConditions(
            max_tokens=max_tokens,
            min_tokens=_given(sampling.min_output_tokens, min(self.sampling_defaults.min_output_tokens, max_tokens)),
            end_ids=self._end_ids | set(sampling.stop_token_ids),
        )

    async def tokenize(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, TokenPrompt):
            return list(prompt.ids)
        ids = self._prompts.encode_at_once(prompt)
        if ids is None:
            loop = asyncio.get_running_loop()
            ids = await loop.run_in_executor(self._executor, self._prompts.encode, prompt)
        if not ids:
            raise InvalidArgument(FieldViolation(input_field(prompt), "has no tokens"))
        return ids


def _parameters(sampling: SamplingOverrides, defaults: SamplingDefaults) -> SamplingParameters:
    return SamplingParameters(
        temperature=_given(sampling.temperature, defaults.temperature),
        top_p=_given(sampling.top_p, defaults.top_p),
        top_k=_given(sampling.top_k, defaults.top_k),
        min_p=_given(sampling.min_p, defaults.min_p),
        repetition_penalty=_given(sampling.repetition_penalty, defaults.repetition_penalty),
        frequency_penalty=_given(sampling.frequency_penalty, defaults.frequency_penalty),
        presence_penalty=_given(sampling.presence_penalty, defaults.presence_penalty),
        logit_bias=sampling.logit_bias,
        seed=sampling.seed,
    )


def _given(value: _T | None, default: _T) -> _T:
    return default if value is None else value
