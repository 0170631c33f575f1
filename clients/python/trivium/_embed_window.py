"""The texts of an embedding stream that have no result yet. Pure; the blocking and the asynchronous stream share it.

A stream that breaks is sent again from the first text without a result, so every text is kept until then. How many may
wait is bounded: the source is not read further meanwhile.
"""

from collections import deque
from dataclasses import dataclass

from trivium._embedding_calls import embed_item
from trivium._error_base import TriviumError, TruncatedStream
from trivium._error_types import ErrorReason, InputTooLarge
from trivium._text_input import Item
from trivium.v1 import embedding_pb2

MAX_AHEAD_ITEMS = 2048
MAX_AHEAD_BYTES = 4 * 1024 * 1024
MAX_MESSAGE_ITEMS = 128
MAX_MESSAGE_BYTES = 256 * 1024
MAX_TEXT_BYTES = 1024 * 1024
"""The contract's limit of one text. A larger one is not sent: it could exceed what a message may have, and would then
end the stream, and not just fail alone."""


@dataclass(frozen=True, slots=True)
class _Entry:
    item: embedding_pb2.EmbedItem
    size: int
    refusal: TriviumError | None


class EmbedWindow:
    """What was read from the source and has no result yet. Not for several threads at once: its owner locks."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._waiting: deque[_Entry] = deque()
        self._sent: deque[_Entry] = deque()  # with those between them that were refused here
        # Both without those that were refused here: the server owes nothing for them, so nobody may wait for it.
        self._num_to_answer = 0
        self._bytes = 0
        self._sent_in_call = 0
        self._answered_in_call = 0
        self.call_number = 0
        self.answered = 0
        self.is_source_over = False
        self.source_error: BaseException | None = None

    @property
    def has_room(self) -> bool:
        """Whether more may be read from the source."""
        return self._num_to_answer < MAX_AHEAD_ITEMS and self._bytes < MAX_AHEAD_BYTES

    @property
    def is_waiting_for_results(self) -> bool:
        """Whether the server owes something: results, or the end."""
        return self._sent_in_call > self._answered_in_call or (self.is_source_over and not self._waiting)

    @property
    def has_unanswered(self) -> bool:
        """Whether a text has no result yet, or may still come from the source."""
        return bool(self._waiting or self._sent) or not self.is_source_over

    def put(self, item: Item) -> None:
        """Takes the next text of the source."""
        size = len(item.text.encode())
        if size > MAX_TEXT_BYTES:
            self._waiting.append(_Entry(embed_item(Item(item.item_id, "")), 0, self._refusal(size)))
            return
        self._num_to_answer += 1
        self._bytes += size
        self._waiting.append(_Entry(embed_item(item), size, None))

    def _refusal(self, size: int) -> TriviumError:
        return InputTooLarge(
            f"text has {size} bytes; the limit is {MAX_TEXT_BYTES}",
            reason=ErrorReason.INPUT_TOO_LARGE,
            metadata={"field": "text", "actual": str(size), "limit": str(MAX_TEXT_BYTES)},
            request_id=self._request_id,
        )

    def end_source(self, error: BaseException | None = None) -> None:
        """The source has no more, or failed."""
        self.is_source_over, self.source_error = True, error

    def begin_call(self) -> int:
        """A new call begins, and the one before it is over: what has no result is sent again. Returns its number."""
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
        self._sent_in_call = self._answered_in_call = 0
        self.call_number += 1
        return self.call_number

    def take(self) -> list[embedding_pb2.EmbedItem]:
        """Returns the next items to send in one message; none where there are none now."""
        taken: list[embedding_pb2.EmbedItem] = []
        size = 0
        while self._waiting and len(taken) < MAX_MESSAGE_ITEMS:
            entry = self._waiting[0]
            if taken and entry.refusal is None and size + entry.size > MAX_MESSAGE_BYTES:
                break
            self._sent.append(self._waiting.popleft())
            if entry.refusal is None:
                taken.append(entry.item)
                size += entry.size
        self._sent_in_call += len(taken)
        return taken

    def answer(self, result: embedding_pb2.EmbedResult) -> int:
        """Takes a result off the server and returns the place of its text among all, from 0.

        Call refused() before it. Raises TruncatedStream for a result that is not the next one.
        """
        if not self._sent or result.index != self._answered_in_call or result.item_id != self._sent[0].item.item_id:
            raise TruncatedStream(f"result {self._answered_in_call} of the stream is missing; {result.index} came")
        self._answered_in_call += 1
        self._num_to_answer -= 1
        self._bytes -= self._sent.popleft().size
        self.answered += 1
        return self.answered - 1

    def refused(self) -> list[tuple[int, str, TriviumError]]:
        """Returns place, id and error of the texts whose turn it is and that were not sent."""
        found = []
        while self._sent and (refusal := self._sent[0].refusal) is not None:
            entry = self._sent.popleft()
            found.append((self.answered, entry.item.item_id, refusal))
            self.answered += 1
        return found
