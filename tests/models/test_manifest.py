"""model.toml: what its digest covers, and that the server reads what the store writes."""

import hashlib
from pathlib import Path

import pytest

from trivium_models.errors import InvalidModelError
from trivium_models.manifest import Card, FileEntry, Limits, Manifest
from trivium_server.architectures.model_folder import read_folder

FILES = (
    FileEntry(path="model.onnx", sha256="0" * 64, size_bytes=1),
    FileEntry(path="x.onnx", sha256="1" * 64, size_bytes=2),
)


def write(folder: Path, **defaults: float) -> Manifest:
    folder.mkdir(exist_ok=True)
    card = Card(
        name=folder.name,
        version="1",
        display_name="Mine",
        task="generate_text",
        architecture="genai",
        license="CC0-1.0",
        upstream="the tests",
        limits=Limits.for_context(128),
        defaults=defaults,
    )
    manifest = Manifest(card=card, source="tests", default_graph="model.onnx", exact_graph="x.onnx", files=FILES)
    manifest.write(folder)
    return manifest


def change(folder: Path, old: str, new: str) -> None:
    path = folder / "model.toml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("defaults", [{}, {"temperature": 0.2, "top_k": 40, "a.b c": 1e-7}])
def test_manifest_reads_back_and_the_server_agrees(tmp_path: Path, defaults: dict[str, int | float]) -> None:
    written = write(tmp_path / "mine", **defaults)
    assert Manifest.read(tmp_path / "mine") == written
    served = read_folder(tmp_path / "mine")
    assert (served.problem, served.card.digest) == ("", written.digest)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("temperature = 0.2", "temperature = 0.3"),
        ("temperature = 0.2", "temperature = 0.2\ntop_k = 1"),
        ("max_output_tokens = 127", "max_output_tokens = 126"),
        ("context_length = 128", "context_length = 64"),
        ('exact = "x.onnx"', 'exact = "model.onnx"'),
        ('architecture = "genai"', 'architecture = "other"'),
        ("[limits]", "[settings]\nnew = 1\n[limits]"),
        ("size_bytes = 2", "size_bytes = 3"),
    ],
)
def test_digest_covers_what_changes_answers(tmp_path: Path, old: str, new: str) -> None:
    folder = tmp_path / "mine"
    write(folder, temperature=0.2)
    change(folder, old, new)
    with pytest.raises(InvalidModelError, match="was edited"):
        Manifest.read(folder)
    assert "digest does not match" in read_folder(folder).problem


def test_digest_leaves_out_what_people_read(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    written = write(folder)
    change(folder, 'license = "CC0-1.0"', 'license = "MIT"')
    assert Manifest.read(folder).digest == written.digest
    assert read_folder(folder).problem == ""


def test_digest_over_the_files_alone_of_an_earlier_release_stays_good(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    written = write(folder, temperature=0.2)
    lines = "".join(sorted(f"{file.sha256} {file.size_bytes} {file.path}\n" for file in FILES))
    earlier = "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
    assert earlier != written.digest
    change(folder, written.digest, earlier)
    assert Manifest.read(folder).digest == earlier
    assert (read_folder(folder).problem, read_folder(folder).card.digest) == ("", earlier)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"x.onnx" =', '"../x.onnx" =', "points outside"),
        ('"x.onnx" =', '"/x.onnx" =', "points outside"),
        ('"x.onnx" =', '"C:\\\\x.onnx" =', "points outside"),
        ("1" * 64, "xyz", "64 hexadecimal digits"),
    ],
)
def test_list_of_files_that_leaves_the_folder_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    write(tmp_path / "mine")
    change(tmp_path / "mine", old, new)
    with pytest.raises(InvalidModelError, match=words):
        Manifest.read(tmp_path / "mine")


@pytest.mark.parametrize("graph", ["evil.bin", "other.onnx", "../x.onnx"])
def test_graph_that_is_not_among_the_files_is_refused(tmp_path: Path, graph: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    written = write(folder)
    Manifest(card=written.card, source="tests", default_graph="model.onnx", exact_graph=graph, files=FILES).write(
        folder
    )
    with pytest.raises(InvalidModelError, match=r"is not an \.onnx file that it lists"):
        Manifest.read(folder)
