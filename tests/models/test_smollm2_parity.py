"""The real default model against the numpy reference: weights, greedy text in exact mode, KL in the default mode."""

import json
from pathlib import Path

import jinja2
import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tests.models.graph_runner import GraphRunner
from tests.models.llama_reference import LlamaReference
from tests.models.onnx_weights import OnnxWeights
from trivium_models.store import InstalledModel

Floats = NDArray[np.float32]

pytestmark = pytest.mark.long
QUESTIONS = [
    "What is the capital of France?",
    "Write a haiku about the sea.",
    "List three fruits.",
    "Explain gravity in one sentence.",
    "What is 2 + 2?",
]
MAX_TOKENS = 48
END_IDS = frozenset({0, 2})
# Mean KL divergence from the reference in nats, default mode, teacher-forced over all prompts; measured about 0.005.
MAX_KL = 0.02


@pytest.fixture(scope="module")
def reference(smollm2_gguf: Path) -> LlamaReference:
    return LlamaReference(smollm2_gguf)


@pytest.fixture(scope="module")
def prompts(smollm2: InstalledModel) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(smollm2.folder / "tokenizer.json"))
    config = json.loads((smollm2.folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    template = jinja2.Environment(autoescape=False).from_string(config["chat_template"])

    def ids(question: str) -> list[int]:
        messages = [{"role": "user", "content": question}]
        encoded: list[int] = tokenizer.encode(template.render(messages=messages, add_generation_prompt=True)).ids
        return encoded

    return [ids(question) for question in QUESTIONS]


@pytest.fixture(scope="module")
def answers(reference: LlamaReference, prompts: list[list[int]]) -> list[tuple[list[int], Floats]]:
    """Greedy answers of the reference, each with the logits of prompt and answer."""
    return [reference.greedy(prompt, MAX_TOKENS, END_IDS) for prompt in prompts]


def test_prompt_ids_are_the_published_ones(prompts: list[list[int]]) -> None:
    # <|im_start|>system … as the upstream tokenizer gives them: control tokens are ids 1 and 2, "\n" is 198.
    assert prompts[0][:4] == [1, 9690, 198, 2683]
    assert prompts[0][-3:] == [520, 9531, 198]


def test_every_weight_equals_the_dequantised_file(smollm2: InstalledModel, reference: LlamaReference) -> None:
    got, want = OnnxWeights(smollm2.folder / "ragged.onnx"), reference.weights

    def half_split(matrix: Floats, num_heads: int) -> Floats:
        by_pair = matrix.reshape(num_heads, 32, 2, -1)
        return np.concatenate([by_pair[:, :, 0], by_pair[:, :, 1]], axis=1).reshape(matrix.shape)

    np.testing.assert_array_equal(got.table(), want["token_embd.weight"])
    np.testing.assert_array_equal(got.linear("logits"), want["token_embd.weight"])
    np.testing.assert_array_equal(got.vector("final"), want["output_norm.weight"])
    for index in range(reference.num_layers):
        at, name = f"layer.{index}", f"blk.{index}"
        stacked = [
            half_split(want[f"{name}.attn_q.weight"], 9),
            half_split(want[f"{name}.attn_k.weight"], 3),
            want[f"{name}.attn_v.weight"],
        ]
        linear = {"q": np.concatenate(stacked), "attention_output": want[f"{name}.attn_output.weight"]}
        linear |= {part: want[f"{name}.ffn_{part}.weight"] for part in ("gate", "up", "down")}
        for part, matrix in linear.items():
            # d*(q-8) + (m+8d) rounds once more than d*q + m; the largest weights are below 4.
            np.testing.assert_allclose(got.linear(f"{at}/{part}"), matrix, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(got.vector(f"{at}/attention_norm"), want[f"{name}.attn_norm.weight"])
        np.testing.assert_array_equal(got.vector(f"{at}/ffn_norm"), want[f"{name}.ffn_norm.weight"])


def test_exact_mode_continues_as_the_reference(
    smollm2: InstalledModel, prompts: list[list[int]], answers: list[tuple[list[int], Floats]]
) -> None:
    runner = GraphRunner(smollm2.folder, "ragged_exact.onnx")
    for prompt, (ids, _) in zip(prompts, answers, strict=True):
        # In one pass over prompt and answer, each token is the choice after all that precede it.
        runner.restart()
        choices = runner.forward(prompt + ids[:-1])[len(prompt) - 1 :].argmax(-1)
        assert choices.tolist() == ids
        if len(ids) < 16:
            assert runner.greedy(prompt, len(ids)) == ids
    assert [len(ids) for ids, _ in answers] == [8, 39, 48, 32, 12]


@pytest.mark.parametrize(
    ("graph", "max_kl"), [("ragged_exact.onnx", 1e-6), ("ragged.onnx", MAX_KL), ("model.onnx", MAX_KL)]
)
def test_kl_to_the_reference_stays_small(
    smollm2: InstalledModel,
    prompts: list[list[int]],
    answers: list[tuple[list[int], Floats]],
    graph: str,
    max_kl: float,
) -> None:
    runner, divergences, agreements = GraphRunner(smollm2.folder, graph), [], []
    for prompt, (ids, logits) in zip(prompts, answers, strict=True):
        runner.restart()
        got = runner.forward(prompt + ids)
        divergences.append(_kl(logits, got).mean())
        agreements.append((got.argmax(-1) == logits.argmax(-1)).mean())
    kl, agreement = float(np.mean(divergences)), float(np.mean(agreements))
    print(f"{graph}: KL {kl:.6f} nats, top-1 agreement {agreement:.4f}")
    assert kl < max_kl
    assert agreement > 0.9


def _kl(reference: Floats, actual: Floats) -> Floats:
    def log_softmax(logits: Floats) -> Floats:
        shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))

    p, q = log_softmax(reference), log_softmax(actual)
    return np.asarray((np.exp(p) * (p - q)).sum(-1))
