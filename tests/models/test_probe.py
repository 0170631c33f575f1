"""A stranger's graph is loaded once in a child, which may fail in any way without taking the pull along."""

import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trivium_models.errors import InvalidModelError
from trivium_models.probe import probe_graphs
from trivium_models.store import Store

MIB = 1 << 20


def write_graph(path: Path, *nodes: onnx.NodeProto, weights: list[TensorProto] | None = None) -> Path:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", [], [output], weights or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_sound_graph_passes(tmp_path: Path) -> None:
    weights = [numpy_helper.from_array(np.ones(4, dtype=np.float32), "w")]
    probe_graphs(
        [write_graph(tmp_path / "g.onnx", helper.make_node("Neg", ["w"], ["y"]), weights=weights)], weights_bytes=16
    )


def test_graph_that_onnxruntime_refuses_is_refused_with_its_reason(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "g.onnx", helper.make_node("NoSuchOperator", [], ["y"]))
    with pytest.raises(InvalidModelError, match=r"g\.onnx cannot be loaded: .*NoSuchOperator") as caught:
        probe_graphs([graph], weights_bytes=16)
    assert "\n" not in str(caught.value)


def test_memory_is_limited(tmp_path: Path) -> None:
    weights = [numpy_helper.from_array(np.ones(128 * MIB // 4, dtype=np.float32), "w")]
    graph = write_graph(tmp_path / "g.onnx", helper.make_node("Neg", ["w"], ["y"]), weights=weights)
    # The same graph with room for its weights is sound.
    probe_graphs([graph], weights_bytes=128 * MIB)
    with pytest.raises(InvalidModelError, match=r"g\.onnx cannot be loaded"):
        probe_graphs([graph], weights_bytes=16, base_bytes=400 * MIB)


def test_time_is_limited(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "g.onnx")
    with pytest.raises(InvalidModelError, match="did not load it within 1 s"):
        probe_graphs([tmp_path / "g.onnx"], weights_bytes=16, wait_s=1)


def test_folder_that_onnxruntime_cannot_load_is_not_installed(tmp_path: Path, exported: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "theirs"))
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    model.graph.node[-1].op_type = "NoSuchOperator"
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    store = Store(tmp_path / "store")
    with pytest.raises(InvalidModelError, match="NoSuchOperator"):
        store.pull(str(folder))
    assert store.installed() == []
