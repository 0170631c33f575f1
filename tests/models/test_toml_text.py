"""The TOML that the store writes reads back as it was, whatever keys and values it has."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium_models.errors import InvalidModelError
from trivium_models.toml_text import TomlTable, toml_lines

# What UTF-8 can hold: all of Unicode but the surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.one_of(TEXTS, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=4), st.dictionaries(TEXTS, SCALARS, max_size=4))


@given(st.dictionaries(TEXTS, VALUES, max_size=6))
def test_written_table_reads_back_equal(
    values: dict[str, str | int | float | bool | list[str] | dict[str, str]],
) -> None:
    read = tomllib.loads(toml_lines(values))
    assert read == values
    assert [type(value) for value in read.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize("key", ["a.b", "a b", "", '"', "é", "a\nb", "[x]", "#"])
def test_key_that_is_no_bare_word_is_quoted(key: str) -> None:
    assert tomllib.loads(toml_lines({key: 0.5})) == {key: 0.5}


def test_bare_word_stays_bare() -> None:
    assert toml_lines({"top_p": 0.9}) == "top_p = 0.9\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x = \xff", "not valid TOML"),
        (b"x = " + b"[" * 100_000, "nested too deep"),
        (b"x = ", "not valid TOML"),
        (b"#" * ((16 << 20) + 1), "at most 16 MiB"),
    ],
    ids=["encoding", "nesting", "syntax", "size"],
)
def test_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "model.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match=words):
        TomlTable.load(path)


def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="not a file"):
        TomlTable.load(tmp_path)


@pytest.mark.parametrize("shown", ["nan", "inf", "-inf", "true", '"1"'])
def test_number_is_a_finite_number(tmp_path: Path, shown: str) -> None:
    path = tmp_path / "model.toml"
    path.write_text(f"x = {shown}\n")
    with pytest.raises(InvalidModelError, match="x must be a finite number"):
        TomlTable.load(path).number("x")
