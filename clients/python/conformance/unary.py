"""The methods with one response: the SDK's call for a request, and the response as the SDK gave it.

Where the SDK has pages, parts or a plain value for its caller, the response is put together from them again.
"""

from collections.abc import Callable

from google.protobuf.message import Message

import trivium
from conformance.asked import CallSettings
from conformance.generation_arguments import options_of, prompt_of
from trivium import vision
from trivium.admin.v1 import admin_pb2
from trivium.v1 import analysis_pb2, common_pb2, embedding_pb2, generation_pb2, models_pb2, speech_pb2, vision_pb2

__all__ = ["UNARY", "UnaryMethod", "embed_options", "feature_of", "truncation_name"]


def _generate(
    client: trivium.Client, request: generation_pb2.GenerateRequest, settings: CallSettings
) -> generation_pb2.GenerateResponse:
    built = request.input
    return client.text.generate(prompt_of(built), model=built.model or None, **settings, **options_of(built)).raw


def _count_tokens(
    client: trivium.Client, request: generation_pb2.CountTokensRequest, settings: CallSettings
) -> generation_pb2.CountTokensResponse:
    return client.text.count_tokens(
        prompt_of(request.input), model=request.input.model or None, include_tokens=request.include_tokens, **settings
    ).raw


def truncation_name(policy: common_pb2.TruncationPolicy.ValueType) -> str | None:
    """Returns the SDK's name of a policy."""
    return common_pb2.TruncationPolicy.Name(policy).removeprefix("TRUNCATION_POLICY_") if policy else None


def embed_options(config: embedding_pb2.EmbedConfig) -> trivium.EmbedOptions:
    """Returns what shapes vectors."""
    options = trivium.EmbedOptions()
    if config.purpose:
        options["purpose"] = embedding_pb2.EmbedPurpose.Name(config.purpose).removeprefix("EMBED_PURPOSE_")
    if config.HasField("dimensions"):
        options["dimensions"] = config.dimensions
    if config.HasField("normalize"):
        options["normalize"] = config.normalize
    if config.encoding:
        options["encoding"] = embedding_pb2.VectorEncoding.Name(config.encoding).removeprefix("VECTOR_ENCODING_")
    if config.prompt_name:
        options["prompt_name"] = config.prompt_name
    if truncation := truncation_name(config.truncation):
        options["truncation"] = truncation
    return options


def _embed(
    client: trivium.Client, request: embedding_pb2.EmbedRequest, settings: CallSettings
) -> embedding_pb2.EmbedResponse:
    texts = [(item.item_id, item.text) for item in request.items]
    made = client.embed_items(texts, model=request.config.model or None, **settings, **embed_options(request.config))
    return embedding_pb2.EmbedResponse(
        results=[result.raw for result in made.results], info=made.info.raw if made.info else None
    )


def _rerank(
    client: trivium.Client, request: embedding_pb2.RerankRequest, settings: CallSettings
) -> embedding_pb2.RerankResponse:
    scale = common_pb2.ScoreScale.Name(request.score_scale).removeprefix("SCORE_SCALE_")
    return client.rerank(
        request.query,
        [(document.document_id, document.text) for document in request.documents],
        model=request.model or None,
        top_n=request.top_n if request.HasField("top_n") else None,
        score_scale=scale if request.score_scale else None,
        truncation=truncation_name(request.truncation),
        **settings,
    ).raw


def _compare_texts(
    client: trivium.Client, request: embedding_pb2.CompareTextsRequest, settings: CallSettings
) -> embedding_pb2.CompareTextsResponse:
    truncation = truncation_name(request.truncation)
    return client.compare_items(
        request.source, list(request.targets), model=request.model or None, truncation=truncation, **settings
    ).raw


def _classify_text(
    client: trivium.Client, request: analysis_pb2.ClassifyTextRequest, settings: CallSettings
) -> analysis_pb2.ClassifyTextResponse:
    return client.classify(
        [(item.item_id, item.text) for item in request.items],
        list(request.candidate_labels) or None,
        model=request.model or None,
        template=request.label_template or None,
        top_k=request.top_k if request.HasField("top_k") else None,
        min_score=request.min_score if request.HasField("min_score") else None,
        truncation=truncation_name(request.truncation),
        **settings,
    ).raw


def _extract_entities(
    client: trivium.Client, request: analysis_pb2.ExtractEntitiesRequest, settings: CallSettings
) -> analysis_pb2.ExtractEntitiesResponse:
    return client.extract_entities(
        [(item.item_id, item.text) for item in request.items],
        model=request.model or None,
        min_score=request.min_score if request.HasField("min_score") else None,
        truncation=truncation_name(request.truncation),
        **settings,
    ).raw


def _detect_language(
    client: trivium.Client, request: analysis_pb2.DetectLanguageRequest, settings: CallSettings
) -> analysis_pb2.DetectLanguageResponse:
    return client.detect_language(
        [(item.item_id, item.text) for item in request.items],
        model=request.model or None,
        top_k=request.top_k if request.HasField("top_k") else None,
        min_score=request.min_score if request.HasField("min_score") else None,
        **settings,
    ).raw


_FEATURES = {
    "classification": vision.ClassifyImage,
    "detection": vision.DetectObjects,
    "text_recognition": vision.ReadText,
    "faces": vision.DetectFaces,
    "embedding": vision.EmbedImage,
}


def feature_of(message: vision_pb2.VisionFeature) -> vision.Feature:
    """Returns what to ask about an image."""
    kind = message.WhichOneof("feature")
    assert kind is not None
    options: dict[str, object] = {field.name: value for field, value in getattr(message, kind).ListFields()}
    if "encoding" in options:
        options["encoding"] = embedding_pb2.VectorEncoding.Name(message.embedding.encoding).removeprefix(
            "VECTOR_ENCODING_"
        )
    feature: vision.Feature = _FEATURES[kind](model=message.model or None, **options)
    return feature


def _analyze_image(
    client: trivium.Client, request: vision_pb2.AnalyzeImageRequest, settings: CallSettings
) -> vision_pb2.AnalyzeImageResponse:
    features = [feature_of(feature) for feature in request.features]
    return client.vision.analyze(request.image.content, features, **settings).raw


def _recognize(
    client: trivium.Client, request: speech_pb2.RecognizeRequest, settings: CallSettings
) -> speech_pb2.RecognizeResponse:
    config = request.config
    return client.speech.transcribe(
        request.audio.content,
        model=config.model or None,
        language=list(config.language_codes) or None,
        word_timings=config.include_word_timings,
        prompt=config.prompt or None,
        separate_channels=config.separate_channels,
        **settings,
    ).raw


def _synthesize(
    client: trivium.Client, request: speech_pb2.SynthesizeRequest, settings: CallSettings
) -> speech_pb2.SynthesizeResponse:
    config = request.config
    return client.speech.speak(
        request.input.text,
        model=config.model or None,
        voice=config.voice.voice_name or None,
        word_timings=config.include_word_timings,
        **settings,
    ).raw


def _list_voices(
    client: trivium.Client, request: speech_pb2.ListVoicesRequest, settings: CallSettings
) -> speech_pb2.ListVoicesResponse:
    voices = client.speech.voices(model=request.model or None, language=request.language_code or None, **settings)
    return speech_pb2.ListVoicesResponse(voices=[voice.raw for voice in voices])


def _list_models(
    client: trivium.Client, request: models_pb2.ListModelsRequest, settings: CallSettings
) -> models_pb2.ListModelsResponse:
    name = models_pb2.Capability.Name(request.capability).removeprefix("CAPABILITY_")
    capability = trivium.Capability[name] if request.capability else None
    models = client.models.list(capability, **settings)
    return models_pb2.ListModelsResponse(models=[model.raw for model in models])


def _get_model(
    client: trivium.Client, request: models_pb2.GetModelRequest, settings: CallSettings
) -> models_pb2.GetModelResponse:
    return models_pb2.GetModelResponse(model=client.models.get(request.model, **settings).raw)


def _get_server_info(
    client: trivium.Client, _request: admin_pb2.GetServerInfoRequest, settings: CallSettings
) -> admin_pb2.GetServerInfoResponse:
    return client.admin.server_info(**settings).raw


def _drain_server(
    client: trivium.Client, request: admin_pb2.DrainServerRequest, settings: CallSettings
) -> admin_pb2.DrainServerResponse:
    grace_s = request.grace_period.ToTimedelta().total_seconds() if request.HasField("grace_period") else None
    return admin_pb2.DrainServerResponse(in_flight_count=client.admin.drain(grace_s, **settings))


def _unload_model(
    client: trivium.Client, request: admin_pb2.UnloadModelRequest, settings: CallSettings
) -> admin_pb2.UnloadModelResponse:
    drain_s = request.drain_timeout.ToTimedelta().total_seconds() if request.HasField("drain_timeout") else None
    return admin_pb2.UnloadModelResponse(model=client.admin.unload_model(request.model, drain_s, **settings).raw)


UnaryMethod = tuple[type[Message], Callable[..., Message]]  # each takes the client, its own request, and settings

UNARY: dict[str, UnaryMethod] = {
    "trivium.v1.TextGenerationService/Generate": (generation_pb2.GenerateRequest, _generate),
    "trivium.v1.TextGenerationService/CountTokens": (generation_pb2.CountTokensRequest, _count_tokens),
    "trivium.v1.EmbeddingService/Embed": (embedding_pb2.EmbedRequest, _embed),
    "trivium.v1.EmbeddingService/Rerank": (embedding_pb2.RerankRequest, _rerank),
    "trivium.v1.EmbeddingService/CompareTexts": (embedding_pb2.CompareTextsRequest, _compare_texts),
    "trivium.v1.TextAnalysisService/ClassifyText": (analysis_pb2.ClassifyTextRequest, _classify_text),
    "trivium.v1.TextAnalysisService/ExtractEntities": (analysis_pb2.ExtractEntitiesRequest, _extract_entities),
    "trivium.v1.TextAnalysisService/DetectLanguage": (analysis_pb2.DetectLanguageRequest, _detect_language),
    "trivium.v1.VisionService/AnalyzeImage": (vision_pb2.AnalyzeImageRequest, _analyze_image),
    "trivium.v1.SpeechRecognitionService/Recognize": (speech_pb2.RecognizeRequest, _recognize),
    "trivium.v1.SpeechSynthesisService/Synthesize": (speech_pb2.SynthesizeRequest, _synthesize),
    "trivium.v1.SpeechSynthesisService/ListVoices": (speech_pb2.ListVoicesRequest, _list_voices),
    "trivium.v1.ModelService/ListModels": (models_pb2.ListModelsRequest, _list_models),
    "trivium.v1.ModelService/GetModel": (models_pb2.GetModelRequest, _get_model),
    "trivium.admin.v1.AdminService/GetServerInfo": (admin_pb2.GetServerInfoRequest, _get_server_info),
    "trivium.admin.v1.AdminService/DrainServer": (admin_pb2.DrainServerRequest, _drain_server),
    "trivium.admin.v1.AdminService/UnloadModel": (admin_pb2.UnloadModelRequest, _unload_model),
}
