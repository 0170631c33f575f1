"""What is known of a loaded text encoder without asking it again."""

from dataclasses import dataclass

from trivium_server.architectures.capabilities import Capability
from trivium_server.architectures.text_capabilities import (
    EmbeddingInfo,
    EncoderModel,
    EntityExtractor,
    LanguageDetector,
    Reranker,
    ScoreScale,
    TextClassifier,
    TextEmbedder,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFacts:
    """What a text encoder can do, and with what.

    max_input_tokens: 0 for one that counts none. by_similarity: those capabilities for which it only compares vectors.
    """

    capabilities: frozenset[Capability]
    by_similarity: frozenset[Capability] = frozenset()
    max_input_tokens: int = 0
    labels: tuple[str, ...] = ()
    language_codes: tuple[str, ...] = ()
    embedding: EmbeddingInfo | None = None


def text_facts(model: object) -> TextFacts | None:
    """Returns what a model tells of itself; None for one that is no text encoder."""
    if isinstance(model, LanguageDetector):
        return TextFacts(capabilities=frozenset({Capability.DETECT_LANGUAGE}), language_codes=model.language_codes)
    capabilities: set[Capability] = set()
    by_similarity: set[Capability] = set()
    labels: tuple[str, ...] = ()
    encoder: EncoderModel | None = None
    if isinstance(model, TextEmbedder):
        encoder = model
        capabilities.add(Capability.EMBED_TEXT)
    if isinstance(model, Reranker):
        encoder = model
        capabilities.add(Capability.RERANK)
        if ScoreScale.COSINE in model.rerank_scales:
            by_similarity.add(Capability.RERANK)
    if isinstance(model, TextClassifier):
        encoder = model
        capabilities.add(Capability.CLASSIFY_TEXT)
        labels = model.labels
        if not labels:
            by_similarity.add(Capability.CLASSIFY_TEXT)
    if isinstance(model, EntityExtractor):
        encoder = model
        capabilities.add(Capability.EXTRACT_ENTITIES)
        labels = model.entity_labels
    if encoder is None:
        return None
    return TextFacts(
        max_input_tokens=encoder.max_input_tokens,
        capabilities=frozenset(capabilities),
        by_similarity=frozenset(by_similarity),
        labels=labels,
        embedding=model.embedding_info if isinstance(model, TextEmbedder) else None,
    )
