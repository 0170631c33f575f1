"""CTranslate2's files: what is read, and what is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.models.tiny_whisper import ct2_bytes
from trivium_models.errors import InvalidModelError
from trivium_models.speech.ct2_source import Ct2Source

_TABLE = np.arange(6, dtype=np.float16).reshape(2, 3)
_WHOLE = ct2_bytes({"decoder/embeddings/weight": _TABLE, "count": np.array(7, np.int16)})


def opened(folder: Path, content: bytes) -> Ct2Source:
    path = folder / "model.bin"
    path.write_bytes(content)
    return Ct2Source.open(path)


def test_tensors_come_out_by_name_and_alias(tmp_path: Path) -> None:
    source = opened(tmp_path, _WHOLE)
    assert source.kind == "WhisperSpec"
    assert source.shape("decoder/embeddings/weight", 2) == (2, 3)
    for name in ("decoder/embeddings/weight", "decoder/projection/weight"):
        values = source.floats(name, 2, 3)
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, _TABLE)
    assert source.integer("count") == 7
    source.require_all_taken()


def test_tensor_that_is_left_is_named(tmp_path: Path) -> None:
    source = opened(tmp_path, _WHOLE)
    source.integer("count")
    with pytest.raises(InvalidModelError, match="decoder/embeddings/weight has no place in the graph"):
        source.require_all_taken()


def test_every_cut_is_refused(tmp_path: Path) -> None:
    for length in range(len(_WHOLE)):
        with pytest.raises(InvalidModelError, match=r"model\.bin is not a"):
            opened(tmp_path, _WHOLE[:length])


def test_every_flipped_byte_is_refused_or_read_within_the_file(tmp_path: Path) -> None:
    for index in range(len(_WHOLE)):
        damaged = bytearray(_WHOLE)
        damaged[index] ^= 0xFF
        try:
            source = opened(tmp_path, bytes(damaged))
        except InvalidModelError:
            continue
        assert source.kind


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (struct.pack("<I", 6), struct.pack("<I", 5), "it says version 5; 6 is known"),
        (struct.pack("<B2I", 2, 2, 3), struct.pack("<B2I", 9, 2, 3), "has 9 dimensions; at most 8 are known"),
        (struct.pack("<2I", 2, 3), struct.pack("<2I", 2**32 - 1, 2**32 - 1), "cannot have 12 bytes"),
        (struct.pack("<BI", 4, 12), struct.pack("<BI", 77, 12), r"has a type that is not known \(77\)"),
        (struct.pack("<BI", 4, 12), struct.pack("<BI", 4, 2**32 - 1), "cannot have 4294967295 bytes"),
        (b"decoder/embeddings/weight\0", b"decoder/embeddings/weightx", "a name in it has no end"),
        (b"count\0", b"count\xff", "a name in it has no end"),
        (b"decoder", b"\xff\xff\xff\xff\xff\xff\xff", "can't decode"),
    ],
)
def test_damage_is_named(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    assert old in _WHOLE
    with pytest.raises(InvalidModelError, match=message):
        opened(tmp_path, _WHOLE.replace(old, new, 1))


def test_bytes_behind_the_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="3 bytes follow its end"):
        opened(tmp_path, _WHOLE + b"abc")


def test_alias_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="alias decoder/projection/weight of decoder/embeddings/weight"):
        opened(tmp_path, ct2_bytes({"count": np.array(7, np.int16)}))


def test_tensor_of_another_type_is_refused(tmp_path: Path) -> None:
    source = opened(tmp_path, _WHOLE)
    with pytest.raises(InvalidModelError, match="no tensor missing"):
        source.floats("missing", 1)
    with pytest.raises(InvalidModelError, match="must be floats with"):
        source.floats("count")
    with pytest.raises(InvalidModelError, match="not one integer"):
        source.integer("decoder/embeddings/weight")
    with pytest.raises(InvalidModelError, match="it must have 3 dimensions"):
        source.shape("decoder/embeddings/weight", 3)
