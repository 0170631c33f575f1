"""The Python client of Trivium, an AI inference service over gRPC.

    import trivium

    with trivium.Client() as client:
        for delta in client.text.stream("What is photosynthesis, in one sentence?"):
            print(delta.text, end="")

Client blocks and is thread-safe; AsyncClient is the same for asyncio. Prompts are in trivium.prompts, images in
trivium.vision, speech in trivium.speech, what calls raise in trivium.errors. Every result has the Protobuf message it
was made from as `raw`.
"""

from trivium import errors, speech, vision
from trivium._async_client import AsyncClient
from trivium._async_embed_stream import AsyncEmbedStream
from trivium._async_frame_stream import AsyncFrameStream
from trivium._async_models import AsyncAdminClient, AsyncLoadStream, AsyncModelsClient, AsyncWatchStream
from trivium._async_speech import AsyncSpeechClient
from trivium._async_speech_stream import AsyncSpeechStream, AsyncTranscriptStream
from trivium._async_text import AsyncTextClient, AsyncTextStream
from trivium._async_vision import AsyncVisionClient
from trivium._metadata import Metadata
from trivium._retry import RetryPolicy
from trivium._sync_client import Client
from trivium._sync_embed_stream import EmbedStream
from trivium._sync_frame_stream import FrameStream
from trivium._sync_models import AdminClient, LoadStream, ModelsClient, WatchStream
from trivium._sync_speech import SpeechClient
from trivium._sync_speech_stream import SpeechStream, TranscriptStream
from trivium._sync_text import TextClient, TextStream
from trivium._sync_vision import VisionClient
from trivium._version import __version__
from trivium.admin_info import LoadProgress, ServerInfo
from trivium.analysis import (
    ClassifyTextResponse,
    ClassifyTextResult,
    DetectLanguageResponse,
    DetectLanguageResult,
    Entity,
    ExtractEntitiesResponse,
    ExtractEntitiesResult,
    LabelScore,
    LanguageScore,
)
from trivium.call_info import AudioUsage, CallInfo, CallWarning, ServedModel, Timing, Usage, WarningCode
from trivium.embeddings import (
    CompareTextsResponse,
    EmbeddingKind,
    EmbedOptions,
    EmbedPurpose,
    EmbedResponse,
    EmbedResult,
    FailedDocument,
    PackedVector,
    RankedDocument,
    RerankDocument,
    RerankResponse,
    ScoreScale,
    SparseVector,
    TextComparison,
    TruncationPolicy,
    VectorEncoding,
)
from trivium.errors import TriviumError
from trivium.generation import (
    Candidate,
    CandidateFinished,
    Completed,
    Delta,
    FinishReason,
    GenerationEvent,
    GenerationResult,
    Heartbeat,
    Started,
    Token,
    TokenCount,
    TokenLogprob,
)
from trivium.models import (
    Capability,
    EmbeddingInfo,
    EmbeddingPrompt,
    Model,
    ModelChanged,
    ModelEvent,
    ModelLimits,
    ModelLoadError,
    ModelRemoved,
    ModelState,
    RecognitionInfo,
    SnapshotEnd,
    VisionInfo,
)
from trivium.prompts import Conversation, Message, MessageDict, Prompt, Role, TextPrompt, TokenPrompt
from trivium.sampling import Sampling, SamplingOptions
from trivium.settings import TLS

__all__ = [
    "TLS",
    "AdminClient",
    "AsyncAdminClient",
    "AsyncClient",
    "AsyncEmbedStream",
    "AsyncFrameStream",
    "AsyncLoadStream",
    "AsyncModelsClient",
    "AsyncSpeechClient",
    "AsyncSpeechStream",
    "AsyncTextClient",
    "AsyncTextStream",
    "AsyncTranscriptStream",
    "AsyncVisionClient",
    "AsyncWatchStream",
    "AudioUsage",
    "CallInfo",
    "CallWarning",
    "Candidate",
    "CandidateFinished",
    "Capability",
    "ClassifyTextResponse",
    "ClassifyTextResult",
    "Client",
    "CompareTextsResponse",
    "Completed",
    "Conversation",
    "Delta",
    "DetectLanguageResponse",
    "DetectLanguageResult",
    "EmbedOptions",
    "EmbedPurpose",
    "EmbedResponse",
    "EmbedResult",
    "EmbedStream",
    "EmbeddingInfo",
    "EmbeddingKind",
    "EmbeddingPrompt",
    "Entity",
    "ExtractEntitiesResponse",
    "ExtractEntitiesResult",
    "FailedDocument",
    "FinishReason",
    "FrameStream",
    "GenerationEvent",
    "GenerationResult",
    "Heartbeat",
    "LabelScore",
    "LanguageScore",
    "LoadProgress",
    "LoadStream",
    "Message",
    "MessageDict",
    "Metadata",
    "Model",
    "ModelChanged",
    "ModelEvent",
    "ModelLimits",
    "ModelLoadError",
    "ModelRemoved",
    "ModelState",
    "ModelsClient",
    "PackedVector",
    "Prompt",
    "RankedDocument",
    "RecognitionInfo",
    "RerankDocument",
    "RerankResponse",
    "RetryPolicy",
    "Role",
    "Sampling",
    "SamplingOptions",
    "ScoreScale",
    "ServedModel",
    "ServerInfo",
    "SnapshotEnd",
    "SparseVector",
    "SpeechClient",
    "SpeechStream",
    "Started",
    "TextClient",
    "TextComparison",
    "TextPrompt",
    "TextStream",
    "Timing",
    "Token",
    "TokenCount",
    "TokenLogprob",
    "TokenPrompt",
    "TranscriptStream",
    "TriviumError",
    "TruncationPolicy",
    "Usage",
    "VectorEncoding",
    "VisionClient",
    "VisionInfo",
    "WarningCode",
    "WatchStream",
    "__version__",
    "errors",
    "speech",
    "vision",
]
