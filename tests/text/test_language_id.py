"""The language of texts: what a model by hand must give, and what py3langid itself says of real sentences."""

import json
import math
import time
import unicodedata
from pathlib import Path
from typing import Any  # of the golden file

import numpy as np
import pytest

from tests.text.tiny_languages import tiny_model
from trivium_models.store import Store
from trivium_server.architectures import language_id
from trivium_server.config import Config
from trivium_server.text.language_id import LanguageIdentifier

GOLDEN = json.loads((Path(__file__).parent / "language_id_golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tiny() -> LanguageIdentifier:
    return LanguageIdentifier(tiny_model())


@pytest.fixture(scope="module")
def real() -> LanguageIdentifier:
    folder = Store().pull("langid-140").folder
    return language_id.load(folder, Config(), lambda _: None).identifier


def best(identifier: LanguageIdentifier, text: str) -> tuple[str, float]:
    (scores,) = identifier.probabilities([text])
    return identifier.languages[int(scores.argmax())], float(scores.max())


def test_scores_are_those_of_the_formula(tiny: LanguageIdentifier) -> None:
    (scores,) = tiny.probabilities(["the da da"])
    # At its bytes are found: th, the, and da twice.
    once, twice, root = math.log(2), math.log(3), math.sqrt(9)
    columns = [
        (0.5 - 2 * once - 9 * twice) / root,
        (0.25 - 18 * once - twice) / root,
        (0.0 - 18 * once - 9 * twice) / root,
        (0.25 - 10 * once - 9 * twice) / root,
    ]
    shares = [math.exp(column) for column in columns]
    total = sum(shares)
    assert tiny.languages == ("en", "sr", "zxx")
    expected = [shares[0] / total, (shares[1] + shares[3]) / total, shares[2] / total]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("text", ["", " \t\n", "12345", "2026-11-23 12:00", "{}[]();", "<>", "😀", "٣٤٥"])
def test_a_text_without_letters_is_no_language(tiny: LanguageIdentifier, text: str) -> None:
    assert best(tiny, text) == ("zxx", 1.0)


@pytest.mark.parametrize("text", ["q", "日", "xyz"])
def test_nothing_found_means_nothing_known(tiny: LanguageIdentifier, text: str) -> None:
    np.testing.assert_allclose(tiny.probabilities([text]), [[1 / 3] * 3], rtol=1e-6)


def test_without_a_word_for_no_language_nothing_is_known_of_numbers() -> None:
    identifier = LanguageIdentifier(tiny_model(("en", "sr", "la", "sr")))
    np.testing.assert_allclose(identifier.probabilities(["12345"]), [[1 / 3] * 3], rtol=1e-6)


def test_capitals_and_decomposed_letters_are_read_as_others(tiny: LanguageIdentifier) -> None:
    lower, upper, composed, apart = tiny.probabilities(
        ["the da", "THE DA", "da é", unicodedata.normalize("NFD", "da é")]
    )
    np.testing.assert_array_equal(lower, upper)
    np.testing.assert_array_equal(composed, apart)


@pytest.mark.parametrize("letter", ["x", "é", "я", "日", "𐍈"])
@pytest.mark.parametrize("before", range(5))
def test_what_comes_after_8192_bytes_is_not_read(tiny: LanguageIdentifier, letter: str, before: int) -> None:
    # The cut falls before, inside and behind a character.
    head = "th" + "x" * before
    whole = head + letter * ((8192 - len(head)) // len(letter.encode()))
    assert len(whole.encode()) <= 8192 < len((whole + letter).encode())
    expected, actual = tiny.probabilities([whole, whole + letter + " the da" * 1000])
    np.testing.assert_array_equal(actual, expected)


def test_company_changes_nothing(real: LanguageIdentifier) -> None:
    texts = [case["text"] for case in GOLDEN["sentences"]] + ["", "1", "q"]
    together = real.probabilities(texts)
    for text, scores in zip(texts, together, strict=True):
        np.testing.assert_array_equal(real.probabilities([text])[0], scores)
    assert real.probabilities([]).shape == (0, len(real.languages))


@pytest.mark.parametrize("case", GOLDEN["sentences"] + GOLDEN["others"], ids=lambda case: ascii(case["text"][:20]))
def test_scores_are_those_of_py3langid(real: LanguageIdentifier, case: dict[str, Any]) -> None:
    (scores,) = real.probabilities([case["text"]])
    assert real.languages[int(scores.argmax())] == case["top"][0][0]
    for code, probability in case["top"]:
        assert scores[real.languages.index(code)] == pytest.approx(probability, abs=1e-5)
    assert scores.sum() == pytest.approx(1, abs=1e-5)


def test_sentences_are_in_the_language_that_they_were_written_in(real: LanguageIdentifier) -> None:
    right = [best(real, case["text"])[0] == case["language"] for case in GOLDEN["sentences"]]
    assert len(right) >= 40
    assert all(right)


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog. " * 25_000,
        # Marks out of order: composing them takes quadratic time.
        "a" + "\u0315\u0300" * 500_000,
        "\u1100\u1161\u11a8" * 300_000,
    ],
    ids=["words", "marks", "jamo"],
)
def test_a_huge_text_is_quick(real: LanguageIdentifier, text: str) -> None:
    begun = time.thread_time()
    real.probabilities([text])
    # Some milliseconds; whole, the marks would take minutes.
    assert time.thread_time() - begun < 0.5
