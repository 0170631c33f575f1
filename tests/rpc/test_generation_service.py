"""TextGenerationService with the real default model, over a real channel."""

import dataclasses
import math
from typing import Any  # fields of many types, by name

import grpc
import pytest

from tests.rpc.generating import Stub, generate, refused, stream, text_of
from tests.rpc.requests import chat, greedy
from tests.serving import MODEL, RunningServer, wait_until
from trivium.v1 import common_pb2
from trivium.v1 import generation_pb2 as pb


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[Stub]:
    return Stub


class TestAnswers:
    """What comes back when all is well."""

    def test_streamed_equals_whole(self, grpc_stub: Stub) -> None:
        for source in (
            greedy("Name three colours."),
            chat("Say hi in Chinese and with an emoji.", temperature=1.0, candidate_count=3, max_output_tokens=24),
        ):
            source.output.include_token_ids = True
            whole = generate(grpc_stub, source)
            for min_tokens in (1, 5, 1024):
                events = stream(grpc_stub, source, min_tokens_per_event=min_tokens)
                for candidate in whole.candidates:
                    deltas = [
                        e.delta for e in events if e.HasField("delta") and e.delta.candidate_index == candidate.index
                    ]
                    assert "".join(d.text for d in deltas) == text_of(candidate)
                    assert [i for d in deltas for i in d.token_ids] == list(candidate.token_ids)
                    assert all(len(d.token_ids) == d.token_count for d in deltas)
                    assert all(d.token_count >= min_tokens for d in deltas[:-1])
                    (end,) = [
                        e.candidate_finished
                        for e in events
                        if e.HasField("candidate_finished") and e.candidate_finished.candidate_index == candidate.index
                    ]
                    assert end.finish_reason == candidate.finish_reason

    def test_stream_has_its_shape(self, grpc_stub: Stub) -> None:
        events = stream(grpc_stub, greedy("Name three colours."))
        kinds = [event.WhichOneof("event") for event in events]
        assert [event.sequence for event in events] == list(range(len(events)))
        assert kinds[0] == "started"
        assert kinds[-2:] == ["candidate_finished", "completed"]
        assert set(kinds[1:-2]) == {"delta"}
        started, completed = events[0].started, events[-1].completed
        assert started.model == completed.info.model
        assert started.model.name == MODEL
        assert started.input_tokens == completed.info.usage.tokens.input_tokens

    def test_call_info_counts_right(self, grpc_stub: Stub) -> None:
        source = greedy("Name three colours.")
        source.output.include_token_ids = True
        answer, call = grpc_stub.Generate.with_call(
            pb.GenerateRequest(input=source), metadata=(("x-request-id", "r-1"),)
        )
        count = grpc_stub.CountTokens(pb.CountTokensRequest(input=source))
        info = answer.info
        assert info.request_id == "r-1"
        assert info.usage.tokens.input_tokens == count.token_count
        assert info.usage.tokens.output_tokens == len(answer.candidates[0].token_ids)
        assert info.usage.input_characters == len("Name three colours.")
        assert info.model.digest.startswith("sha256:")
        assert len(answer.response_id) == 32
        total = info.timing.total_duration.ToNanoseconds()
        assert 0 < info.timing.first_output_duration.ToNanoseconds() <= total
        assert 0 < info.timing.inference_duration.ToNanoseconds() <= total
        trailing: dict[str, Any] = dict(call.trailing_metadata())
        assert common_pb2.Usage.FromString(trailing["trivium-usage-bin"]) == info.usage
        assert trailing["x-request-id"] == "r-1"
        assert trailing["trivium-instance"]

    def test_same_seed_gives_the_same_text(self, grpc_stub: Stub) -> None:
        texts = [text_of(generate(grpc_stub, chat("Tell me a story.", seed=5)).candidates[0]) for _ in range(2)]
        assert texts[0] == texts[1]

    def test_text_and_tokens_of_the_same_prompt_agree(self, grpc_stub: Stub) -> None:
        sampling = pb.SamplingParameters(temperature=0, max_output_tokens=8)
        by_text = pb.GenerationInput(model=MODEL, text="The capital of France is", sampling=sampling)
        counted = grpc_stub.CountTokens(pb.CountTokensRequest(input=by_text, include_tokens=True))
        assert b"".join(token.token_bytes for token in counted.tokens).decode() == by_text.text
        ids = pb.TokenSequence(ids=[token.id for token in counted.tokens])
        by_ids = pb.GenerationInput(model=MODEL, tokens=ids, sampling=sampling)
        assert text_of(generate(grpc_stub, by_text).candidates[0]) == text_of(generate(grpc_stub, by_ids).candidates[0])

    def test_system_instruction_is_a_first_system_message(self, grpc_stub: Stub) -> None:
        instructed, spelled = greedy("Hi"), greedy("Hi")
        instructed.conversation.system_instruction = "Speak like a pirate."
        spelled.conversation.messages.insert(
            0,
            pb.ChatMessage(
                role=pb.CHAT_ROLE_SYSTEM, parts=[pb.ContentPart(text="Speak like "), pb.ContentPart(text="a pirate.")]
            ),
        )
        counts = [grpc_stub.CountTokens(pb.CountTokensRequest(input=s)).token_count for s in (instructed, spelled)]
        assert counts[0] == counts[1]
        assert generate(grpc_stub, instructed).candidates == generate(grpc_stub, spelled).candidates

    def test_logprobs_come_one_for_each_token(self, grpc_stub: Stub) -> None:
        source = greedy("Name a colour.")
        source.output.top_logprobs = 3
        source.output.include_token_ids = True
        (candidate,) = generate(grpc_stub, source).candidates
        assert [entry.token_id for entry in candidate.logprobs] == list(candidate.token_ids)
        for entry in candidate.logprobs:
            assert entry.logprob <= 0
            assert len(entry.alternatives) == 3
            assert entry.alternatives[0].token_id == entry.token_id, "greedy takes the likeliest"
        streamed = [entry for event in stream(grpc_stub, source) for entry in event.delta.logprobs]
        assert streamed == list(candidate.logprobs)

    def test_stop_sequence_ends_and_is_told(self, grpc_stub: Stub) -> None:
        plain = text_of(generate(grpc_stub, greedy("Name three colours.")).candidates[0])
        stop = plain[5:9]
        source = greedy("Name three colours.", stop_sequences=[stop])
        (cut,) = generate(grpc_stub, source).candidates
        assert cut.finish_reason == pb.FINISH_REASON_STOP_SEQUENCE
        assert cut.matched_stop_sequence == stop
        assert text_of(cut) == plain[: plain.index(stop)]
        source.output.include_stop_sequence = True
        (kept,) = generate(grpc_stub, source).candidates
        assert text_of(kept) == plain[: plain.index(stop) + len(stop)]

    def test_count_tokens_ignores_sampling_and_may_exceed_the_context(self, grpc_stub: Stub) -> None:
        source = chat("word " * 5000, temperature=math.nan, max_output_tokens=-1)
        counted = grpc_stub.CountTokens(pb.CountTokensRequest(input=source))
        assert counted.token_count > counted.context_limit == 1024
        assert not counted.tokens
        assert counted.info.request_id


def live_slots(server: RunningServer) -> int:
    from trivium_server.architectures.genai import GenaiModel

    async def count() -> int:
        with server.app.catalog.lease(MODEL, GenaiModel) as lease:
            return lease.model.engine.num_live_slots

    return server.run(count())


class TestEndings:
    """Deadlines and cancels."""

    @pytest.fixture
    def long_input(self) -> pb.GenerationInput:
        # Forbidding the end keeps the model talking.
        return chat("Tell me a very long story.", max_output_tokens=900, min_output_tokens=900)

    def test_cancelled_returns_slot_and_is_metered(
        self, grpc_stub: Stub, server: RunningServer, long_input: pb.GenerationInput
    ) -> None:
        call = grpc_stub.StreamGenerate(pb.StreamGenerateRequest(input=long_input))
        for event in call:
            if event.sequence == 3:
                break
        assert live_slots(server) == 1
        call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
        assert wait_until(lambda: live_slots(server) == 0)
        assert wait_until(lambda: server.metrics.records[-1].status == "CANCELLED")
        record = server.metrics.records[-1]
        assert record.input_tokens > 0
        assert 0 < record.output_tokens < 900

    @pytest.mark.parametrize("is_streamed", [True, False])
    def test_deadline_ends_with_reason_and_usage(
        self, server: RunningServer, long_input: pb.GenerationInput, *, is_streamed: bool
    ) -> None:
        def call(stub: Stub) -> object:
            if is_streamed:
                return list(stub.StreamGenerate(pb.StreamGenerateRequest(input=long_input), timeout=60))
            return stub.Generate(pb.GenerateRequest(input=long_input), timeout=60)

        # The server's own limit: the caller's clock, which gives no reason, cannot be the first to end the call.
        with SecondDoor(server, max_deadline_s=3.0) as channel:
            failure = refused(lambda: call(Stub(channel)))
        assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        used = common_pb2.Usage.FromString(failure.trailing["trivium-usage-bin"])
        assert used.tokens.input_tokens > 0
        assert used.tokens.output_tokens > 0
        assert wait_until(lambda: live_slots(server) == 0)

    def test_heartbeats_come_while_nothing_else_does(
        self, server: RunningServer, model_input: pb.GenerationInput
    ) -> None:
        with SecondDoor(server, heartbeat_s=0.001) as channel:
            request = pb.StreamGenerateRequest(
                input=model_input, stream=pb.StreamOptions(emit_heartbeats=True, min_tokens_per_event=1024)
            )
            events = list(Stub(channel).StreamGenerate(request, timeout=60))
        kinds = [event.WhichOneof("event") for event in events]
        assert "heartbeat" in kinds
        assert [event.sequence for event in events] == list(range(len(events)))
        assert kinds[-3:] == ["delta", "candidate_finished", "completed"]
        beats = [event.heartbeat for event in events if event.HasField("heartbeat")]
        assert all(beat.server_time.seconds > 1_700_000_000 for beat in beats)

    @pytest.fixture
    def model_input(self) -> pb.GenerationInput:
        return chat("Tell me a long story.", max_output_tokens=40, min_output_tokens=40)


class SecondDoor:
    """Another way to the same catalog, with heartbeats and a limit of its own."""

    def __init__(self, server: RunningServer, *, heartbeat_s: float = 60.0, max_deadline_s: float = 3600.0) -> None:
        self._server = server
        self._heartbeat_s = heartbeat_s
        self._limits = dataclasses.replace(server.config.limits, max_deadline_s=max_deadline_s)

    def __enter__(self) -> grpc.Channel:
        port = self._server.run(self._start())
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        return self._channel

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._server.run(self._door.stop(0))

    async def _start(self) -> int:
        from trivium.v1.generation_pb2_grpc import add_TextGenerationServiceServicer_to_server
        from trivium_server.rpc.admission import Admission
        from trivium_server.rpc.boundary import Boundary
        from trivium_server.rpc.generation import TextGenerationService

        boundary = Boundary(
            limits=self._limits, admission=Admission(4), metrics=self._server.metrics, instance_id="door"
        )
        self._door = grpc.aio.server(interceptors=(boundary,))
        service = TextGenerationService(self._server.app.catalog, self._limits, heartbeat_s=self._heartbeat_s)
        add_TextGenerationServiceServicer_to_server(service, self._door)
        port = self._door.add_insecure_port("127.0.0.1:0")
        await self._door.start()
        return port
