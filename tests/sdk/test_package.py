"""The package as its users meet it: what importing costs, and that its two halves and the contract agree."""

import inspect
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pool

import trivium
from trivium import _calls
from trivium.admin.v1 import admin_pb2
from trivium.v1 import analysis_pb2, embedding_pb2, generation_pb2, models_pb2, speech_pb2, vision_pb2

HEAVY = (
    "click",
    "rich",
    "prompt_toolkit",
    "numpy",
    "PIL",
    "onnxruntime",
    "grpc_health.v1.health_pb2",
    "trivium_server",
    "trivium_models",
)


def test_import_is_light() -> None:
    script = f"import sys, trivium; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_every_method_of_the_contract_is_reachable() -> None:
    methods = {value.path: value for value in vars(_calls).values() if isinstance(value, _calls.Method)}
    services = [
        service
        for file in (generation_pb2, embedding_pb2, analysis_pb2, vision_pb2, speech_pb2, models_pb2, admin_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
    ]
    declared = {f"/{service.full_name}/{method.name}": method for service in services for method in service.methods}
    assert methods.keys() == declared.keys()
    pool = descriptor_pool.Default()
    for path, method in methods.items():
        assert pool.FindMessageTypeByName(declared[path].input_type.full_name) is method.request.DESCRIPTOR
        assert pool.FindMessageTypeByName(declared[path].output_type.full_name) is method.response.DESCRIPTOR


PAIRS = [
    (trivium.Client, trivium.AsyncClient),
    (trivium.TextClient, trivium.AsyncTextClient),
    (trivium.ModelsClient, trivium.AsyncModelsClient),
    (trivium.AdminClient, trivium.AsyncAdminClient),
    (trivium.TextStream, trivium.AsyncTextStream),
    (trivium.EmbedStream, trivium.AsyncEmbedStream),
    (trivium.VisionClient, trivium.AsyncVisionClient),
    (trivium.FrameStream, trivium.AsyncFrameStream),
    (trivium.SpeechClient, trivium.AsyncSpeechClient),
    (trivium.TranscriptStream, trivium.AsyncTranscriptStream),
    (trivium.SpeechStream, trivium.AsyncSpeechStream),
]


@pytest.mark.parametrize(("sync", "asynchronous"), PAIRS, ids=lambda kind: kind.__name__)
def test_both_clients_have_the_same_methods(sync: type, asynchronous: type) -> None:
    for name, method in inspect.getmembers(sync, inspect.isfunction):
        if name.startswith("_") or name in ("close", "fill_in_model"):
            continue
        twin = getattr(asynchronous, name)
        ours, theirs = inspect.signature(method), inspect.signature(twin)
        assert list(ours.parameters) == list(theirs.parameters), name
        defaults = [parameter.default for parameter in ours.parameters.values()]
        assert defaults == [parameter.default for parameter in theirs.parameters.values()], name


def test_public_names_exist_and_are_documented() -> None:
    for name in trivium.__all__:
        value = getattr(trivium, name)
        if inspect.isclass(value):
            assert value.__doc__, name
