"""Chat templates that misbehave, over RPC: they are the model's, and must not become the server's trouble."""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.rpc.generating import Stub, refused
from tests.rpc.requests import chat
from tests.serving import MODEL, RunningServer
from trivium.v1 import generation_pb2 as pb
from trivium.v1 import models_pb2
from trivium.v1.models_pb2_grpc import ModelServiceStub
from trivium_server.architectures.model_folder import ListedFile, digest_of

TEMPLATE = """\
{%- set text = messages[0]['content'] -%}
{%- if text == 'hang' -%}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}
{%- elif text == 'grow' -%}{% for a in range(99999) %}{{ text * 9999 }}{% endfor %}
{%- else -%}<|im_start|>{{ text }}<|im_end|>
{%- endif -%}"""


@pytest.fixture(scope="module")
def stub(model_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stub]:
    """The service of a server whose model is the default one with another template."""
    store = tmp_path_factory.mktemp("store")
    folder = store / MODEL
    shutil.copytree(model_store / MODEL, folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": TEMPLATE}))
    write_description(folder)
    with (
        RunningServer(store, models__load=MODEL, generation__max_context_tokens=256) as running,
        running.channel() as channel,
    ):
        state = ModelServiceStub(channel).GetModel(models_pb2.GetModelRequest(model=MODEL)).model.state
        assert state == models_pb2.MODEL_STATE_READY
        yield Stub(channel)


def write_description(folder: Path) -> None:
    """Describes the folder as it is now."""
    files = {
        path.name: ListedFile(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in folder.iterdir()
        if path.name != "model.toml"
    }
    lines = [
        f'name = "{folder.name}"\nversion = "1"\ntask = "generate_text"\narchitecture = "genai"\nlicense = "MIT"',
        f'digest = "{digest_of(files)}"\n[graphs]\ndefault = "ragged.onnx"\n[files]',
        *(f'"{name}" = {{ sha256 = "{file.sha256}", size_bytes = {file.size_bytes} }}' for name, file in files.items()),
    ]
    (folder / "model.toml").write_text("\n".join(lines))


def count(stub: Stub, text: str, timeout_s: float = 60.0) -> pb.CountTokensResponse:
    return stub.CountTokens(pb.CountTokensRequest(input=chat(text)), timeout=timeout_s)


@pytest.mark.parametrize(
    ("text", "problem"), [("hang", "takes more than 2 s of CPU time"), ("grow", "makes more than 100000000 characters")]
)
def test_a_template_without_end_is_one_clear_error(stub: Stub, text: str, problem: str) -> None:
    failure = refused(lambda: count(stub, text))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FEATURE")
    assert f"the chat template of model '{MODEL}' {problem}" in failure.message


@pytest.mark.alone
def test_others_are_served_while_a_template_runs(stub: Stub) -> None:
    hanging = stub.CountTokens.future(pb.CountTokensRequest(input=chat("hang")), timeout=60)
    served = 0
    while not hanging.done():
        begun = time.monotonic()
        assert count(stub, "Hello").token_count == 3
        assert time.monotonic() - begun < 1
        served += 1
        time.sleep(0.02)
    assert served > 10
    assert hanging.code() is grpc.StatusCode.INVALID_ARGUMENT
