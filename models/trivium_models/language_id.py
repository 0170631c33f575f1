"""Turns a model of py3langid into a folder of plain arrays, and checks such folders.

The original has its n-grams as an automaton that takes 40 MB; spelled out they take one. docs/models.md describes the
layout.
"""

import io
import json
import lzma
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trivium_models.errors import InvalidModelError
from trivium_models.folder_facts import FolderFacts
from trivium_models.json_file import JsonFile
from trivium_models.manifest import Limits

CONFIG_NAME = "language_id.json"

# Codes that BCP 47 wants shorter than the original has them.
_BCP_47 = {"kik": "ki"}
# An n-gram is a number: its length in the highest byte, its bytes in the lowest ones, the last one lowest.
_LENGTH_SHIFT = np.uint64(56)
_MAX_NGRAM_LEN = 7
_FOLDER_TYPES = {"ngrams": "uint64", "weights": "float16", "prior": "float32"}
_ORIGINAL_TYPES = {
    "nextmove": "uint32",
    "nextmove_row": "uint16",
    "out_feat": "int32",
    "ptc": "float16",
    "pc": "float32",
}

Ngrams = NDArray[np.uint64]


def export_language_id(source: Path, folder: Path) -> tuple[str, ...]:
    """Writes the arrays and language_id.json into a folder; returns the languages, as BCP 47 codes.

    source: py3langid's model.npz.xz. Raises InvalidModelError when it is not such a file, or its automaton finds
    anything but the longest known n-gram that ends at each byte.
    """
    try:
        with np.load(io.BytesIO(lzma.decompress(source.read_bytes())), allow_pickle=False) as archive:
            columns = [_BCP_47.get(str(code), str(code)) for code in archive["classes"]]
            arrays = {name: archive[name] for name in _ORIGINAL_TYPES}
    except (lzma.LZMAError, zipfile.BadZipFile, EOFError, KeyError, OSError, ValueError) as error:
        raise InvalidModelError(f"{source.name} is not a model of py3langid: {error}") from error
    _require_types(arrays, _ORIGINAL_TYPES, source.name)
    try:
        ngrams = _ngrams(arrays["nextmove"].reshape(-1, 256), arrays["nextmove_row"], arrays["out_feat"])
    except (IndexError, ValueError) as error:
        raise InvalidModelError(f"{source.name}: the automaton contradicts itself: {error}") from error
    made = {"ngrams": ngrams, "weights": arrays["ptc"], "prior": arrays["pc"]}
    _require_fit(made, columns, source.name)
    for name, array in made.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    (folder / CONFIG_NAME).write_text(json.dumps({"column_languages": columns}) + "\n", encoding="utf-8")
    return tuple(dict.fromkeys(columns))


def is_language_id_folder(folder: Path) -> bool:
    """Whether the folder has the file by which this layout is known; it may still be no model that can be used."""
    return (folder / CONFIG_NAME).is_file()


def check_language_id(folder: Path) -> FolderFacts:
    """Checks that the arrays of a folder fit together. Raises InvalidModelError."""
    columns = JsonFile.read(folder / CONFIG_NAME).texts("column_languages")
    arrays = {}
    for name in _FOLDER_TYPES:
        path = folder / f"{name}.npy"
        try:
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InvalidModelError(f"{folder.name}/{path.name} is missing or not an array") from error
    _require_types(arrays, _FOLDER_TYPES, folder.name)
    _require_fit(arrays, columns, folder.name)
    return FolderFacts(
        architecture="language_id",
        task="detect_language",
        default_graph=None,
        limits=Limits(context_length=0, max_input_tokens=0, max_output_tokens=0),
    )


def _require_types(arrays: Mapping[str, NDArray[np.generic]], types: Mapping[str, str], where: str) -> None:
    for name, dtype in types.items():
        if arrays[name].dtype != np.dtype(dtype):
            raise InvalidModelError(f"{where}: {name} is {arrays[name].dtype}; it must be {dtype}")


def _require_fit(arrays: Mapping[str, NDArray[np.generic]], columns: Sequence[str], where: str) -> None:
    ngrams = np.asarray(arrays["ngrams"], np.uint64)
    for name, shape in {
        "ngrams": (ngrams.size,),
        "weights": (ngrams.size, len(columns)),
        "prior": (len(columns),),
    }.items():
        if arrays[name].shape != shape or 0 in shape:
            raise InvalidModelError(
                f"{where}: {name} has shape {arrays[name].shape}; it must be {shape}, and not empty"
            )
    lengths = ngrams >> _LENGTH_SHIFT
    if lengths.min() < 1 or lengths.max() > _MAX_NGRAM_LEN or len(np.unique(ngrams)) != ngrams.size:
        raise InvalidModelError(f"{where}: ngrams must be different, each of 1 to {_MAX_NGRAM_LEN} bytes")
    if not all(np.isfinite(arrays[name]).all() for name in ("weights", "prior")):
        raise InvalidModelError(f"{where}: weights and prior must be finite")


def _ngrams(moves: NDArray[np.uint32], rows: NDArray[np.uint16], features: NDArray[np.int32]) -> Ngrams:
    """Returns the n-gram of each feature.

    moves: the next state by row and byte. rows: the row of each state. features: what is found in each state, or -1.
    Raises ValueError unless the automaton is that of Aho and Corasick for these n-grams, where the longest one wins.
    """
    spelled, lengths = np.zeros((2, len(rows)), np.uint64)
    # The longest end of a state's text that is the text of another state.
    shorter = np.zeros(len(rows), np.intp)
    reached = np.zeros(len(rows), np.bool_)
    reached[0] = True
    level = np.zeros(1, np.intp)
    for length in range(1, _MAX_NGRAM_LEN + 2):
        targets = moves[rows[level]]
        places, letters = np.nonzero(~reached[targets])
        children, parents = targets[places, letters], level[places]
        # Where a state's text does not go on, it must do as the shorter one does.
        expected = moves[rows[shorter[level]]] if length > 1 else np.zeros_like(targets)
        expected[places, letters] = children
        if not np.array_equal(targets, expected) or len(np.unique(children)) != len(children):
            raise ValueError("what follows a state is not what follows its text")
        if not len(children):
            break
        if length > 1:
            shorter[children] = moves[rows[shorter[parents]], letters]
        spelled[children] = spelled[parents] << np.uint64(8) | letters.astype(np.uint64)
        lengths[children] = length
        reached[children] = True
        level = children.astype(np.intp)
    else:
        raise ValueError(f"an n-gram has more than {_MAX_NGRAM_LEN} bytes")
    own = features != features[shorter]
    own[0] = False
    found = features[own]
    if features[0] != -1 or not reached.all() or not np.array_equal(np.sort(found), np.arange(len(found))):
        raise ValueError("a feature has not exactly one n-gram")
    ngrams = np.zeros(len(found), np.uint64)
    ngrams[found] = lengths[own] << _LENGTH_SHIFT | spelled[own]
    return ngrams
