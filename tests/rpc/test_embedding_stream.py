"""StreamEmbed over a real channel: order, flow control both ways, cancels, usage. Models are toys of toy_encoders."""

import queue
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.rpc.embedding import EMBEDDER, TOO_LONG, embed, messages, reason_of, results_of
from tests.rpc.generating import refused
from tests.rpc.toy_encoders import ToyServer
from tests.serving import wait_until
from trivium.v1 import common_pb2
from trivium.v1 import embedding_pb2 as pb
from trivium.v1.embedding_pb2_grpc import EmbeddingServiceStub as Stub


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def stub(toys: ToyServer) -> Stub:
    return Stub(toys.channel)


class TestStream:
    """The same, with no end of items."""

    def test_stream_equals_unary(self, stub: Stub) -> None:
        texts = [f"text {place}" for place in range(300)]
        texts[7], texts[100], texts[299] = "", TOO_LONG, ""
        for config in (
            {},
            {"encoding": pb.VECTOR_ENCODING_INT8_BYTES, "dimensions": 4},
            {"kind": pb.EMBEDDING_KIND_SPARSE},
            {"kind": pb.EMBEDDING_KIND_PER_TOKEN, "encoding": pb.VECTOR_ENCODING_BINARY_BYTES},
            {"truncation": common_pb2.TRUNCATION_POLICY_KEEP_END, "purpose": pb.EMBED_PURPOSE_QUERY},
        ):
            whole = embed(stub, *texts, **config)
            for step in (1, 7, 300):
                groups = [texts[start : start + step] for start in range(0, 300, step)]
                events = list(stub.StreamEmbed(messages(groups, **config), metadata=(("x-request-id", "same"),)))
                assert [strip(result) for result in results_of(events)] == [strip(result) for result in whole.results]
                completed = events[-1].completed
                failed = sum(result.HasField("error") for result in whole.results)
                assert (completed.succeeded_count, completed.failed_count) == (300 - failed, failed)
                assert completed.info.usage.tokens == whole.info.usage.tokens
                assert [w.code for w in completed.info.warnings] == [w.code for w in whole.info.warnings]

    def test_stream_has_its_shape(self, stub: Stub) -> None:
        events = list(stub.StreamEmbed(messages([["a"], ["b", ""]])))
        kinds = [event.WhichOneof("event") for event in events]
        assert [event.sequence for event in events] == list(range(len(events)))
        assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("started", "completed", {"results"})
        assert events[0].started.model == events[-1].completed.info.model
        timing = events[-1].completed.info.timing
        assert 0 < timing.first_output_duration.ToNanoseconds() <= timing.total_duration.ToNanoseconds()

    def test_stream_without_items_completes(self, stub: Stub) -> None:
        events = list(stub.StreamEmbed(messages([])))
        assert [event.WhichOneof("event") for event in events] == ["started", "completed"]
        assert events[1].completed.succeeded_count == 0

    def test_each_item_is_answered_before_the_next_is_sent(self, stub: Stub) -> None:
        """Bad ones too, which the model never hears of."""
        to_send: queue.SimpleQueue[pb.StreamEmbedRequest | None] = queue.SimpleQueue()
        events = iter(stub.StreamEmbed(iter(to_send.get, None), timeout=30))
        for place, message in enumerate(messages([["a"], [""], ["b"], [""], ["", "c"]])):
            to_send.put(message)
            if place == 0:
                assert next(events).HasField("started")
                continue
            results: list[pb.EmbedResult] = []
            while len(results) < len(message.items.items):
                results += next(events).results.results
            assert [result.item_id for result in results] == [item.item_id for item in message.items.items]
        to_send.put(None)
        assert next(events).HasField("completed")

    def test_messages_of_results_have_at_most_1_mib(self, stub: Stub) -> None:
        texts = [str(place) for place in range(500)]
        events = list(stub.StreamEmbed(messages([texts], model="toy-wide")))
        sizes = [event.ByteSize() for event in events if event.HasField("results")]
        assert max(sizes) <= 1024 * 1024
        # The toy gives a hundred at a time, which are 1.6 MiB.
        assert len(sizes) <= 10
        assert [result.index for result in results_of(events)] == list(range(500))

    def test_a_single_result_may_be_larger(self, stub: Stub) -> None:
        words = " ".join(map(str, range(16)))
        long_id = pb.StreamEmbedRequest()
        long_id.items.items.add(item_id="x" * (2 * 1024 * 1024), text="b")
        sent = [*messages([[words]], model="toy-wide", kind=pb.EMBEDDING_KIND_PER_TOKEN), long_id]
        events = list(stub.StreamEmbed(iter(sent)))
        assert [len(event.results.results) for event in events] == [0, 1, 1, 0]
        assert events[2].results.results[0].item_id == "x" * (2 * 1024 * 1024)

    def test_an_item_of_more_than_16_mib_fails_alone(self, stub: Stub) -> None:
        words = "one two three four five six seven eight"
        sent = messages([[words], [words + " nine"], ["one"]], model="toy-huge", kind=pb.EMBEDDING_KIND_PER_TOKEN)
        results = results_of(stub.StreamEmbed(sent, timeout=30))
        assert [result.WhichOneof("outcome") for result in results] == ["embedding", "error", "embedding"]
        assert reason_of(results[1].error) == (
            "INPUT_TOO_LARGE",
            {"text": "has 18874368 bytes of vectors; the limit is 16777216"},
        )
        assert results[1].input_tokens == 0

    @pytest.mark.parametrize(("text", "count"), [("word", 100_000), ("", 20_000)])
    def test_any_number_of_items_pass_at_flat_memory(self, stub: Stub, toys: ToyServer, text: str, count: int) -> None:
        sent = messages(
            ([text] * 100 for _ in range(count // 100)), model="toy-wide", encoding=pb.VECTOR_ENCODING_INT8_BYTES
        )
        before, most, num_received = resident_bytes(), 0, 0
        for event in stub.StreamEmbed(sent, timeout=120):
            for result in event.results.results:
                assert result.index == num_received
                num_received += 1
            most = max(most, resident_bytes())
        assert num_received == count
        counts = event.completed.succeeded_count, event.completed.failed_count
        assert counts == ((count, 0) if text else (0, count))
        assert most - before < 100_000_000, "of 400 MB that went through"
        assert toys.models["toy-wide"].num_under_way == 0

    @pytest.mark.parametrize("is_good", [True, False])
    def test_slow_reader_stops_reading(self, toys: ToyServer, *, is_good: bool) -> None:
        model = toys.models["toy-wide"]
        before, num_sent, padding = model.num_read, 0, "x" * 10_000

        def count_sent() -> Iterator[pb.StreamEmbedRequest]:
            nonlocal num_sent
            for message in messages(([padding] * 20 for _ in range(5000)), model="toy-wide"):
                for item in message.items.items:
                    item.item_id += "" if is_good else padding
                num_sent += len(message.items.items)
                yield message

        # Without the probe the windows of HTTP/2 are small and stay so.
        with grpc.insecure_channel(toys.address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
            call = Stub(channel).StreamEmbed(count_sent(), timeout=60)
            assert next(iter(call)).HasField("started")
            # What stands still for a second has stopped; nothing is read here meanwhile.
            last = -1
            while num_sent != last:
                last = num_sent
                time.sleep(1)
            call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
        assert num_sent < 6000
        assert model.num_read - before < 1000
        assert wait_until(lambda: toys.admission.in_flight == 0)

    def test_few_huge_items_stop_reading_too(self, toys: ToyServer) -> None:
        """Items are counted by their size, ids that are refused included: here each one is 2 MB."""
        num_sent = 0

        def huge() -> Iterator[pb.StreamEmbedRequest]:
            nonlocal num_sent
            for message in messages([["a"]] * 200):
                for item in message.items.items:
                    item.item_id = "x" * 2_000_000
                num_sent += len(message.items.items)
                yield message

        with grpc.insecure_channel(toys.address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
            call = Stub(channel).StreamEmbed(huge(), timeout=60)
            events = iter(call)
            assert next(events).HasField("started")
            last = -1
            while num_sent != last:
                last = num_sent
                time.sleep(1)
            assert num_sent < 50
            # Read on, all of them come.
            assert len(results_of(events)) == 200
        assert num_sent == 200

    def test_vanished_client_leaves_no_work(self, stub: Stub, toys: ToyServer) -> None:
        model = toys.models[EMBEDDER]
        toys.set_gate(EMBEDDER, is_open=False)
        call = stub.StreamEmbed(messages([["a", "b"]] * 50))
        assert next(iter(call)).HasField("started")
        assert wait_until(lambda: model.num_under_way == 1)
        call.cancel()  # type: ignore[no-untyped-call]  # grpc-stubs
        assert wait_until(lambda: model.num_under_way == 0)
        assert wait_until(lambda: toys.admission.in_flight == 0)
        toys.set_gate(EMBEDDER, is_open=True)
        assert wait_until(lambda: toys.metrics.records[-1].status == "CANCELLED")
        assert embed(stub, "still there").results[0].HasField("embedding")
        assert toys.thread.run(_tasks_named("texts to embed")) == 0

    def test_results_before_an_error_arrive(self, stub: Stub) -> None:
        sent = [*messages([["a"], ["b"]]), *messages([])]
        call = stub.StreamEmbed(iter(sent), timeout=60)
        events = []

        def read() -> None:
            for event in call:
                events.append(event)  # noqa: PERF402  those before the error count

        assert refused(read).reason == "STREAM_PROTOCOL_VIOLATION"
        assert [result.item_id for result in results_of(events)] == ["id-0", "id-1"]

    def test_stream_without_a_deadline_has_the_longest(self, toys: ToyServer) -> None:
        from trivium_server.rpc.methods import method_named

        assert method_named("/trivium.v1.EmbeddingService/StreamEmbed").is_long
        assert not method_named("/trivium.v1.EmbeddingService/Embed").is_long


async def _tasks_named(name: str) -> int:
    import asyncio

    return sum(task.get_name() == name for task in asyncio.all_tasks())


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def strip(result: pb.EmbedResult) -> bytes:
    """The result without the id of its call."""
    if result.HasField("error"):
        del result.error.details[2:]
    return result.SerializeToString()
