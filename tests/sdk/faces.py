"""One way to drive the blocking and the asynchronous client."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import trivium


class Face(Protocol):
    """A client of either kind. Arguments name a method by its path from the client, such as `text.generate`."""

    client: Any  # the two clients share names and arguments, not a type
    is_async: bool

    def call(self, method: str, *args: object, **options: object) -> Any:  # whatever the method returns
        """Calls a method that returns a result."""

    def events(self, method: str, *args: object, **options: object) -> tuple[list[Any], Any]:  # events and stream
        """Reads a stream to its end. Returns what it yielded, and the stream."""

    def first(self, method: str, *args: object, **options: object) -> Any:  # the event
        """Reads the first item of a stream and breaks out of the loop."""

    def read(self, stream: Any) -> list[Any]:  # a stream of either client
        """Reads a stream to its end."""

    def read_until_error(self, stream: Any) -> tuple[list[Any], Exception | None]:  # a stream of either client
        """Reads a stream to its end, or until it raises. Returns what it yielded before."""

    def open(self, method: str, *args: object, **options: object) -> Any:  # a stream of either client
        """Makes a stream without reading it."""

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # whatever it returns
        """Runs a coroutine in the loop of the asynchronous client."""

    def close(self) -> None:
        """Closes the client."""


def _method(client: object, path: str) -> Callable[..., Any]:
    target: Any = client
    for name in path.split("."):
        target = getattr(target, name)
    return target  # type: ignore[no-any-return]  # looked up by name


class SyncFace:
    is_async = False

    def __init__(self, client: trivium.Client) -> None:
        self.client: Any = client

    def call(self, method: str, *args: object, **options: object) -> Any:
        return _method(self.client, method)(*args, **options)

    def open(self, method: str, *args: object, **options: object) -> Any:
        return _method(self.client, method)(*args, **options)

    def read(self, stream: Any) -> list[Any]:
        return list(stream)

    def read_until_error(self, stream: Any) -> tuple[list[Any], Exception | None]:
        read = []
        try:
            for item in stream:
                read.append(item)  # noqa: PERF402  # what came before an error counts
        except Exception as error:  # noqa: BLE001  # the test looks at it
            return read, error
        return read, None

    def events(self, method: str, *args: object, **options: object) -> tuple[list[Any], Any]:
        stream = self.open(method, *args, **options)
        return list(stream), stream

    def first(self, method: str, *args: object, **options: object) -> Any:
        for item in self.open(method, *args, **options):
            return item
        return None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        raise NotImplementedError("the blocking client has no loop")

    def close(self) -> None:
        self.client.close()


class AsyncFace:
    is_async = True

    def __init__(self, client: trivium.AsyncClient, runner: asyncio.Runner) -> None:
        self.client: Any = client
        self._runner = runner

    def call(self, method: str, *args: object, **options: object) -> Any:
        async def run() -> Any:
            return await _method(self.client, method)(*args, **options)

        return self._runner.run(run())

    def open(self, method: str, *args: object, **options: object) -> Any:
        return _method(self.client, method)(*args, **options)

    def read(self, stream: Any) -> list[Any]:
        async def run() -> list[Any]:
            return [item async for item in stream]

        return self._runner.run(run())

    def read_until_error(self, stream: Any) -> tuple[list[Any], Exception | None]:
        read = []

        async def run() -> Exception | None:
            try:
                async for item in stream:
                    read.append(item)  # noqa: PERF401  # what came before an error counts
            except Exception as error:  # noqa: BLE001  # the test looks at it
                return error
            return None

        return read, self._runner.run(run())

    def events(self, method: str, *args: object, **options: object) -> tuple[list[Any], Any]:
        stream = self.open(method, *args, **options)
        return self.read(stream), stream

    def first(self, method: str, *args: object, **options: object) -> Any:
        async def first() -> Any:
            async for item in self.open(method, *args, **options):
                return item
            return None

        async def run() -> Any:
            item = await first()
            await asyncio.sleep(0.05)  # the loop closes the generator that was left
            return item

        return self._runner.run(run())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(coroutine)

    def close(self) -> None:
        self._runner.run(self.client.close())
