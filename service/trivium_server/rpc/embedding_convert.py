"""Requests of EmbeddingService into frozen requests. Every field of the call is checked, and all that is wrong told.

The texts are not looked at here: each fails by itself, see text_items. Each function takes what the request's model
is like, or None where no model is named: then only what holds for every model is checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trivium.v1 import common_pb2
from trivium.v1 import embedding_pb2 as pb
from trivium_server.architectures.text_capabilities import (
    EmbeddingInfo,
    EmbeddingOptions,
    Purpose,
    ScoreScale,
    Truncation,
    VectorKind,
)
from trivium_server.rpc.text_items import truncation
from trivium_server.rpc.vectors import Encoding
from trivium_server.rpc.violations import Violations

_PURPOSES: dict[int, Purpose | None] = {
    pb.EMBED_PURPOSE_UNSPECIFIED: None,
    **{pb.EmbedPurpose.Value(f"EMBED_PURPOSE_{purpose.value}"): purpose for purpose in Purpose},
}
_KINDS: dict[int, VectorKind | None] = {
    pb.EMBEDDING_KIND_UNSPECIFIED: None,
    **{pb.EmbeddingKind.Value(f"EMBEDDING_KIND_{kind.value}"): kind for kind in VectorKind},
}
ENCODINGS: dict[int, Encoding] = {
    **{value: value for value in pb.VectorEncoding.values()},
    pb.VECTOR_ENCODING_UNSPECIFIED: pb.VECTOR_ENCODING_FLOAT_LIST,
}
_SCALES: dict[int, ScoreScale | None] = {
    common_pb2.SCORE_SCALE_UNSPECIFIED: None,
    **{common_pb2.ScoreScale.Value(f"SCORE_SCALE_{scale.value}"): scale for scale in ScoreScale},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedSpec:
    """How to embed, and how to send what comes out. `path` is where the request says so."""

    options: EmbeddingOptions
    encoding: Encoding
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankSpec:
    """How to rank. top_n: None for all."""

    scale: ScoreScale
    truncation: Truncation
    top_n: int | None


def embed_spec(config: pb.EmbedConfig, info: EmbeddingInfo | None, found: Violations, path: str) -> EmbedSpec:
    """Returns how a call embeds. Raises what `found` holds already and what is found here, all together."""
    kind = _kind(config, info, found, path)
    encoding = found.choice(f"{path}.encoding", config.encoding, ENCODINGS, "VectorEncoding")
    if kind is VectorKind.SPARSE:
        for name in ("dimensions", "normalize"):
            if config.HasField(name):
                found.add(f"{path}.{name}", "does not go with EMBEDDING_KIND_SPARSE")
        if encoding not in {None, pb.VECTOR_ENCODING_FLOAT_LIST}:
            found.add(f"{path}.encoding", "EMBEDDING_KIND_SPARSE has VECTOR_ENCODING_FLOAT_LIST only")
    elif config.HasField("dimensions"):
        check_dimensions(config.dimensions, info, found, f"{path}.dimensions")
    prompt = _chosen_prompt(config, info, found, path)
    policy = truncation(config.truncation, f"{path}.truncation", found)
    found.raise_if_any()
    assert kind is not None, "without a model something was found"
    assert encoding is not None, "an unknown encoding was found"
    options = EmbeddingOptions(
        kind=kind,
        prompt=prompt,
        dimensions=config.dimensions if config.HasField("dimensions") else None,
        normalize=config.normalize if config.HasField("normalize") else True,
        truncation=policy,
    )
    return EmbedSpec(options=options, encoding=encoding, path=path)


def rerank_spec(request: pb.RerankRequest, scales: Sequence[ScoreScale], found: Violations) -> RerankSpec:
    """Returns how a call ranks. scales: those of the model, empty without one. Raises all that was found."""
    found.text("query", request.query)
    found.count("rerank.documents", len(request.documents), "documents", at_least=1)
    if request.HasField("top_n"):
        found.number("rerank.top_n", request.top_n, "top_n")
    scale = found.choice("score_scale", request.score_scale, _SCALES, "ScoreScale")
    if scale is None and scales:
        scale = scales[0]
    if scales and scale not in scales:
        known = ", ".join(f"SCORE_SCALE_{one.value}" for one in scales)
        found.unsupported("score_scale", f"the model gives {known}")
    policy = truncation(request.truncation, "truncation", found)
    found.raise_if_any()
    assert scale is not None, "without a model something was found"
    return RerankSpec(scale=scale, truncation=policy, top_n=request.top_n if request.HasField("top_n") else None)


def compare_options(request: pb.CompareTextsRequest, info: EmbeddingInfo | None, found: Violations) -> EmbeddingOptions:
    """Returns how a call embeds the texts that it compares. Raises all that was found."""
    found.text("source", request.source)
    found.count("compare.targets", len(request.targets), "targets", at_least=1)
    policy = truncation(request.truncation, "truncation", found)
    if info and VectorKind.DENSE not in info.kinds:
        found.unsupported("model", "the model gives no dense vectors, and others are not compared")
    found.raise_if_any()
    assert info, "without a model something was found"
    return EmbeddingOptions(kind=VectorKind.DENSE, prompt=info.prompt_for(Purpose.SIMILARITY), truncation=policy)


def _kind(config: pb.EmbedConfig, info: EmbeddingInfo | None, found: Violations, path: str) -> VectorKind | None:
    kind = found.choice(f"{path}.kind", config.kind, _KINDS, "EmbeddingKind")
    if not info:
        return kind
    if kind and kind not in info.kinds:
        known = ", ".join(f"EMBEDDING_KIND_{one.value}" for one in info.kinds)
        found.unsupported(f"{path}.kind", f"the model gives {known}")
    return kind or info.kinds[0]


def check_dimensions(value: int, info: EmbeddingInfo | None, found: Violations, path: str) -> None:
    """Checks how many dimensions a caller wants. info: None where no model is named."""
    if value < 1 or (info and value > info.dimensions):
        most = f"1 to {info.dimensions}" if info else "at least 1"
        found.add(path, f"is {value}; it must be {most}")
    elif info and value not in info.supported_dimensions:
        known = ", ".join(map(str, info.supported_dimensions))
        found.unsupported(path, f"is {value}; the model was trained for {known}")


def _chosen_prompt(config: pb.EmbedConfig, info: EmbeddingInfo | None, found: Violations, path: str) -> str:
    purpose = found.choice(f"{path}.purpose", config.purpose, _PURPOSES, "EmbedPurpose")
    if not config.prompt_name:
        return info.prompt_for(purpose) if info else ""
    if config.purpose != pb.EMBED_PURPOSE_UNSPECIFIED:
        found.add(f"{path}.prompt_name", "and purpose exclude one another")
    if not info:
        return ""
    for prompt in info.prompts:
        if prompt.name == config.prompt_name:
            return prompt.text
    known = ", ".join(prompt.name for prompt in info.prompts)
    found.add(f"{path}.prompt_name", f"is no prompt of the model; it has {known or 'none'}")
    return ""
