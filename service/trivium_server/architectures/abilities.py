"""What models can do, in words: for callers who named a model that cannot, or none."""

from collections.abc import Sequence

from trivium_server.architectures.capabilities import TextGenerator
from trivium_server.architectures.speech_capabilities import (
    SpeechRecognizer,
    SpeechSynthesizer,
    VoiceActivityDetector,
)
from trivium_server.architectures.text_capabilities import (
    EntityExtractor,
    LanguageDetector,
    Reranker,
    TextClassifier,
    TextEmbedder,
)
from trivium_server.architectures.vision_capabilities import (
    FaceDetector,
    ImageClassifier,
    ImageEmbedder,
    ObjectDetector,
    TextReader,
)

_ABILITIES: dict[type, str] = {
    TextGenerator: "generate text",
    TextEmbedder: "embed texts",
    Reranker: "rank documents",
    TextClassifier: "classify texts",
    EntityExtractor: "find entities",
    LanguageDetector: "detect languages",
    ImageClassifier: "classify images",
    ObjectDetector: "detect objects",
    TextReader: "read text in images",
    FaceDetector: "detect faces",
    ImageEmbedder: "embed images",
    SpeechRecognizer: "recognize speech",
    SpeechSynthesizer: "synthesize speech",
    VoiceActivityDetector: "detect voice activity",
}
# A message stays one line, whatever a server has.
_MOST_NAMES = 8


def cannot(model: str, capability: type, able: Sequence[str]) -> str:
    """Says that a model has not a capability, and which models that are ready have it."""
    return f"model {model!r} cannot {_ABILITIES[capability]}; {_named(able)} can"


def model_is_missing(capability: type, able: Sequence[str]) -> str:
    """Says that no model was named, and which models that are ready have the capability."""
    return f"is required; {_named(able)} can {_ABILITIES[capability]}"


def _named(able: Sequence[str]) -> str:
    if not able:
        return "no model that is ready"
    rest = len(able) - _MOST_NAMES
    return ", ".join(able[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
