"""The blocking client's face for text generation."""

from collections.abc import Iterator
from typing import Unpack

from trivium import _calls
from trivium._assembly import GenerationAssembly
from trivium._call_settings import stream_options, unary_options
from trivium._metadata import Metadata
from trivium._replay import GenerationReplay
from trivium._retry import Deadline
from trivium._sync_models import ModelChoice
from trivium._sync_transport import SyncStream, SyncTransport
from trivium.generation import Delta, GenerationEvent, GenerationResult, Started, TokenCount
from trivium.models import Capability
from trivium.prompts import Prompt, generation_input
from trivium.sampling import Sampling, SamplingOptions, apply_options
from trivium.settings import CallOptions
from trivium.v1 import generation_pb2

__all__ = ["TextClient", "TextStream"]


class TextStream(
    SyncStream[generation_pb2.StreamGenerateRequest, generation_pb2.StreamGenerateResponse, GenerationEvent]
):
    """A streamed answer. Iterating it gives Delta; after the end, `result` is the whole answer.

        for delta in client.text.stream("What is photosynthesis, in one sentence?"):
            print(delta.text, end="")

    The call is sent when the first event is asked for. Reading to the end, leaving its `with` block, breaking out of
    the `for` loop and close() each end the call, at the server too. Not for several threads at once, except close().

    Where the connection breaks, an answer with a seed or temperature 0 and without log-probabilities goes on in another
    call, of which only what is new is given. Iterating raises ConnectionLost for any other, TruncatedStream where the
    answer is not whole, StreamIdleTimeout where nothing, not even a heartbeat, came for the idle limit, and any other
    TriviumError.
    """

    def __init__(self, text: "TextClient", request: generation_pb2.StreamGenerateRequest, options: CallOptions) -> None:
        self._assembly = GenerationAssembly()
        call: _calls.StreamCall[
            generation_pb2.StreamGenerateRequest, generation_pb2.StreamGenerateResponse, GenerationEvent
        ] = _calls.StreamCall(_calls.STREAM_GENERATE, request, self._assembly, GenerationReplay.of(request))
        super().__init__(
            text.transport, call, options, lambda deadline: text.fill_in_model(request.input, options, deadline)
        )

    def __iter__(self) -> Iterator[Delta]:
        for event in self.events():
            if isinstance(event, Delta):
                yield event

    def events(self) -> Iterator[GenerationEvent]:
        """Iterates all events and not just deltas."""
        return self._events()

    @property
    def started(self) -> Started | None:
        """The first event: response id, model, tokens of the prompt. None until it arrived."""
        return self._assembly.started

    @property
    def partial_text(self) -> str:
        """The text of the first candidate so far; also after a failure."""
        return self._assembly.text()

    @property
    def result(self) -> GenerationResult:
        """The whole answer. RuntimeError before the stream was read to its end."""
        return self._assembly.result()


class TextClient:
    """Generates text. Thread-safe.

    A prompt is a string (one message of the user), a list of messages, a Conversation, a TextPrompt (text to continue
    without a chat template) or a TokenPrompt; see trivium.prompts.

    Without `model`, the client's default_model is meant, else the only ready text model of the server, which is asked
    for at most every 30 seconds. ModelNotChosen where there is none or several.
    """

    def __init__(self, transport: SyncTransport) -> None:
        self.transport = transport
        self._choice = ModelChoice(transport, Capability.GENERATE_TEXT)

    def fill_in_model(self, built: generation_pb2.GenerationInput, options: CallOptions, deadline: Deadline) -> None:
        """Names the model that is meant where the request names none, within the deadline of the call."""
        if not built.model:
            built.model = self._choice.name(options, deadline)

    def generate(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        sampling: Sampling | None = None,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
        **options: Unpack[SamplingOptions],
    ) -> GenerationResult:
        """Generates the whole answer. Ctrl-C, or the time limit, stops the work at the server.

        options: temperature=0.7, max_output_tokens=100 and so on, see Sampling and SamplingOptions; they win over
            `sampling`.
        timeout_s: limit in seconds for everything that the call takes, finding its model and all attempts included;
            None is the client's timeout_s. math.inf sends no limit, and the server then applies its own: 60 s unless
            it is configured otherwise. It also cuts a limit of more than an hour to one hour.
        request_id: 1 to 128 characters of A-Z, a-z, 0-9 and . _ : / + = @ -; None makes a new one. All attempts carry
            the same.
        metadata: more metadata for this call, over the client's: text, or bytes under a key that ends in -bin.

        Raises TriviumError; TypeError or ValueError for arguments that cannot be sent.
        """
        built = generation_input(prompt, model)
        apply_options(built, sampling, options)
        call_options = unary_options(self.transport.settings, timeout_s, request_id, metadata)
        deadline = Deadline(call_options.timeout_s)
        self.fill_in_model(built, call_options, deadline)
        return self.transport.unary(_calls.generate(built), call_options, deadline)

    def stream(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        sampling: Sampling | None = None,
        timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
        min_tokens_per_event: int | None = None,
        emit_heartbeats: bool = True,
        request_id: str | None = None,
        metadata: Metadata | None = None,
        **options: Unpack[SamplingOptions],
    ) -> TextStream:
        """Generates an answer and returns it while it is made. Arguments are as for `generate`, and

        timeout_s: limit in seconds for the whole stream; None sends none, and the server then applies its own: 600 s
            unless it is configured otherwise. It also cuts a limit of more than an hour to one hour.
        idle_timeout_s: limit in seconds for the wait for one event; None is the client's idle_timeout_s, math.inf no
            limit. The server's heartbeats, one every 15 s, count as events.
        min_tokens_per_event: waits until a delta has this many tokens, 1 to 1024.
        """
        built = generation_input(prompt, model)
        apply_options(built, sampling, options)
        request = _calls.stream_request(built, min_tokens_per_event, emit_heartbeats)
        call_options = stream_options(self.transport.settings, timeout_s, idle_timeout_s, request_id, metadata)
        return TextStream(self, request, call_options)

    def count_tokens(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        include_tokens: bool = False,
        timeout_s: float | None = None,
        request_id: str | None = None,
        metadata: Metadata | None = None,
    ) -> TokenCount:
        """Counts the tokens that a prompt would have, chat template included, without running the model."""
        built = generation_input(prompt, model)
        call_options = unary_options(self.transport.settings, timeout_s, request_id, metadata)
        deadline = Deadline(call_options.timeout_s)
        self.fill_in_model(built, call_options, deadline)
        return self.transport.unary(_calls.count_tokens(built, include_tokens), call_options, deadline)
