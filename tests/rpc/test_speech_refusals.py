"""Every field of the speech services at and beyond both of its ends, and all that is wrong told at once."""

import functools
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.rpc.generating import refused
from tests.rpc.talking import (
    PCM,
    duration,
    hear,
    heard,
    kinds,
    recognize_request,
    speak,
    synthesis,
    synthesize_request,
    told,
    wav,
)
from tests.rpc.toy_encoders import ToyServer
from tests.rpc.toy_speech import MODELS, pcm, silence
from trivium.v1 import common_pb2
from trivium.v1 import speech_pb2 as pb
from trivium.v1.speech_pb2_grpc import SpeechRecognitionServiceStub, SpeechSynthesisServiceStub

NAN, INFINITY = float("nan"), float("inf")
QUIET = wav(silence(0.1))
UNKNOWN: Any = 9
"""A value that no enum has."""

S16, F32 = pb.AUDIO_ENCODING_PCM_S16LE, pb.AUDIO_ENCODING_PCM_F32LE


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with ToyServer(tmp_path_factory.mktemp("store"), MODELS) as server:
        yield server


@pytest.fixture(scope="module")
def ears(toys: ToyServer) -> SpeechRecognitionServiceStub:
    return SpeechRecognitionServiceStub(toys.channel)


@pytest.fixture(scope="module")
def voices(toys: ToyServer) -> SpeechSynthesisServiceStub:
    return SpeechSynthesisServiceStub(toys.channel)


def raw(rate_hz: int = 16_000, channels: int = 0, encoding: int = S16) -> pb.AudioFormat:
    return pb.AudioFormat(encoding=encoding, sample_rate_hertz=rate_hz, channel_count=channels)  # type: ignore[arg-type]


class TestRecognitionConfig:
    """The same fields in Recognize and in the setup of StreamRecognize."""

    @pytest.mark.parametrize(
        ("config", "field", "part"),
        [
            ({"format": raw(7999)}, "format.sample_rate_hertz", "is 7999; it must be 8000 to 48000"),
            ({"format": raw(48_001)}, "format.sample_rate_hertz", "is 48001"),
            ({"format": raw(0)}, "format.sample_rate_hertz", "is 0"),
            ({"format": raw(-1)}, "format.sample_rate_hertz", "is -1"),
            ({"format": raw(0, encoding=pb.AUDIO_ENCODING_MULAW)}, "format.sample_rate_hertz", "is 0"),
            ({"format": raw(7999, encoding=pb.AUDIO_ENCODING_WAV)}, "format.sample_rate_hertz", "is 7999"),
            ({"format": raw(channels=9)}, "format.channel_count", "is 9; it must be 1 to 8"),
            ({"format": raw(channels=-1)}, "format.channel_count", "is -1"),
            ({"format": raw(encoding=10)}, "format.encoding", "10 is no known AudioEncoding"),
            ({"format": raw(encoding=-1)}, "format.encoding", "-1 is no known AudioEncoding"),
            ({"task": 3}, "task", "3 is no known RecognitionTask"),
            ({"language_codes": ["en"] * 17}, "language_codes", "has 17 items; the limit is 16"),
            ({"language_codes": ["en", ""]}, "language_codes[1]", "is no BCP-47 code"),
            ({"language_codes": ["en_US"]}, "language_codes[0]", "is no BCP-47 code"),
            ({"language_codes": ["e"]}, "language_codes[0]", "is no BCP-47 code"),
            ({"language_codes": ["en-" + "a" * 40]}, "language_codes[0]", "is no BCP-47 code"),
            ({"language_codes": ["en-"]}, "language_codes[0]", "is no BCP-47 code"),
            ({"prompt": "x" * 1001}, "prompt", "has 1001 characters; the limit is 1000"),
        ],
    )
    def test_wrong(self, ears: SpeechRecognitionServiceStub, config: dict[str, Any], field: str, part: str) -> None:
        unary = refused(lambda: ears.Recognize(recognize_request(QUIET, **config)))
        assert unary.code is grpc.StatusCode.INVALID_ARGUMENT
        assert list(unary.fields) == [f"config.{field}"]
        assert part in unary.fields[f"config.{field}"]
        audio_format = config.pop("format", PCM)
        streamed = refused(lambda: heard(ears, [hear(audio_format, config=config)]))
        assert list(streamed.fields) == [f"setup.config.{field}"]
        assert part in streamed.fields[f"setup.config.{field}"]

    @pytest.mark.parametrize(
        "config",
        [
            {"format": raw(8000, 1)},
            {"format": raw(48_000, 8)},
            {"format": raw(16_000, 0, F32)},
            {"language_codes": ["en", "de-AT", "DE"] * 5 + ["en-Latn-US"]},
            {"prompt": "ä" * 1000},
            {"task": pb.RECOGNITION_TASK_TRANSLATE},
            {"task": pb.RECOGNITION_TASK_TRANSCRIBE},
        ],
    )
    def test_right(self, ears: SpeechRecognitionServiceStub, config: dict[str, Any]) -> None:
        content = pcm(silence(0.1)) if "format" in config else QUIET
        ears.Recognize(recognize_request(content, **config), timeout=60)
        audio_format = config.pop("format", PCM)
        assert kinds(heard(ears, [hear(audio_format, config=config)])) == ["ready", "completed"]

    @pytest.mark.parametrize(
        ("config", "field"),
        [
            ({"task": pb.RECOGNITION_TASK_TRANSLATE}, "task"),
            ({"include_word_timings": True}, "include_word_timings"),
            ({"language_codes": ["en", "de"]}, "language_codes[1]"),
        ],
    )
    def test_what_the_model_cannot(
        self, ears: SpeechRecognitionServiceStub, config: dict[str, Any], field: str
    ) -> None:
        failure = refused(lambda: ears.Recognize(recognize_request(QUIET, model="toy-plain-ear", **config)))
        assert (failure.reason, failure.metadata["feature"]) == ("UNSUPPORTED_FEATURE", f"config.{field}")
        failure = refused(lambda: heard(ears, [hear(model="toy-plain-ear", config=config)]))
        assert (failure.reason, failure.metadata["feature"]) == ("UNSUPPORTED_FEATURE", f"setup.config.{field}")

    @pytest.mark.parametrize(
        ("model", "code", "reason"),
        [
            ("", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD"),
            ("toy-eer", grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
            ("toy-voice", grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FEATURE"),
        ],
    )
    def test_model(self, ears: SpeechRecognitionServiceStub, model: str, code: grpc.StatusCode, reason: str) -> None:
        for failure in (
            refused(lambda: ears.Recognize(recognize_request(QUIET, model=model))),
            refused(lambda: heard(ears, [hear(model=model)])),
        ):
            assert (failure.code, failure.reason) == (code, reason)
            if not model:
                (description,) = failure.fields.values()
                assert "toy-ear" in description
                assert "toy-voice" not in description

    def test_all_that_is_wrong_is_told_at_once(self, ears: SpeechRecognitionServiceStub) -> None:
        request = pb.RecognizeRequest(
            config=pb.RecognitionConfig(format=raw(1, 9), task=UNKNOWN, language_codes=["?"], prompt="x" * 1001),
            caption_formats=[pb.CAPTION_FORMAT_UNSPECIFIED, UNKNOWN],
        )
        assert list(refused(lambda: ears.Recognize(request)).fields) == [
            "config.model",
            "config.format.sample_rate_hertz",
            "config.format.channel_count",
            "config.task",
            "config.prompt",
            "config.language_codes[0]",
            "audio",
            "caption_formats[0]",
            "caption_formats[1]",
        ]

    @pytest.mark.parametrize(
        ("media", "field"),
        [(None, "audio"), (common_pb2.Media(), "audio.content"), (common_pb2.Media(content=b""), "audio.content")],
    )
    def test_sound_is_required(
        self, ears: SpeechRecognitionServiceStub, media: common_pb2.Media | None, field: str
    ) -> None:
        request = pb.RecognizeRequest(config=pb.RecognitionConfig(model="toy-ear"), audio=media)
        assert list(refused(lambda: ears.Recognize(request)).fields) == [field]

    @pytest.mark.parametrize(
        ("formats", "field"),
        [
            ([0], "caption_formats[0]"),
            ([3], "caption_formats[0]"),
            ([1, 1], "caption_formats[1]"),
            ([1, 2, 1], "caption_formats"),
        ],
    )
    def test_captions(self, ears: SpeechRecognitionServiceStub, formats: list[int], field: str) -> None:
        assert list(refused(lambda: ears.Recognize(recognize_request(QUIET, *formats))).fields) == [field]


class TestStreamSetup:
    """What only a stream has."""

    @pytest.mark.parametrize(
        ("setup", "field", "part"),
        [
            ({"interim_period": duration(0.0999)}, "interim_period", "is 0.0999 s; it must be 0.1 to 10 s"),
            ({"interim_period": duration(10.001)}, "interim_period", "is 10.001 s"),
            ({"interim_period": duration(-1)}, "interim_period", "is -1 s"),
            ({"interim_period": Duration(seconds=1, nanos=-1)}, "interim_period", "is no valid"),
            ({"interim_period": Duration(nanos=10**9)}, "interim_period", "is no valid"),
            ({"interim_period": Duration(seconds=2**62)}, "interim_period", "is no valid"),
        ],
    )
    def test_wrong(self, ears: SpeechRecognitionServiceStub, setup: dict[str, Any], field: str, part: str) -> None:
        failure = refused(lambda: heard(ears, [hear(**setup)]))
        assert list(failure.fields) == [f"setup.{field}"]
        assert part in failure.fields[f"setup.{field}"]

    @pytest.mark.parametrize(
        ("field", "low", "high", "below", "above"),
        [
            ("trailing_silence", 0.1, 5, 0.099, 5.001),
            ("speech_start_timeout", 1, 3600, 0.999, 3600.001),
            ("activity_threshold", 0.05, 0.95, 0.049, 0.951),
        ],
    )
    def test_endpointing_at_both_ends(
        self, ears: SpeechRecognitionServiceStub, field: str, low: float, high: float, below: float, above: float
    ) -> None:
        def value(number: float) -> Any:
            return number if field == "activity_threshold" else duration(number)

        for number in (low, high):
            setup = hear(endpointing=pb.EndpointingConfig(**{field: value(number)}))
            assert kinds(heard(ears, [setup])) == ["ready", "completed"]
        wrong = [value(below), value(above), value(-1)]
        wrong += [NAN, INFINITY] if field == "activity_threshold" else [Duration(seconds=-1, nanos=1)]
        for given in wrong:
            setup = hear(endpointing=pb.EndpointingConfig(**{field: given}))
            assert list(refused(functools.partial(heard, ears, [setup])).fields) == [f"setup.endpointing.{field}"]

    def test_interim_period_at_both_ends(self, ears: SpeechRecognitionServiceStub) -> None:
        for number in (0.1, 10):
            setup = hear(interim_results=True, interim_period=duration(number))
            assert kinds(heard(ears, [setup])) == ["ready", "completed"]

    def test_endpointing_is_not_for_a_file(self, ears: SpeechRecognitionServiceStub) -> None:
        for audio_format in (pb.AudioFormat(), pb.AudioFormat(encoding=pb.AUDIO_ENCODING_WAV)):
            setup = hear(audio_format, endpointing=pb.EndpointingConfig())
            assert list(refused(functools.partial(heard, ears, [setup])).fields) == ["setup.endpointing"]

    @pytest.mark.parametrize(
        ("audio_format", "formats", "field"),
        [
            (pb.AudioFormat(), [0], "setup.caption_formats[0]"),
            (pb.AudioFormat(), [UNKNOWN], "setup.caption_formats[0]"),
            (pb.AudioFormat(), [1, 1], "setup.caption_formats[1]"),
            (pb.AudioFormat(), [1, 2, 1], "setup.caption_formats"),
            (PCM, [1], "setup.caption_formats"),
        ],
    )
    def test_captions(
        self, ears: SpeechRecognitionServiceStub, audio_format: pb.AudioFormat, formats: list[Any], field: str
    ) -> None:
        failure = refused(lambda: heard(ears, [hear(audio_format, caption_formats=formats)]))
        assert list(failure.fields) == [field]

    def test_separate_channels_of_a_stream(self, ears: SpeechRecognitionServiceStub) -> None:
        config = {"separate_channels": True}
        assert kinds(heard(ears, [hear(raw(channels=1), config=config)])) == ["ready", "completed"]
        failure = refused(lambda: heard(ears, [hear(raw(channels=2), config=config)]))
        assert failure.reason == "UNSUPPORTED_FEATURE"
        assert failure.metadata["feature"] == "setup.config.separate_channels"

    def test_setup_without_anything(self, ears: SpeechRecognitionServiceStub) -> None:
        setup = pb.StreamRecognizeRequest(setup=pb.StreamRecognizeSetup(interim_period=duration(0)))
        assert list(refused(lambda: heard(ears, [setup])).fields) == ["setup.config.model", "setup.interim_period"]

    def test_words_that_are_no_text(self, toys: ToyServer) -> None:
        call = toys.channel.unary_unary("/trivium.v1.SpeechRecognitionService/Recognize", bytes, bytes)
        bad = b"\x0a\x09\x0a\x07toy-\xff\xff\xff"
        assert list(refused(lambda: call(bad)).fields) == ["config.model"]


class TestSynthesisConfig:
    """The same fields in Synthesize and in the setup of StreamSynthesize."""

    @pytest.mark.parametrize(
        ("config", "field", "part"),
        [
            ({"speaking_rate": 0.49}, "speaking_rate", "it must be 0.5 to 2"),
            ({"speaking_rate": 2.01}, "speaking_rate", "it must be 0.5 to 2"),
            ({"speaking_rate": 0}, "speaking_rate", "is 0;"),
            ({"speaking_rate": NAN}, "speaking_rate", "is nan"),
            ({"speaking_rate": INFINITY}, "speaking_rate", "is inf"),
            ({"volume_gain_db": -40.1}, "volume_gain_db", "it must be -40 to 20"),
            ({"volume_gain_db": 20.1}, "volume_gain_db", "it must be -40 to 20"),
            ({"volume_gain_db": NAN}, "volume_gain_db", "is nan"),
            ({"volume_gain_db": -INFINITY}, "volume_gain_db", "is -inf"),
            ({"offset_unit": 4}, "offset_unit", "4 is no known OffsetUnit"),
            ({"output_format": raw(7999)}, "output_format.sample_rate_hertz", "it must be 8000 to 48000"),
            ({"output_format": raw(48_001)}, "output_format.sample_rate_hertz", "it must be 8000 to 48000"),
            ({"output_format": raw(-1)}, "output_format.sample_rate_hertz", "is -1"),
            ({"output_format": raw(channels=2)}, "output_format.channel_count", "is 2; it must be 0 or 1"),
            ({"output_format": raw(channels=-1)}, "output_format.channel_count", "is -1"),
            ({"output_format": raw(encoding=10)}, "output_format.encoding", "10 is no known AudioEncoding"),
            ({"output_format": raw(0, encoding=1)}, "output_format.encoding", "is AUDIO_ENCODING_AUTO"),
            (
                {"output_format": raw(44_100, encoding=pb.AUDIO_ENCODING_OGG_OPUS)},
                "output_format.sample_rate_hertz",
                "takes only 8000, 12000, 16000, 24000",
            ),
            (
                {"output_format": raw(12_345, encoding=pb.AUDIO_ENCODING_MP3)},
                "output_format.sample_rate_hertz",
                "takes only 8000, 11025",
            ),
            (
                {"model": "toy-odd-voice", "output_format": raw(0, encoding=pb.AUDIO_ENCODING_OGG_OPUS)},
                "output_format.sample_rate_hertz",
                "is 22050",
            ),
            ({"voice": pb.VoiceSelection(voice_name="cat")}, "voice.voice_name", "which has ann, ben"),
            ({"voice": pb.VoiceSelection(voice_name="")}, "voice.voice_name", "which has ann, ben"),
            ({"voice": pb.VoiceSelection(language_code="fr")}, "voice.language_code", "is fr"),
            ({"voice": pb.VoiceSelection(language_code="de-AT")}, "voice.language_code", "is de-AT"),
            ({"voice": pb.VoiceSelection(language_code="e n")}, "voice.language_code", "is no BCP-47 code"),
            (
                {"voice": pb.VoiceSelection(voice_name="ben", language_code="en")},
                "voice.language_code",
                "the voice does not speak; it speaks de-DE",
            ),
        ],
    )
    def test_wrong(self, voices: SpeechSynthesisServiceStub, config: dict[str, Any], field: str, part: str) -> None:
        unary = refused(lambda: voices.Synthesize(synthesize_request("Word.", **config)))
        assert unary.code is grpc.StatusCode.INVALID_ARGUMENT
        assert list(unary.fields) == [f"config.{field}"]
        assert part in unary.fields[f"config.{field}"]
        streamed = refused(lambda: told(voices, [speak(**config)]))
        assert list(streamed.fields) == [f"setup.config.{field}"]
        assert part in streamed.fields[f"setup.config.{field}"]

    @pytest.mark.parametrize(
        "config",
        [
            {"speaking_rate": 0.5},
            {"speaking_rate": 2},
            {"volume_gain_db": -40},
            {"volume_gain_db": 20},
            {"output_format": raw(8000, 1)},
            {"output_format": raw(48_000)},
            {"output_format": raw(48_000, encoding=pb.AUDIO_ENCODING_OGG_OPUS)},
            {"output_format": raw(11_025, encoding=pb.AUDIO_ENCODING_MP3)},
            {"voice": pb.VoiceSelection()},
            {"voice": pb.VoiceSelection(language_code="EN-gb")},
            {"voice": pb.VoiceSelection(voice_name="ben", language_code="de")},
        ],
    )
    def test_right(self, voices: SpeechSynthesisServiceStub, config: dict[str, Any]) -> None:
        assert voices.Synthesize(synthesize_request("Word.", **config), timeout=60).audio
        assert kinds(told(voices, [speak(**config)]))[0] == "ready"

    @pytest.mark.parametrize(
        ("model", "code", "reason"),
        [
            ("", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT_FIELD"),
            ("toy-voise", grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
            ("toy-ear", grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FEATURE"),
        ],
    )
    def test_model(self, voices: SpeechSynthesisServiceStub, model: str, code: grpc.StatusCode, reason: str) -> None:
        for failure in (
            refused(lambda: voices.Synthesize(synthesize_request("Word.", model=model))),
            refused(lambda: told(voices, [speak(model=model)])),
        ):
            assert (failure.code, failure.reason) == (code, reason)

    @pytest.mark.parametrize(
        ("source", "field"),
        [
            (None, "input"),
            (pb.SynthesisInput(), "input.text"),
            (pb.SynthesisInput(text=""), "input.text"),
            (pb.SynthesisInput(text="ä" * 20_001), "input.text"),
        ],
    )
    def test_text(self, voices: SpeechSynthesisServiceStub, source: pb.SynthesisInput | None, field: str) -> None:
        request = pb.SynthesizeRequest(config=synthesis(), input=source)
        failure = refused(lambda: voices.Synthesize(request))
        assert list(failure.fields) == [field]
        if source and source.text:
            assert (failure.reason, failure.metadata["limit"]) == ("INPUT_TOO_LARGE", "20000")

    def test_all_that_is_wrong_is_told_at_once(self, voices: SpeechSynthesisServiceStub) -> None:
        config = pb.SynthesisConfig(
            voice=pb.VoiceSelection(language_code="?"),
            output_format=raw(1, 3, pb.AUDIO_ENCODING_OGG_OPUS),
            speaking_rate=NAN,
            volume_gain_db=21,
            offset_unit=UNKNOWN,
        )
        assert list(refused(lambda: voices.Synthesize(pb.SynthesizeRequest(config=config))).fields) == [
            "config.model",
            "config.output_format.sample_rate_hertz",
            "config.output_format.channel_count",
            "config.speaking_rate",
            "config.volume_gain_db",
            "config.offset_unit",
            "config.voice.language_code",
            "input",
        ]
