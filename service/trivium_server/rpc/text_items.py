"""The many texts of a call: each is checked by itself, and fails by itself.

A text that fails here never reaches the model; `CheckedTexts.joined` puts what became of all in their order again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from trivium.v1 import common_pb2
from trivium_server.architectures.text_capabilities import Outcome, Truncation
from trivium_server.errors import InputTooLong, TriviumError
from trivium_server.rpc.pacing import Pacer
from trivium_server.rpc.violations import MAX_ITEM_ID_BYTES, Violations

_T = TypeVar("_T")
TRUNCATIONS: dict[int, Truncation] = {
    common_pb2.TRUNCATION_POLICY_UNSPECIFIED: Truncation.ERROR,
    **{common_pb2.TruncationPolicy.Value(f"TRUNCATION_POLICY_{policy.value}"): policy for policy in Truncation},
}


def truncation(value: int, path: str, found: Violations) -> Truncation:
    """Returns the policy that a request chooses."""
    return found.choice(path, value, TRUNCATIONS, "TruncationPolicy") or Truncation.ERROR


def text_error(text: str, text_field: str, item_id: str = "", id_field: str = "item_id") -> TriviumError | None:
    """Returns what is wrong with one text and its name, under those field names."""
    found = Violations()
    found.size(id_field, item_id, MAX_ITEM_ID_BYTES)
    found.text(text_field, text)
    return found.error()


@dataclass(slots=True)
class CheckedTexts:
    """The texts of a call that the model may read, in their order, and why the others may not, by index among all."""

    num_items: int = 0
    texts: list[str] = field(default_factory=list)
    errors: dict[int, TriviumError] = field(default_factory=dict)

    def add(self, text: str, error: TriviumError | None) -> None:
        """Takes the next text, with what `text_error` said of it."""
        if error:
            self.errors[self.num_items] = error
        else:
            self.texts.append(text)
        self.num_items += 1

    def joined(self, outcomes: Sequence[Outcome[_T]]) -> Iterator[Outcome[_T]]:
        """Yields what became of every text of the call. outcomes: the model's, for `texts`."""
        answers = iter(outcomes)
        for index in range(self.num_items):
            yield self.errors[index] if index in self.errors else next(answers)


async def checked_items(items: Iterable[tuple[str, str]], text_field: str, id_field: str, pacer: Pacer) -> CheckedTexts:
    """Checks items of a name and a text."""
    checked = CheckedTexts()
    for item_id, text in items:
        checked.add(text, text_error(text, text_field, item_id, id_field))
        await pacer.pause()
    return checked


def under_field(error: TriviumError, name: str) -> TriviumError:
    """Returns what a model says of a `text` as it is said of another field."""
    if isinstance(error, InputTooLong):
        return InputTooLong(name, int(error.metadata["actual"]), int(error.metadata["limit"]))
    return error
