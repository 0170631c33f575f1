"""The methods with a stream of responses: the SDK's stream for the requests, and its events as responses again."""

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from google.protobuf.message import Message

import trivium
from conformance.asked import StreamSettings
from conformance.generation_arguments import options_of, prompt_of
from conformance.unary import embed_options, feature_of
from trivium import speech, vision
from trivium.admin.v1 import admin_pb2
from trivium.v1 import embedding_pb2, generation_pb2, models_pb2, speech_pb2, vision_pb2

__all__ = ["STREAMS", "Stream", "StreamMethod"]


class Closable(Protocol):
    """What every stream of the SDK has."""

    @property
    def request_id(self) -> str: ...
    def close(self) -> None: ...


class Stream:
    """A stream of the SDK, its responses, and what it says the text of the answer is so far."""

    def __init__(
        self, sdk_stream: Closable, responses: Iterator[Message], text: Callable[[], str] | None = None
    ) -> None:
        self.sdk_stream = sdk_stream
        self.responses = responses
        self.text = text


def _stream_generate(
    client: trivium.Client,
    requests: list[generation_pb2.StreamGenerateRequest],
    settings: StreamSettings,
    _may_end: threading.Event,
) -> Stream:
    request = requests[0]
    built, wanted = request.input, request.stream
    stream = client.text.stream(
        prompt_of(built),
        model=built.model or None,
        min_tokens_per_event=wanted.min_tokens_per_event if wanted.HasField("min_tokens_per_event") else None,
        **settings,
        **options_of(built),
    )
    return Stream(stream, _generation_responses(stream), lambda: stream.partial_text)


def _generation_responses(stream: trivium.TextStream) -> Iterator[Message]:
    for event in stream.events():
        response = generation_pb2.StreamGenerateResponse()
        match event:
            case trivium.Started():
                response.started.CopyFrom(event.raw)
            case trivium.Delta():
                response.delta.CopyFrom(event.raw)
            case trivium.CandidateFinished():
                response.candidate_finished.CopyFrom(event.raw)
            case trivium.Completed():
                response.completed.CopyFrom(event.raw)
            case trivium.Heartbeat():
                response.heartbeat.CopyFrom(event.raw)
        yield response


def _stream_embed(
    client: trivium.Client,
    requests: list[embedding_pb2.StreamEmbedRequest],
    settings: StreamSettings,
    _may_end: threading.Event,
) -> Stream:
    config = requests[0].setup.config
    texts = [(item.item_id, item.text) for request in requests for item in request.items.items]
    stream = client.embed_stream(iter(texts), model=config.model or None, **settings, **embed_options(config))
    return Stream(stream, _embed_responses(stream))


def _embed_responses(stream: trivium.EmbedStream) -> Iterator[Message]:
    for result in stream:
        yield embedding_pb2.StreamEmbedResponse(results=embedding_pb2.EmbedResults(results=[result.raw]))
    if stream.info is not None:
        completed = embedding_pb2.StreamEmbedCompleted(info=stream.info.raw, failed_count=stream.failed_count)
        yield embedding_pb2.StreamEmbedResponse(completed=completed)


def _stream_analyze_image(
    client: trivium.Client,
    requests: list[vision_pb2.StreamAnalyzeImageRequest],
    settings: StreamSettings,
    _may_end: threading.Event,
) -> Stream:
    setup = requests[0].setup
    policy = vision_pb2.FramePolicy.Name(setup.frame_policy or vision_pb2.FRAME_POLICY_EVERY_FRAME)
    frames = [
        vision.VideoFrame(image=request.frame.image.content, frame_number=request.frame.frame_number)
        for request in requests[1:]
    ]
    stream = client.vision.analyze_stream(
        frames,
        [feature_of(feature) for feature in setup.features],
        frame_policy=policy.removeprefix("FRAME_POLICY_"),
        **settings,
    )
    return Stream(stream, _frame_responses(stream))


def _frame_responses(stream: trivium.FrameStream) -> Iterator[Message]:
    for frame in stream:
        yield vision_pb2.StreamAnalyzeImageResponse(frame=frame.raw)
    if stream.info is not None:
        completed = vision_pb2.StreamAnalyzeImageCompleted(
            info=stream.info.raw, analyzed_count=stream.analyzed_count, dropped_count=stream.dropped_count
        )
        yield vision_pb2.StreamAnalyzeImageResponse(completed=completed)


def _stream_recognize(
    client: trivium.Client,
    requests: list[speech_pb2.StreamRecognizeRequest],
    settings: StreamSettings,
    may_end: threading.Event,
) -> Stream:
    setup = requests[0].setup
    config = setup.config

    def chunks() -> Iterator[speech.SoundChunk | speech.RecognitionMarker]:
        for request in requests[1:]:
            if request.WhichOneof("request") == "finalize":
                yield speech.FINALIZE
            elif request.WhichOneof("request") == "keep_alive":
                yield speech.KEEP_ALIVE
            else:
                yield request.audio
        may_end.wait()

    encoding = speech_pb2.AudioEncoding.Name(config.format.encoding).removeprefix("AUDIO_ENCODING_")
    stream = client.speech.stream(
        chunks(),
        sample_rate_hz=config.format.sample_rate_hertz,
        encoding=encoding,
        channel_count=config.format.channel_count or 1,
        model=config.model or None,
        interim_results=setup.interim_results,
        **settings,
    )
    return Stream(stream, _heard_responses(stream, may_end))


def _heard_responses(stream: trivium.TranscriptStream, may_end: threading.Event) -> Iterator[Message]:
    for event in stream.events():
        response = speech_pb2.StreamRecognizeResponse()
        match event:
            case speech.RecognitionReady():
                response.ready.CopyFrom(event.raw)
            case speech.SpeechActivity():
                response.activity.CopyFrom(event.raw)
            case speech.TranscriptUpdate():
                response.transcript.CopyFrom(event.raw)
            case speech.GoAway():
                may_end.set()
                response.go_away.CopyFrom(event.raw)
        yield response
    if stream.info is not None:
        completed = speech_pb2.RecognitionCompleted(info=stream.info.raw)
        yield speech_pb2.StreamRecognizeResponse(completed=completed)


def _stream_synthesize(
    client: trivium.Client,
    requests: list[speech_pb2.StreamSynthesizeRequest],
    settings: StreamSettings,
    may_end: threading.Event,
) -> Stream:
    config = requests[0].setup.config

    def fragments() -> Iterator[str | speech.SynthesisMarker]:
        for request in requests[1:]:
            yield speech.FLUSH if request.WhichOneof("request") == "flush" else request.text_fragment
        may_end.wait()

    encoding = speech_pb2.AudioEncoding.Name(config.output_format.encoding or speech_pb2.AUDIO_ENCODING_PCM_S16LE)
    stream = client.speech.speak_stream(
        fragments(), model=config.model or None, encoding=encoding.removeprefix("AUDIO_ENCODING_"), **settings
    )
    return Stream(stream, _spoken_responses(stream, may_end))


def _spoken_responses(stream: trivium.SpeechStream, may_end: threading.Event) -> Iterator[Message]:
    for event in stream.events():
        response = speech_pb2.StreamSynthesizeResponse()
        match event:
            case speech.SynthesisReady():
                response.ready.CopyFrom(event.raw)
            case speech.AudioChunk():
                response.audio.CopyFrom(event.raw)
            case speech.SpeechMark():
                response.mark.CopyFrom(event.raw)
            case speech.SpeechInterrupted():
                response.interrupted.CopyFrom(event.raw)
            case speech.GoAway():
                may_end.set()
                response.go_away.CopyFrom(event.raw)
        yield response
    if stream.info is not None:
        yield speech_pb2.StreamSynthesizeResponse(completed=speech_pb2.SynthesisCompleted(info=stream.info.raw))


def _watch_models(
    client: trivium.Client,
    _requests: list[models_pb2.WatchModelsRequest],
    settings: StreamSettings,
    _may_end: threading.Event,
) -> Stream:
    stream = client.models.watch(
        timeout_s=settings["timeout_s"], request_id=settings["request_id"], metadata=settings["metadata"]
    )
    return Stream(stream, _watch_responses(stream))


def _watch_responses(stream: trivium.WatchStream) -> Iterator[Message]:
    for event in stream:
        match event:
            case trivium.ModelChanged():
                yield models_pb2.WatchModelsResponse(model=event.model.raw)
            case trivium.ModelRemoved():
                yield models_pb2.WatchModelsResponse(removed_model=event.name)
            case trivium.SnapshotEnd():
                yield models_pb2.WatchModelsResponse(snapshot_end=models_pb2.ModelSnapshotEnd())


def _load_model(
    client: trivium.Client,
    requests: list[admin_pb2.LoadModelRequest],
    settings: StreamSettings,
    _may_end: threading.Event,
) -> Stream:
    stream = client.admin.load_model(
        requests[0].model,
        timeout_s=settings["timeout_s"],
        request_id=settings["request_id"],
        metadata=settings["metadata"],
    )
    return Stream(stream, (progress.raw for progress in stream))


StreamMethod = tuple[type[Message], Callable[..., Stream]]
"""The class of the requests, and what opens the stream: with client, requests, settings, and when sending may end."""

STREAMS: dict[str, StreamMethod] = {
    "trivium.v1.TextGenerationService/StreamGenerate": (generation_pb2.StreamGenerateRequest, _stream_generate),
    "trivium.v1.EmbeddingService/StreamEmbed": (embedding_pb2.StreamEmbedRequest, _stream_embed),
    "trivium.v1.VisionService/StreamAnalyzeImage": (vision_pb2.StreamAnalyzeImageRequest, _stream_analyze_image),
    "trivium.v1.SpeechRecognitionService/StreamRecognize": (speech_pb2.StreamRecognizeRequest, _stream_recognize),
    "trivium.v1.SpeechSynthesisService/StreamSynthesize": (speech_pb2.StreamSynthesizeRequest, _stream_synthesize),
    "trivium.v1.ModelService/WatchModels": (models_pb2.WatchModelsRequest, _watch_models),
    "trivium.admin.v1.AdminService/LoadModel": (admin_pb2.LoadModelRequest, _load_model),
}
