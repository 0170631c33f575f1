"""How models are, and who wants to hear of it."""

import asyncio
import dataclasses
import datetime
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from trivium_server.architectures.capabilities import Capability, ModelCard, ModelLimits, SamplingDefaults
from trivium_server.architectures.image_facts import ImageFacts
from trivium_server.architectures.speech_facts import SpeechFacts
from trivium_server.architectures.text_facts import TextFacts


class ModelState(Enum):
    """Names as in trivium.v1.ModelState, without the prefix."""

    AVAILABLE = auto()
    LOADING = auto()
    WARMING = auto()
    READY = auto()
    DRAINING = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """How a model is at one moment. `failure` says why where state is FAILED.

    limits, sampling_defaults, encoder, image and speech are known once it was loaded: the first two of a model that
    generates text, then those of one that encodes it, of one that looks at images, and of one that hears or speaks.
    """

    card: ModelCard
    state: ModelState
    progress_percent: int = 0
    failure: str = ""
    ready_time: datetime.datetime | None = None
    limits: ModelLimits | None = None
    sampling_defaults: SamplingDefaults | None = None
    encoder: TextFacts | None = None
    image: ImageFacts | None = None
    speech: SpeechFacts | None = None

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What its folder says that it can do, and what it is found to be able to do once it was loaded."""
        found = (facts.capabilities for facts in (self.encoder, self.image, self.speech) if facts)
        return self.card.capabilities.union(*found)


class StatusBoard:
    """The latest status of every model. Watchers keep only names, so a slow one costs at most one per model."""

    def __init__(self) -> None:
        self._statuses: dict[str, ModelStatus] = {}
        self._watchers: set[_Watcher] = set()

    def all(self) -> tuple[ModelStatus, ...]:
        """All statuses, by name."""
        return tuple(self._statuses[name] for name in sorted(self._statuses))

    def get(self, name: str) -> ModelStatus:
        """The status of a model. Raises KeyError."""
        return self._statuses[name]

    def put(self, status: ModelStatus) -> None:
        """Replaces a model's status."""
        self._statuses[status.card.name] = status
        self._tell(status.card.name)

    def change(self, name: str, **fields: object) -> None:
        """Replaces some fields of a model's status."""
        # dataclasses.replace checks the names; their types are the callers' business.
        self.put(dataclasses.replace(self._statuses[name], **fields))  # type: ignore[arg-type]

    def remove(self, name: str) -> None:
        """Forgets a model."""
        del self._statuses[name]
        self._tell(name)

    async def watch(self) -> AsyncGenerator[ModelStatus | str | None]:
        """Yields all statuses, None, then the status of every model that changed and the name of every one removed."""
        with _Watcher(self._watchers) as watcher:
            for status in self.all():
                yield status
            yield None
            while True:
                name = await watcher.next_name()
                yield self._statuses.get(name, name)

    async def follow(self, name: str) -> AsyncGenerator[ModelStatus]:
        """Yields the status of one model now and whenever it changed, until it is removed."""
        with _Watcher(self._watchers) as watcher:
            while name in self._statuses:
                yield self._statuses[name]
                while await watcher.next_name() != name:
                    pass

    def _tell(self, name: str) -> None:
        for watcher in self._watchers:
            watcher.tell(name)


class _Watcher:
    """The names that changed since this watcher looked, oldest change first."""

    def __init__(self, watchers: set["_Watcher"]) -> None:
        self._watchers = watchers
        self._changed: dict[str, None] = {}
        self._wake = asyncio.Event()

    def __enter__(self) -> Self:
        self._watchers.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._watchers.discard(self)

    def tell(self, name: str) -> None:
        self._changed[name] = None
        self._wake.set()

    async def next_name(self) -> str:
        while not self._changed:
            self._wake.clear()
            await self._wake.wait()
        name = next(iter(self._changed))
        del self._changed[name]
        return name
