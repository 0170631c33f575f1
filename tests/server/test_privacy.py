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


@pytest.mark.parametrize(
    ("first", "is_collected"),
    [("import trivium_server.app", False), ("import trivium_models.store", False), ("", True)],
    ids=["server", "models", "without us"],
)
def test_onnxruntime_collects_nothing(tmp_path: Path, first: str, is_collected: bool) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", f"{first}\n{_RUN}"], env=environment, check=True, timeout=120)
    kept = [path.name for path in tmp_path.rglob("*.db")]
    # The last case is the control: where it collects nothing either, this test has lost its sense.
    assert bool(kept) is is_collected, kept
