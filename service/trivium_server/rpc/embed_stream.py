"""A stream of texts to embed: read as the model takes them, answered in their order.

Two tasks share the work. The pump carries texts to the model and what becomes of them back; the caller's own task takes
results and writes them. Neither runs far ahead: the pump waits until results were taken before it asks the model for
more, and a caller that does not read its results has no more texts read.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

from trivium.v1 import embedding_pb2 as pb
from trivium_server.architectures.text_capabilities import Embedded, Outcome
from trivium_server.errors import FieldViolation, InputTooLarge, InvalidArgument, StreamProtocolViolation
from trivium_server.rpc.embed_results import EmbedCall, write_result
from trivium_server.rpc.text_items import text_error
from trivium_server.rpc.violations import Violations

MAX_STREAM_ITEMS = 2**31 - 1
MAX_MESSAGE_BYTES = 1024 * 1024
# Of a message, beside its results, and of a result, beside its content.
_MESSAGE_OVERHEAD_BYTES = 32
_RESULT_OVERHEAD_BYTES = 6
# Reading goes on while fewer items, of fewer characters, than this were read whose results were not taken.
_MAX_ITEMS_AHEAD = 2048
_MAX_CHARACTERS_AHEAD = 4 * 1024 * 1024


@dataclass(slots=True)
class _Item:
    """An item of the stream; `outcome` is None until it is known. num_characters: of its id and its text."""

    item_id: str
    num_characters: int
    outcome: Outcome[Embedded] | None


class _Order:
    """Items in the order in which they came, and what is known of them. Lives on the event loop."""

    def __init__(self) -> None:
        self._items: deque[_Item] = deque()
        self._at_model: deque[_Item] = deque()
        self._num_in_hand = 0
        self._num_characters = 0
        self._num_characters_in_hand = 0
        self._has_ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._all_taken = asyncio.Event()

    def add(self, item: _Item) -> None:
        """Takes the next item. One whose outcome is not known must be given to the model."""
        self._items.append(item)
        self._num_characters += item.num_characters
        if item.outcome is None:
            self._at_model.append(item)
        elif len(self._items) == 1:
            self._changed.set()

    def resolve(self, outcomes: Sequence[Outcome[Embedded]]) -> None:
        """Takes what became of the next items that were given to the model."""
        for outcome in outcomes:
            self._at_model.popleft().outcome = outcome
        self._all_taken.clear()
        self._changed.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._has_ended = True
        self._changed.set()

    async def take(self) -> list[_Item]:
        """Removes and returns the items whose turn it is; empty once there will be none."""
        while True:
            taken = []
            while self._items and self._items[0].outcome is not None:
                taken.append(self._items.popleft())
            self._num_in_hand = len(taken)
            self._num_characters_in_hand = sum(item.num_characters for item in taken)
            self._num_characters -= self._num_characters_in_hand
            self._room.set()
            if taken:
                return taken
            self._all_taken.set()
            if self._has_ended:
                return []
            self._changed.clear()
            await self._changed.wait()

    async def all_taken(self) -> None:
        """Waits until nothing that is known is left, what was taken last included."""
        await self._all_taken.wait()

    async def has_room(self) -> None:
        """Waits until little is ahead of what the caller has taken."""
        while (
            len(self._items) + self._num_in_hand >= _MAX_ITEMS_AHEAD
            or self._num_characters + self._num_characters_in_hand >= _MAX_CHARACTERS_AHEAD
        ):
            self._room.clear()
            await self._room.wait()


class EmbedStream:
    """One stream, after its setup. requests: the messages that follow."""

    def __init__(self, call: EmbedCall, requests: AsyncIterator[pb.StreamEmbedRequest]) -> None:
        self.num_succeeded = 0
        self.num_failed = 0
        self._call = call
        self._requests = requests
        self._order = _Order()
        self._num_items = 0

    async def results(self) -> AsyncGenerator[list[pb.EmbedResult]]:
        """Yields the results of the next items, as many as fit into one message.

        Raises StreamProtocolViolation, InvalidArgument or InputTooLarge for a message of the caller, once the results
        that are known before it were yielded, and what the model raises. Wrap it in contextlib.aclosing.
        """
        pump = asyncio.create_task(self._pump(), name="texts to embed")
        try:
            group: list[pb.EmbedResult] = []
            index = 0
            while items := await self._order.take():
                size = _MESSAGE_OVERHEAD_BYTES
                for item in items:
                    result = self._result(index, item)
                    index += 1
                    result_size = result.ByteSize() + _RESULT_OVERHEAD_BYTES
                    if group and size + result_size > MAX_MESSAGE_BYTES:
                        yield group
                        group, size = [], _MESSAGE_OVERHEAD_BYTES
                    group.append(result)
                    size += result_size
                    await self._call.pacer.pause()
                yield group
                group = []
            await pump
        finally:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    def _result(self, index: int, item: _Item) -> pb.EmbedResult:
        assert item.outcome is not None, "taken before it was known"
        result = pb.EmbedResult(item_id=item.item_id, index=index)
        write_result(result, item.outcome, self._call)
        item.outcome = None  # in the message now; the arrays are not needed twice
        if result.HasField("embedding"):
            self.num_succeeded += 1
            if self._call.first_output_s is None:
                self._call.first_output_s = self._call.call.elapsed_s()
        else:
            self.num_failed += 1
        return result

    async def _pump(self) -> None:
        call = self._call
        try:
            async with contextlib.aclosing(self._texts()) as texts:
                answers = call.model.embed_stream(
                    texts, call.spec.options, deadline_s=call.call.deadline_s, meter=call.meter
                )
                async with contextlib.aclosing(answers) as groups:
                    async for outcomes in groups:
                        self._order.resolve(outcomes)
                        await self._order.all_taken()
        finally:
            self._order.end()

    async def _texts(self) -> AsyncGenerator[list[str]]:
        """Yields the texts of each message that the model may read."""
        async for request in self._requests:
            texts = []
            for item in self._items(request):
                error = text_error(item.text, "text", item.item_id)
                self._order.add(_Item(item.item_id, len(item.item_id) + len(item.text), error))
                if error is None:
                    texts.append(item.text)
                await self._call.pacer.pause()
            if texts:
                yield texts
            await self._order.has_room()

    def _items(self, request: pb.StreamEmbedRequest) -> Sequence[pb.EmbedItem]:
        kind = request.WhichOneof("request")
        if kind == "setup":
            raise StreamProtocolViolation("setup", "came again; only the first message may be a setup")
        if kind is None:
            raise InvalidArgument(FieldViolation("request", "is required: one of setup, items"))
        items = request.items.items
        found = Violations()
        found.count("embed.items", len(items), "items.items", at_least=1)
        found.raise_if_any()
        self._num_items += len(items)
        if self._num_items > MAX_STREAM_ITEMS:
            raise InputTooLarge("items.items", self._num_items, MAX_STREAM_ITEMS, "items on one stream")
        return items
