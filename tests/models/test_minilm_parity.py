"""The real sentence encoder: float32 against float64 numpy, int8 against float32, and batch invariance of both."""

import random

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.models.bert_reference import BertReference, Doubles
from tests.models.encoder_runner import EncoderRunner
from tests.models.published import published_weights
from trivium_models.store import InstalledModel, Store

MINILM, MINILM_INT8 = "all-minilm-l6-v2", "all-minilm-l6-v2-int8"
SENTENCES = [
    "Hi",
    "A cat sat on the mat.",
    "The cat is on the mat.",
    "How do I reset my password?",
    "I forgot my password and cannot log in.",
    "Stocks fell sharply on Monday after the central bank raised its rates.",
    "Wie spät ist es?",
    "def square(x): return x * x",
    "The mitochondrion is the powerhouse of the cell.",
    "Ships of the line carried two or more decks of guns, and formed the backbone of the fleets of their time.",
    "42",
    "Your order #1138-22 has been shipped; it should arrive by 5 pm on Thursday, 3 April.",
    "It was a bright cold day in April, and the clocks were striking thirteen.",
    "Is this restaurant open on Sundays, and does it have a table for six on the terrace?",
]


@pytest.fixture(scope="module")
def models() -> dict[str, InstalledModel]:
    """Both precisions from the machine's own store; pulled when they are missing."""
    return {name: Store().pull(name) for name in (MINILM, MINILM_INT8)}


@pytest.fixture(scope="module")
def texts(models: dict[str, InstalledModel]) -> list[list[int]]:
    """Token ids of the sentences, and of texts of all lengths up to the model's limit made of their words."""
    tokenizer = Tokenizer.from_file(str(models[MINILM].folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    words, chooser = " ".join(SENTENCES).split(), random.Random(3)
    longer = [" ".join(chooser.choices(words, k=count)) for count in (20, 30, 45, 60, 90, 120)]
    ids = [encoding.ids for encoding in tokenizer.encode_batch([*SENTENCES, *longer])]
    return [[*text[:255], 102] if len(text) > 256 else text for text in ids]


@pytest.fixture(scope="module")
def reference(models: dict[str, InstalledModel]) -> BertReference:
    """The published weights, in the user's cache; fetched when they are missing."""
    return BertReference(models[MINILM].folder / "config.json", published_weights(MINILM))


@pytest.fixture(scope="module")
def wanted(reference: BertReference, texts: list[list[int]]) -> Doubles:
    """Sentence vectors of the reference, shape (texts, 384)."""
    return np.stack([reference.sentence(text) for text in texts])


def test_ids_are_the_published_ones(texts: list[list[int]]) -> None:
    assert texts[1] == [101, 1037, 4937, 2938, 2006, 1996, 13523, 1012, 102]


def test_every_layer_equals_the_float64_reference(
    models: dict[str, InstalledModel], reference: BertReference, texts: list[list[int]]
) -> None:
    runner = EncoderRunner(models[MINILM].folder / "model.onnx", num_layers=reference.num_layers)
    for text in (texts[0], texts[5], texts[-1]):
        got = runner.run([text])
        for name, want in zip(runner.states, reference.states(text), strict=True):
            # States reach 10; measured is about 1e-5.
            np.testing.assert_allclose(got[name].reshape(want.shape), want, rtol=0, atol=5e-5, err_msg=name)


def test_float32_vectors_equal_the_reference(
    models: dict[str, InstalledModel], texts: list[list[int]], wanted: Doubles
) -> None:
    got = EncoderRunner(models[MINILM].folder / "model.onnx").sentences(texts)
    worst = np.abs(got - wanted).max()
    print(f"largest difference {worst:.1e}")
    assert worst < 1e-6


def test_int8_vectors_stay_near_the_reference(
    models: dict[str, InstalledModel], texts: list[list[int]], wanted: Doubles
) -> None:
    got = EncoderRunner(models[MINILM_INT8].folder / "model.onnx").sentences(texts)
    cosines = (got * wanted).sum(axis=1)
    print(f"cosine min {cosines.min():.4f}, mean {cosines.mean():.4f}")
    assert cosines.min() > 0.985
    assert cosines.mean() > 0.995


def test_int8_ranks_as_float32_does(models: dict[str, InstalledModel], texts: list[list[int]], wanted: Doubles) -> None:
    got = EncoderRunner(models[MINILM_INT8].folder / "model.onnx").sentences(texts)
    assert int(np.argsort(got @ got[1])[-2]) == 2, "two sentences about a cat and a mat"
    assert int(np.argsort(got @ got[3])[-2]) == 4, "two about a password"
    assert np.abs(got @ got.T - wanted @ wanted.T).max() < 0.04


@pytest.mark.parametrize("name", [MINILM, MINILM_INT8])
def test_batched_equals_single_to_the_last_bit(
    models: dict[str, InstalledModel], texts: list[list[int]], name: str
) -> None:
    runner = EncoderRunner(models[name].folder / "model.onnx")
    singles = [runner.hidden([text])[0] for text in texts]
    chooser = random.Random(1)
    for batch_len, padding in ((2, 0), (5, 3), (16, 17)):
        chosen = chooser.sample(range(len(texts)), batch_len)
        states = runner.hidden([texts[index] for index in chosen], padding=padding, pad_id=1996)
        for got, index in zip(states, chosen, strict=True):
            np.testing.assert_array_equal(got, singles[index])
