"""A client that is not ours: grpcurl knows the server only by reflection."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving import MODEL

TOOLS = Path(__file__).parents[2] / ".tools" / "bin"


@pytest.fixture(scope="module")
def grpcurl() -> str:
    found = shutil.which("grpcurl", path=str(TOOLS)) or shutil.which("grpcurl")
    assert found, "grpcurl is missing: `make .tools/bin/grpcurl` installs it"
    return found


def run(grpcurl: str, address: str, *arguments: str, data: object = None) -> subprocess.CompletedProcess[str]:
    flags = ["-plaintext"] if data is None else ["-plaintext", "-d", json.dumps(data)]
    return subprocess.run(
        [grpcurl, *flags, address, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def json_stream(text: str) -> list[dict[str, object]]:
    decoder, messages = json.JSONDecoder(), []
    while text := text.lstrip():
        message, end = decoder.raw_decode(text)
        messages.append(message)
        text = text[end:]
    return messages


QUESTION = {
    "input": {
        "model": MODEL,
        "conversation": {"messages": [{"role": "CHAT_ROLE_USER", "parts": [{"text": "Name two colours."}]}]},
        "sampling": {"max_output_tokens": 12, "seed": "4"},
    }
}


def test_lists_every_service_by_reflection(grpcurl: str, grpc_addr: str) -> None:
    listed = run(grpcurl, grpc_addr, "list")
    assert listed.returncode == 0, listed.stderr
    assert {
        "trivium.v1.TextGenerationService",
        "trivium.v1.ModelService",
        "trivium.admin.v1.AdminService",
        "grpc.health.v1.Health",
    } <= set(listed.stdout.split())


def test_describes_a_service(grpcurl: str, grpc_addr: str) -> None:
    described = run(grpcurl, grpc_addr, "describe", "trivium.v1.TextGenerationService")
    assert "returns ( stream .trivium.v1.StreamGenerateResponse )" in described.stdout


def test_streamed_equals_whole(grpcurl: str, grpc_addr: str) -> None:
    whole = run(grpcurl, grpc_addr, "trivium.v1.TextGenerationService/Generate", data=QUESTION)
    assert whole.returncode == 0, whole.stderr
    (answer,) = json_stream(whole.stdout)
    text = answer["candidates"][0]["message"]["parts"][0]["text"]  # type: ignore[index]  # JSON of a known shape
    assert text

    streamed = run(grpcurl, grpc_addr, "trivium.v1.TextGenerationService/StreamGenerate", data=QUESTION)
    assert streamed.returncode == 0, streamed.stderr
    events = json_stream(streamed.stdout)
    assert "started" in events[0]
    assert "completed" in events[-1]
    assert "".join(event["delta"].get("text", "") for event in events if "delta" in event) == text  # type: ignore[attr-defined]  # as above


def test_reads_the_details_of_a_bad_request(grpcurl: str, grpc_addr: str) -> None:
    wrong = {"input": QUESTION["input"] | {"sampling": {"temperature": 9, "top_p": 2}}}
    refused = run(grpcurl, grpc_addr, "trivium.v1.TextGenerationService/Generate", data=wrong)
    assert refused.returncode != 0
    assert "Code: InvalidArgument" in refused.stderr
    assert '"@type": "type.googleapis.com/google.rpc.BadRequest"' in refused.stderr
    for expected in ("input.sampling.temperature", "input.sampling.top_p", "INVALID_ARGUMENT_FIELD", "trivium.v1"):
        assert expected in refused.stderr
