"""What models answer, as messages of trivium.v1."""

from collections.abc import Iterable, Sequence

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from trivium.v1 import common_pb2, embedding_pb2, generation_pb2, models_pb2, speech_pb2
from trivium_server.architectures.capabilities import (
    CandidateEnd,
    FinishReason,
    GenerationStats,
    ModelCard,
    SamplingDefaults,
    TokenLogprob,
)
from trivium_server.architectures.image_facts import ImageFacts
from trivium_server.architectures.model_state import ModelStatus
from trivium_server.architectures.speech_facts import SpeechFacts
from trivium_server.architectures.text_capabilities import EmbeddingInfo, EncoderMeter
from trivium_server.architectures.text_facts import TextFacts
from trivium_server.errors import ModelFailed
from trivium_server.rpc.call import Call
from trivium_server.rpc.status import rpc_status

_FINISH_REASONS = {
    reason: generation_pb2.FinishReason.Value(f"FINISH_REASON_{reason.value}") for reason in FinishReason
}
_SUPPORTED_PARAMETERS = tuple(field.name for field in generation_pb2.SamplingParameters.DESCRIPTOR.fields)


def duration(seconds: float) -> Duration:
    """Returns a protobuf duration, to the nanosecond."""
    nanos = round(seconds * 1e9)
    return Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)


def served_model(card: ModelCard, execution_provider: str) -> common_pb2.ServedModel:
    """Says which model answered."""
    return common_pb2.ServedModel(
        name=card.name, version=card.version, digest=card.digest, execution_provider=execution_provider
    )


def usage(stats: GenerationStats) -> common_pb2.Usage:
    """Says what a generation has used so far."""
    return common_pb2.Usage(
        tokens=common_pb2.TokenUsage(input_tokens=stats.input_tokens, output_tokens=stats.output_tokens),
        input_characters=stats.input_characters,
        compute_duration=duration(stats.compute_s),
    )


def generation_info(call: Call, model: common_pb2.ServedModel, stats: GenerationStats) -> common_pb2.CallInfo:
    """Says what a generation did, for its terminal message."""
    timing = common_pb2.Timing(
        queue_duration=duration(stats.queue_s),
        preprocess_duration=duration(stats.preprocess_s),
        inference_duration=duration(stats.inference_s),
        total_duration=duration(call.elapsed_s()),
    )
    if stats.first_output_s is not None:
        timing.first_output_duration.CopyFrom(duration(stats.first_output_s))
    return common_pb2.CallInfo(request_id=call.request_id, model=model, usage=usage(stats), timing=timing)


def encoder_usage(meter: EncoderMeter) -> common_pb2.Usage:
    """Says what a call of a text encoder has used so far."""
    return common_pb2.Usage(
        tokens=common_pb2.TokenUsage(input_tokens=meter.input_tokens),
        input_characters=meter.input_characters,
        compute_duration=duration(meter.compute_s),
    )


def encoder_info(
    call: Call,
    model: common_pb2.ServedModel,
    meter: EncoderMeter,
    first_output_s: float | None,
    warnings: Sequence[common_pb2.Warning],
) -> common_pb2.CallInfo:
    """Says what a call of a text encoder did, for its terminal message."""
    timing = common_pb2.Timing(
        queue_duration=duration(meter.queue_s),
        preprocess_duration=duration(meter.preprocess_s),
        inference_duration=duration(meter.inference_s),
        total_duration=duration(call.elapsed_s()),
    )
    if first_output_s is not None:
        timing.first_output_duration.CopyFrom(duration(first_output_s))
    return common_pb2.CallInfo(
        request_id=call.request_id, model=model, usage=encoder_usage(meter), timing=timing, warnings=warnings
    )


def logprobs(tokens: Iterable[TokenLogprob]) -> list[generation_pb2.TokenLogprob]:
    """Returns tokens with their log-probabilities."""
    return [
        generation_pb2.TokenLogprob(
            token_id=token.token_id,
            token_bytes=token.token_bytes,
            logprob=token.logprob,
            alternatives=logprobs(token.alternatives),
        )
        for token in tokens
    ]


def finish_reason(reason: FinishReason) -> generation_pb2.FinishReason.ValueType:
    """Returns the reason of the contract."""
    return _FINISH_REASONS[reason]


def candidate_finished(end: CandidateEnd) -> generation_pb2.CandidateFinished:
    """Returns the event that ends a candidate."""
    return generation_pb2.CandidateFinished(
        candidate_index=end.candidate_index,
        finish_reason=finish_reason(end.reason),
        matched_stop_sequence=end.matched_stop_sequence,
        matched_stop_token_id=end.matched_stop_token_id,
    )


def model(status: ModelStatus, max_request_bytes: int) -> models_pb2.Model:
    """Returns a model as ModelService shows it."""
    card, limits = status.card, status.limits
    message = models_pb2.Model(
        name=card.name,
        version=card.version,
        digest=card.digest,
        display_name=card.display_name,
        license=card.license,
        state=models_pb2.ModelState.Value(f"MODEL_STATE_{status.state.name}"),
        language_codes=card.language_codes,
        capabilities=sorted(models_pb2.Capability.Value(f"CAPABILITY_{item.value}") for item in status.capabilities),
        limits=models_pb2.ModelLimits(max_request_bytes=max_request_bytes),
    )
    if limits:
        message.limits.max_input_tokens = limits.max_input_tokens
        message.limits.max_output_tokens = limits.max_output_tokens
        message.limits.max_context_tokens = limits.max_context_tokens
    if status.sampling_defaults:
        message.default_sampling.CopyFrom(_default_sampling(status.sampling_defaults))
        message.supported_parameters.extend(_SUPPORTED_PARAMETERS)
    if status.encoder:
        _add_encoder(message, status.encoder)
    if status.image:
        _add_image_facts(message, status.image)
    if status.speech:
        _add_speech_facts(message, status.speech)
    if status.ready_time:
        ready = Timestamp()
        ready.FromDatetime(status.ready_time)
        message.ready_time.CopyFrom(ready)
    if status.failure:
        message.last_error.CopyFrom(rpc_status(ModelFailed(card.name, status.failure), request_id=""))
    return message


def _add_encoder(message: models_pb2.Model, facts: TextFacts) -> None:
    message.limits.max_input_tokens = facts.max_input_tokens
    if facts.language_codes:
        message.language_codes[:] = facts.language_codes
    message.labels.extend(facts.labels)
    message.similarity_capabilities.extend(
        sorted(models_pb2.Capability.Value(f"CAPABILITY_{item.value}") for item in facts.by_similarity)
    )
    if facts.embedding:
        message.embedding.CopyFrom(_embedding_info(facts.embedding))


def _add_image_facts(message: models_pb2.Model, facts: ImageFacts) -> None:
    message.limits.max_image_pixels = facts.max_image_pixels
    message.labels.extend(facts.labels)
    message.vision.default_min_score = facts.default_min_score
    message.vision.default_iou_threshold = facts.default_iou_threshold
    message.vision.landmark_names.extend(facts.landmark_names)
    if facts.embedding:
        message.embedding.CopyFrom(_embedding_info(facts.embedding))


def _add_speech_facts(message: models_pb2.Model, facts: SpeechFacts) -> None:
    message.limits.max_audio_milliseconds = round(1000 * facts.max_audio_s)
    message.limits.max_input_characters = facts.max_text_len
    if facts.language_codes:
        message.language_codes[:] = facts.language_codes
    info = facts.recognizer
    if info:
        message.recognition.tasks.extend(
            speech_pb2.RecognitionTask.Value(f"RECOGNITION_TASK_{task.value}") for task in info.tasks
        )
        message.recognition.gives_word_timings = info.gives_word_timings
        message.recognition.honors_prompt = info.honors_prompt
        message.recognition.max_segment_duration.CopyFrom(duration(info.max_segment_s))


def _embedding_info(info: EmbeddingInfo) -> models_pb2.EmbeddingInfo:
    return models_pb2.EmbeddingInfo(
        dimensions=info.dimensions,
        supported_dimensions=info.supported_dimensions,
        kinds=[embedding_pb2.EmbeddingKind.Value(f"EMBEDDING_KIND_{kind.value}") for kind in info.kinds],
        prompts=[
            models_pb2.EmbeddingPrompt(
                name=prompt.name,
                text=prompt.text,
                purposes=sorted(
                    embedding_pb2.EmbedPurpose.Value(f"EMBED_PURPOSE_{purpose.value}") for purpose in prompt.purposes
                ),
                is_default=prompt.is_default,
            )
            for prompt in info.prompts
        ],
    )


def _default_sampling(defaults: SamplingDefaults) -> generation_pb2.SamplingParameters:
    return generation_pb2.SamplingParameters(
        temperature=defaults.temperature,
        top_p=defaults.top_p,
        top_k=defaults.top_k,
        min_p=defaults.min_p,
        repetition_penalty=defaults.repetition_penalty,
        frequency_penalty=defaults.frequency_penalty,
        presence_penalty=defaults.presence_penalty,
        max_output_tokens=defaults.max_output_tokens,
        min_output_tokens=defaults.min_output_tokens,
        candidate_count=defaults.candidate_count,
    )
