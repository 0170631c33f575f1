"""What all text encoders are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from trivium_server.architectures.encoder.engine import EncoderEngine
from trivium_server.architectures.encoder.graph import EncoderGraph, Output, Result
from trivium_server.architectures.text_capabilities import Truncation
from trivium_server.config import EncodingConfig
from trivium_server.errors import InputTooLong, TriviumError, UnsupportedFeature
from trivium_server.runtime.batcher import BatcherStats
from trivium_server.runtime.workload import Workload
from trivium_server.text.encoder_tokenizer import EncoderTokenizer, Keep

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderParts:
    """A model's name, and what was read from its folder."""

    name: str
    tokenizer: EncoderTokenizer
    graph: EncoderGraph
    execution_provider: str
    config: EncodingConfig


class Encoder(Generic[Result]):
    """Implements capabilities.ServedModel and text_capabilities.EncoderModel."""

    def __init__(self, parts: EncoderParts, outputs: Sequence[Output]) -> None:
        """outputs: those of the graph that calls ask for."""
        self.max_input_tokens = parts.tokenizer.max_tokens
        self.execution_provider = parts.execution_provider
        self._tokenizer = parts.tokenizer
        self._engine: EncoderEngine[Result] = EncoderEngine(
            parts.graph, outputs, model=parts.name, max_tokens=self.max_input_tokens, config=parts.config
        )

    @property
    def stats(self) -> BatcherStats:
        """For tests and telemetry: what waits and runs."""
        return self._engine.stats

    @property
    def workload(self) -> Workload:
        return self._engine.workload

    async def warm_up(self) -> None:
        await self._engine.warm_up()

    async def close(self, grace_s: float) -> None:
        await self._engine.close(grace_s)


def keep(truncation: Truncation) -> Keep:
    """Returns what stays of a text that is too long."""
    kept: dict[Truncation, Keep] = {Truncation.KEEP_START: "start", Truncation.KEEP_END: "end"}
    return kept.get(truncation)


def raised_for(outcome: _T | TriviumError, field: str) -> _T:
    """Returns the outcome of a text on which the whole call depends. Raises its error, for the field that it was in."""
    if isinstance(outcome, InputTooLong):
        raise InputTooLong(field, int(outcome.metadata["actual"]), int(outcome.metadata["limit"]))
    if isinstance(outcome, UnsupportedFeature):
        raise UnsupportedFeature(field, outcome.violations[0].description)
    if isinstance(outcome, TriviumError):
        raise outcome
    return outcome
