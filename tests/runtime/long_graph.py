"""A graph that runs for as long as it is told to, and whose result says that it did."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from trivium_server.runtime.session import Session, SessionOptions

_SIDE = 96


def long_session() -> Session:
    """`steps`, shape (), products of a matrix with itself, one node each; `done` is their number."""
    spin = np.eye(_SIDE, dtype=np.float32)[::-1].copy()
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["matrix_in", "spin"], ["matrix_out"]),
            helper.make_node("Add", ["done_in", "one"], ["done_out"]),
            helper.make_node("Identity", ["go_on_in"], ["go_on_out"]),
        ],
        "step",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go_on_in", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("matrix_in", TensorProto.FLOAT, (_SIDE, _SIDE)),
            helper.make_tensor_value_info("done_in", TensorProto.INT64, ()),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("matrix_out", TensorProto.FLOAT, (_SIDE, _SIDE)),
            helper.make_tensor_value_info("done_out", TensorProto.INT64, ()),
        ],
        initializer=[numpy_helper.from_array(spin, "spin"), numpy_helper.from_array(np.array(1, np.int64), "one")],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["steps", "go_on", "start", "none"], ["matrix", "done"], body=body)],
        "long",
        [helper.make_tensor_value_info("steps", TensorProto.INT64, ())],
        [
            helper.make_tensor_value_info("matrix", TensorProto.FLOAT, (_SIDE, _SIDE)),
            helper.make_tensor_value_info("done", TensorProto.INT64, ()),
        ],
        initializer=[
            numpy_helper.from_array(np.array(True), "go_on"),  # noqa: FBT003  # the value
            numpy_helper.from_array(spin, "start"),
            numpy_helper.from_array(np.array(0, np.int64), "none"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = SessionOptions(intra_op_threads=1, spin_duration_us=0, execution_providers=("CPUExecutionProvider",))
    return Session(model.SerializeToString(), options)


def run_steps(session: Session, steps: int) -> int:
    """Runs so many steps, and returns how many there were."""
    (done,) = session.run({"steps": np.array(steps, np.int64)}, ["done"])
    return int(done)
