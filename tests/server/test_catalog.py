"""The catalog's life of a model, with a family that loads and fails as a test tells it."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.server.stores import write_model
from trivium_server.architectures.catalog import Catalog, Family
from trivium_server.architectures.model_state import ModelState
from trivium_server.architectures.text_capabilities import TextClassifier
from trivium_server.config import Config, ModelsConfig
from trivium_server.errors import ModelFailed, ModelNotFound, ModelNotReady, ServerDraining, UnsupportedFeature
from trivium_server.runtime.workload import Workload


class UnreadableError(Exception):
    """What the family raises for a bad folder."""


class Parrot:
    """A model that does nothing; it notes how it is treated."""

    workload = Workload(num_places=1, num_busy=0, busy_s=0.0, num_waiting=0, waiting_runs=0.0, num_runs=0, num_items=0)

    def __init__(self) -> None:
        self.is_warm = False
        self.times_closed = 0
        self.closed_with_grace_s: float | None = None
        self.bites = False

    async def warm_up(self) -> None:
        await asyncio.sleep(0)
        self.is_warm = True

    async def close(self, grace_s: float) -> None:
        self.times_closed += 1
        self.closed_with_grace_s = grace_s
        if self.bites:
            raise ZeroDivisionError("secret")


class Cage:
    """Loads parrots when the test opens it."""

    def __init__(self) -> None:
        self.may_load = threading.Event()
        self.may_load.set()
        self.error: Exception | None = None
        self.loads = 0
        self.concurrent = 0
        self.most_concurrent = 0

    def load(self, _folder: Path, _config: Config, progress: Callable[[float], None]) -> Parrot:
        self.loads += 1
        self.concurrent += 1
        self.most_concurrent = max(self.most_concurrent, self.concurrent)
        try:
            progress(0.5)
            assert self.may_load.wait(60)
            if self.error:
                raise self.error
            progress(1.0)
            return Parrot()
        finally:
            self.concurrent -= 1


@pytest.fixture
def cage() -> Cage:
    return Cage()


async def catalog_of(store: Path, cage: Cage, *names: str) -> Catalog:
    for name in names:
        write_model(store, name, architecture="parrot")
    config = Config(models=ModelsConfig(dir=store))
    catalog = Catalog(config, {"parrot": Family(cage.load, (UnreadableError,))})
    await catalog.scan()
    return catalog


async def load(catalog: Catalog, name: str) -> list[ModelState]:
    return [status.state async for status in catalog.load(name)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_model_is_lent_only_while_ready(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly")
        with pytest.raises(ModelNotReady) as caught, catalog.lease("polly", Parrot):
            pass
        assert caught.value.retry_after_s is None
        cage.may_load.clear()
        catalog.start_load("polly")
        await until(lambda: catalog.status("polly").progress_percent >= 30)
        with pytest.raises(ModelNotReady) as caught, catalog.lease("polly", Parrot):
            pass
        assert caught.value.metadata["state"] == "LOADING"
        assert caught.value.retry_after_s is not None
        cage.may_load.set()
        assert (await load(catalog, "polly"))[-1] is ModelState.READY
        with catalog.lease("polly", Parrot) as lease:
            assert lease.model.is_warm
            assert lease.card.name == "polly"
        with pytest.raises(UnsupportedFeature) as unable, catalog.lease("polly", TextClassifier):  # type: ignore[type-abstract]  # a Protocol is what it asks for
            pass
        assert unable.value.message.endswith("model 'polly' cannot classify texts; no model that is ready can")
        with pytest.raises(ModelNotFound) as unknown, catalog.lease("poly", Parrot):
            pass
        assert unknown.value.metadata["near_matches"] == "polly"
        await catalog.close(0.0)

    asyncio.run(run())


def test_many_loads_are_one(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly")
        everybody = await asyncio.gather(*(load(catalog, "polly") for _ in range(5)))
        assert cage.loads == 1
        assert all(states[-1] is ModelState.READY for states in everybody)
        assert await load(catalog, "polly") == [ModelState.READY]
        await catalog.close(0.0)

    asyncio.run(run())


def test_models_load_one_at_a_time(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "a", "b", "c")
        await asyncio.gather(*(load(catalog, name) for name in "abc"))
        assert (cage.loads, cage.most_concurrent) == (3, 1)
        await catalog.close(0.0)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnreadableError("the graph has no logits"), "the graph has no logits"),
        (ValueError("no tokenizer"), "no tokenizer"),
        (OSError(28, "No space left on device"), "No space left"),
        (ZeroDivisionError("secret"), "internal error (ZeroDivisionError)"),
    ],
)
def test_a_model_that_fails_says_why_and_the_others_go_on(
    tmp_path: Path, cage: Cage, error: Exception, told: str
) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "bad", "good")
        cage.error = error
        with pytest.raises(ModelFailed):
            await load(catalog, "bad")
        assert told in catalog.status("bad").failure
        assert "secret" not in catalog.status("bad").failure
        with pytest.raises(ModelFailed), catalog.lease("bad", Parrot):
            pass
        cage.error = None
        assert (await load(catalog, "good"))[-1] is ModelState.READY
        assert (await load(catalog, "bad"))[-1] is ModelState.READY, "a later load may try again"
        assert not catalog.status("bad").failure
        await catalog.close(0.0)

    asyncio.run(run())


def test_unload_waits_for_leases_but_not_for_ever(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly")
        await load(catalog, "polly")
        with catalog.lease("polly", Parrot) as lease:
            unload = asyncio.create_task(catalog.unload("polly", 60.0))
            await until(lambda: catalog.status("polly").state is ModelState.DRAINING)
            with pytest.raises(ModelNotReady), catalog.lease("polly", Parrot):
                pass
            with pytest.raises(ModelNotReady):
                await load(catalog, "polly")
            parrot = lease.model
            assert parrot.times_closed == 0
        assert (await unload).state is ModelState.AVAILABLE
        assert parrot.times_closed == 1
        await load(catalog, "polly")
        with catalog.lease("polly", Parrot) as lease:
            await catalog.unload("polly", 0.01)
            assert lease.model.times_closed == 1
        assert (await catalog.unload("polly", 0.0)).state is ModelState.AVAILABLE, "not loaded is no error"
        await catalog.close(0.0)

    asyncio.run(run())


def test_unload_while_loading_is_refused(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly")
        cage.may_load.clear()
        catalog.start_load("polly")
        with pytest.raises(ModelNotReady) as caught:
            await catalog.unload("polly", 0.0)
        assert caught.value.retry_after_s is None
        cage.may_load.set()
        await catalog.close(0.0)

    asyncio.run(run())


def test_the_shortest_grace_of_an_unload_counts(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly", "jack")
        for name in ("polly", "jack"):
            await load(catalog, name)
        with catalog.lease("polly", Parrot), catalog.lease("jack", Parrot):
            begun = asyncio.get_running_loop().time()
            first = asyncio.create_task(catalog.unload("polly", 60.0))
            await until(lambda: catalog.status("polly").state is ModelState.DRAINING)
            longer = asyncio.create_task(catalog.unload("polly", 120.0))
            await catalog.unload("polly", 0.05)
            states = [(await unload).state for unload in (first, longer)]
            assert states == [ModelState.AVAILABLE] * 2
            other = asyncio.create_task(catalog.unload("jack", 60.0))
            await until(lambda: catalog.status("jack").state is ModelState.DRAINING)
            await catalog.close(0.0)
            assert (await other).state is ModelState.AVAILABLE
            assert asyncio.get_running_loop().time() - begun < 30

    asyncio.run(run())


def test_a_model_that_does_not_close_is_failed_and_can_be_loaded_again(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly")
        await load(catalog, "polly")
        with catalog.lease("polly", Parrot) as lease:
            lease.model.bites = True
        status = await catalog.unload("polly", 0.0)
        assert status.state is ModelState.FAILED
        assert "internal error (ZeroDivisionError)" in status.failure
        assert (await load(catalog, "polly"))[-1] is ModelState.READY
        await catalog.close(0.0)

    asyncio.run(run())


def test_close_abandons_a_load(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly", "jack")
        cage.may_load.clear()
        loads = [asyncio.create_task(load(catalog, name)) for name in ("polly", "jack")]
        await until(lambda: cage.loads == 1)
        async with asyncio.timeout(30):
            await catalog.close(60.0)
        for task in loads:
            with pytest.raises(ServerDraining):
                await task
        assert {status.state for status in catalog.statuses()} == {ModelState.AVAILABLE}
        cage.may_load.set()

    asyncio.run(run())


def test_a_folder_replaced_while_its_load_waits_is_loaded(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "first", "second")
        cage.may_load.clear()
        first = asyncio.create_task(load(catalog, "first"))
        await until(lambda: cage.loads == 1)
        second = asyncio.create_task(load(catalog, "second"))
        await until(lambda: catalog.status("second").state is ModelState.LOADING)
        old = catalog.status("second").card
        (tmp_path / "second").rename(tmp_path / ".second")
        write_model(tmp_path, "second", architecture="parrot", content=b"newer weights")
        cage.may_load.set()
        assert (await first)[-1] is (await second)[-1] is ModelState.READY
        assert catalog.status("second").card.digest != old.digest
        await catalog.close(0.0)

    asyncio.run(run())


def test_no_path_of_this_machine_is_told(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly")
        missing = tmp_path / "polly" / "tokens" / "table.json"
        cage.error = FileNotFoundError(2, "No such file or directory", str(missing))
        with pytest.raises(ModelFailed) as caught:
            await load(catalog, "polly")
        assert "'tokens/table.json'" in caught.value.message
        assert str(tmp_path) not in caught.value.message
        await catalog.close(0.0)

    asyncio.run(run())


def test_a_slow_watcher_sees_only_the_latest(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "a", "b")
        async with aclosing(catalog.watch()) as changes:
            snapshot = [await anext(changes) for _ in range(3)]
            assert snapshot[2] is None
            await load(catalog, "a")
            await load(catalog, "b")
            late = [await anext(changes), await anext(changes)]
            states = [(status.card.name, status.state) for status in late if status and not isinstance(status, str)]
            assert states == [("a", ModelState.READY), ("b", ModelState.READY)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(changes)
        await catalog.close(0.0)

    asyncio.run(run())


def test_scan_adds_new_and_removes_vanished_models(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "old", "used")
        await load(catalog, "used")
        async with aclosing(catalog.watch()) as changes:
            for _ in range(3):
                await anext(changes)
            for name in ("old", "used"):
                (tmp_path / name).rename(tmp_path / f".{name}")
            write_model(tmp_path, "new", architecture="parrot")
            await catalog.scan()
            heard = [await anext(changes), await anext(changes)]
        assert [item if isinstance(item, str) or item is None else item.card.name for item in heard] == ["new", "old"]
        assert [status.card.name for status in catalog.statuses()] == ["new", "used"]
        await catalog.close(0.0)

    asyncio.run(run())


def test_close_ends_every_follower(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path, cage, "polly")
        await load(catalog, "polly")
        with catalog.lease("polly", Parrot) as lease:
            await catalog.close(0.0)
            assert lease.model.closed_with_grace_s == 0.0
        with pytest.raises(ServerDraining):
            await load(catalog, "polly")

    asyncio.run(run())


def test_an_empty_or_missing_store_has_no_models(tmp_path: Path, cage: Cage) -> None:
    async def run() -> None:
        catalog = await catalog_of(tmp_path / "missing", cage)
        assert catalog.statuses() == ()
        with pytest.raises(ModelNotFound) as caught:
            catalog.status("polly")
        assert caught.value.metadata["near_matches"] == ""
        await catalog.close(0.0)

    asyncio.run(run())
