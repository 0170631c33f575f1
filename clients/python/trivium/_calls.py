"""The methods of the contract as values, and the calls made of them. Pure; both clients run the same calls."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from trivium._assembly import Assembly
from trivium._error_base import ModelNotChosen
from trivium._error_types import ErrorReason, InputTooLarge
from trivium._replay import Replay
from trivium.admin.v1 import admin_pb2
from trivium.admin_info import ServerInfo, parse_server_info
from trivium.generation import GenerationResult, TokenCount, parse_result, parse_token_count
from trivium.models import Capability, Model, parse_model
from trivium.v1 import analysis_pb2, embedding_pb2, generation_pb2, models_pb2, speech_pb2, vision_pb2

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Method(Generic[RequestT, ResponseT]):
    """An RPC: its path and the classes of its messages."""

    path: str
    request: type[RequestT]
    response: type[ResponseT]


GENERATE = Method(
    "/trivium.v1.TextGenerationService/Generate", generation_pb2.GenerateRequest, generation_pb2.GenerateResponse
)
STREAM_GENERATE = Method(
    "/trivium.v1.TextGenerationService/StreamGenerate",
    generation_pb2.StreamGenerateRequest,
    generation_pb2.StreamGenerateResponse,
)
COUNT_TOKENS = Method(
    "/trivium.v1.TextGenerationService/CountTokens",
    generation_pb2.CountTokensRequest,
    generation_pb2.CountTokensResponse,
)
EMBED = Method("/trivium.v1.EmbeddingService/Embed", embedding_pb2.EmbedRequest, embedding_pb2.EmbedResponse)
STREAM_EMBED = Method(
    "/trivium.v1.EmbeddingService/StreamEmbed", embedding_pb2.StreamEmbedRequest, embedding_pb2.StreamEmbedResponse
)
RERANK = Method("/trivium.v1.EmbeddingService/Rerank", embedding_pb2.RerankRequest, embedding_pb2.RerankResponse)
COMPARE_TEXTS = Method(
    "/trivium.v1.EmbeddingService/CompareTexts", embedding_pb2.CompareTextsRequest, embedding_pb2.CompareTextsResponse
)
CLASSIFY_TEXT = Method(
    "/trivium.v1.TextAnalysisService/ClassifyText", analysis_pb2.ClassifyTextRequest, analysis_pb2.ClassifyTextResponse
)
EXTRACT_ENTITIES = Method(
    "/trivium.v1.TextAnalysisService/ExtractEntities",
    analysis_pb2.ExtractEntitiesRequest,
    analysis_pb2.ExtractEntitiesResponse,
)
DETECT_LANGUAGE = Method(
    "/trivium.v1.TextAnalysisService/DetectLanguage",
    analysis_pb2.DetectLanguageRequest,
    analysis_pb2.DetectLanguageResponse,
)
ANALYZE_IMAGE = Method(
    "/trivium.v1.VisionService/AnalyzeImage", vision_pb2.AnalyzeImageRequest, vision_pb2.AnalyzeImageResponse
)
STREAM_ANALYZE_IMAGE = Method(
    "/trivium.v1.VisionService/StreamAnalyzeImage",
    vision_pb2.StreamAnalyzeImageRequest,
    vision_pb2.StreamAnalyzeImageResponse,
)
RECOGNIZE = Method(
    "/trivium.v1.SpeechRecognitionService/Recognize", speech_pb2.RecognizeRequest, speech_pb2.RecognizeResponse
)
STREAM_RECOGNIZE = Method(
    "/trivium.v1.SpeechRecognitionService/StreamRecognize",
    speech_pb2.StreamRecognizeRequest,
    speech_pb2.StreamRecognizeResponse,
)
SYNTHESIZE = Method(
    "/trivium.v1.SpeechSynthesisService/Synthesize", speech_pb2.SynthesizeRequest, speech_pb2.SynthesizeResponse
)
STREAM_SYNTHESIZE = Method(
    "/trivium.v1.SpeechSynthesisService/StreamSynthesize",
    speech_pb2.StreamSynthesizeRequest,
    speech_pb2.StreamSynthesizeResponse,
)
LIST_VOICES = Method(
    "/trivium.v1.SpeechSynthesisService/ListVoices", speech_pb2.ListVoicesRequest, speech_pb2.ListVoicesResponse
)
LIST_MODELS = Method("/trivium.v1.ModelService/ListModels", models_pb2.ListModelsRequest, models_pb2.ListModelsResponse)
GET_MODEL = Method("/trivium.v1.ModelService/GetModel", models_pb2.GetModelRequest, models_pb2.GetModelResponse)
WATCH_MODELS = Method(
    "/trivium.v1.ModelService/WatchModels", models_pb2.WatchModelsRequest, models_pb2.WatchModelsResponse
)
GET_SERVER_INFO = Method(
    "/trivium.admin.v1.AdminService/GetServerInfo", admin_pb2.GetServerInfoRequest, admin_pb2.GetServerInfoResponse
)
DRAIN_SERVER = Method(
    "/trivium.admin.v1.AdminService/DrainServer", admin_pb2.DrainServerRequest, admin_pb2.DrainServerResponse
)
LOAD_MODEL = Method("/trivium.admin.v1.AdminService/LoadModel", admin_pb2.LoadModelRequest, admin_pb2.LoadModelResponse)
UNLOAD_MODEL = Method(
    "/trivium.admin.v1.AdminService/UnloadModel", admin_pb2.UnloadModelRequest, admin_pb2.UnloadModelResponse
)


@dataclass(frozen=True, slots=True)
class UnaryCall(Generic[RequestT, ResponseT, ResultT]):
    """A call with one response, and how to read it."""

    method: Method[RequestT, ResponseT]
    request: RequestT
    parse: Callable[[ResponseT], ResultT]


@dataclass(frozen=True, slots=True)
class StreamCall(Generic[RequestT, ResponseT, ResultT]):
    """A call with a stream of responses, and what puts them together. Made anew for each call.

    replay: where a stream that breaks goes on in another one; None where it is lost.
    """

    method: Method[RequestT, ResponseT]
    request: RequestT
    assembly: Assembly[ResponseT, ResultT]
    replay: Replay[ResponseT] | None = None


GenerateCall = UnaryCall[generation_pb2.GenerateRequest, generation_pb2.GenerateResponse, GenerationResult]
CountCall = UnaryCall[generation_pb2.CountTokensRequest, generation_pb2.CountTokensResponse, TokenCount]
ListCall = UnaryCall[models_pb2.ListModelsRequest, models_pb2.ListModelsResponse, tuple[list[Model], str]]


def generate(built: generation_pb2.GenerationInput) -> GenerateCall:
    """Generate."""
    return UnaryCall(GENERATE, generation_pb2.GenerateRequest(input=built), parse_result)


def stream_request(
    built: generation_pb2.GenerationInput, min_tokens_per_event: int | None, heartbeats: bool
) -> generation_pb2.StreamGenerateRequest:
    """The request of StreamGenerate."""
    request = generation_pb2.StreamGenerateRequest(input=built)
    request.stream.emit_heartbeats = heartbeats
    if min_tokens_per_event is not None:
        request.stream.min_tokens_per_event = min_tokens_per_event
    return request


def count_tokens(built: generation_pb2.GenerationInput, include_tokens: bool) -> CountCall:
    """CountTokens."""
    request = generation_pb2.CountTokensRequest(input=built, include_tokens=include_tokens)
    return UnaryCall(COUNT_TOKENS, request, parse_token_count)


def list_models(capability: Capability | None, page_token: str) -> ListCall:
    """ListModels, one page of it."""
    request = models_pb2.ListModelsRequest(page_token=page_token)
    if capability is not None:
        request.capability = models_pb2.Capability.Value(f"CAPABILITY_{capability.name}")
    return UnaryCall(
        LIST_MODELS, request, lambda page: ([parse_model(model) for model in page.models], page.next_page_token)
    )


def get_model(name: str) -> UnaryCall[models_pb2.GetModelRequest, models_pb2.GetModelResponse, Model]:
    """GetModel."""
    return UnaryCall(GET_MODEL, models_pb2.GetModelRequest(model=name), lambda response: parse_model(response.model))


def get_server_info() -> UnaryCall[admin_pb2.GetServerInfoRequest, admin_pb2.GetServerInfoResponse, ServerInfo]:
    """GetServerInfo."""
    return UnaryCall(GET_SERVER_INFO, admin_pb2.GetServerInfoRequest(), parse_server_info)


def drain_server(
    grace_period_s: float | None,
) -> UnaryCall[admin_pb2.DrainServerRequest, admin_pb2.DrainServerResponse, int]:
    """DrainServer; its result is the number of running calls."""
    request = admin_pb2.DrainServerRequest(grace_period=duration(grace_period_s))
    return UnaryCall(DRAIN_SERVER, request, lambda response: response.in_flight_count)


def unload_model(
    name: str, drain_timeout_s: float | None
) -> UnaryCall[admin_pb2.UnloadModelRequest, admin_pb2.UnloadModelResponse, Model]:
    """UnloadModel."""
    request = admin_pb2.UnloadModelRequest(model=name, drain_timeout=duration(drain_timeout_s))
    return UnaryCall(UNLOAD_MODEL, request, lambda response: parse_model(response.model))


def duration(value_s: float | None) -> Duration | None:
    """Returns seconds as a message, None for None."""
    if value_s is None:
        return None
    built = Duration()
    built.FromTimedelta(timedelta(seconds=value_s))
    return built


def check_size(request: Message, limit_bytes: int) -> None:
    """Raises InputTooLarge for a message that gRPC would refuse to send, which it words like an exhausted quota."""
    size = request.ByteSize()
    if size > limit_bytes:
        raise InputTooLarge(
            f"the request has {size} bytes; the limit is {limit_bytes}",
            reason=ErrorReason.INPUT_TOO_LARGE,
            metadata={"actual": str(size), "limit": str(limit_bytes)},
        )


_CAN = {
    Capability.GENERATE_TEXT: "generates text",
    Capability.EMBED_TEXT: "embeds texts",
    Capability.RERANK: "ranks documents",
    Capability.CLASSIFY_TEXT: "classifies texts",
    Capability.EXTRACT_ENTITIES: "extracts entities",
    Capability.DETECT_LANGUAGE: "detects languages",
    Capability.CLASSIFY_IMAGE: "classifies images",
    Capability.DETECT_OBJECTS: "detects objects",
    Capability.RECOGNIZE_TEXT: "reads text in images",
    Capability.DETECT_FACES: "detects faces",
    Capability.EMBED_IMAGE: "embeds images",
    Capability.RECOGNIZE_SPEECH: "recognises speech",
    Capability.SYNTHESIZE_SPEECH: "speaks",
    Capability.DETECT_VOICE_ACTIVITY: "detects voice activity",
}


def choose_model(models: list[Model], capability: Capability) -> str:
    """Returns the model that is meant where none was named: the only one that is ready, else the only one at all.

    Raises ModelNotChosen where that is none or several.
    """
    ready = [model.name for model in models if model.is_ready]
    candidates = ready or [model.name for model in models]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise ModelNotChosen(f"the server has no model that {_CAN[capability]}")
    names = ", ".join(sorted(candidates))
    if not ready:
        raise ModelNotChosen(
            f"no model that {_CAN[capability]} is ready; `trivium models load NAME` makes it so for one of {names}"
        )
    raise ModelNotChosen(
        f"the server has several models, each of which {_CAN[capability]}; name one of {names}",
        metadata={"models": names},
    )
