"""Nothing about the server or its callers is collected for others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_RUN = """
import onnxruntime
from onnx import TensorProto, helper
values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
graph = helper.make_graph([helper.make_node("Neg", ["a"], ["b"])], "negation", values[:1], values[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnxruntime.InferenceSession(model.SerializeToString())
"""


# Where it finds one of these it collects nothing anyhow, and the test would prove nothing.
_SIGNS_OF_CI = ("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL", "BUILDKITE")


@pytest.mark.parametrize("first", ["trivium_server.app", "trivium_models.store"])
def test_onnxruntime_collects_nothing(tmp_path: Path, first: str) -> None:
    unset = ("ORT_DISABLE_TELEMETRY", *_SIGNS_OF_CI)
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = f"import {first}\n{_RUN}\nimport os\nprint(os.environ['ORT_DISABLE_TELEMETRY'])"
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, timeout=120, capture_output=True, text=True
    )
    assert run.stdout.strip() == "1"
    assert list(tmp_path.rglob("*.db")) == []
