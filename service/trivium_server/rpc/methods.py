"""How each method is treated at the boundary."""

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor

_INFERENCE_SERVICES = frozenset(
    {
        "trivium.v1.TextGenerationService",
        "trivium.v1.EmbeddingService",
        "trivium.v1.TextAnalysisService",
        "trivium.v1.VisionService",
        "trivium.v1.SpeechRecognitionService",
        "trivium.v1.SpeechSynthesisService",
    }
)
_WATCHES = frozenset(
    {
        "/trivium.v1.ModelService/WatchModels",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }
)
_LONG = frozenset(
    {
        "/trivium.v1.EmbeddingService/StreamEmbed",
        "/trivium.v1.VisionService/StreamAnalyzeImage",
        "/trivium.v1.SpeechRecognitionService/StreamRecognize",
        "/trivium.v1.SpeechSynthesisService/StreamSynthesize",
        "/trivium.admin.v1.AdminService/LoadModel",
        "/trivium.admin.v1.AdminService/UnloadModel",
    }
)
_QUIET_PREFIXES = ("/grpc.health.", "/grpc.reflection.")


class Treatment(Enum):
    """INFERENCE shares the limit on concurrent calls; CONTROL does not; a WATCH has no deadline of ours either."""

    INFERENCE = auto()
    CONTROL = auto()
    WATCH = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method as `/package.Service/Name`.

    A long one has the maximum deadline where its client sets none; a quiet one that ends well is logged at debug level.
    """

    name: str
    treatment: Treatment
    is_quiet: bool = False
    is_long: bool = False
    request_type: Descriptor | None = None


@lru_cache(maxsize=1024)
def method_named(name: str) -> Method:
    """Returns how a registered method is treated."""
    service, _, short = name.strip("/").partition("/")
    if name in _WATCHES:
        treatment = Treatment.WATCH
    elif service in _INFERENCE_SERVICES:
        treatment = Treatment.INFERENCE
    else:
        treatment = Treatment.CONTROL
    return Method(
        name=name,
        treatment=treatment,
        is_long=name in _LONG,
        is_quiet=name.startswith(_QUIET_PREFIXES),
        request_type=_request_type(service, short),
    )


def _request_type(service: str, short: str) -> Descriptor | None:
    try:
        found = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        return None
    method = found.methods_by_name.get(short)
    return method.input_type if method else None
