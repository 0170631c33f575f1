"""ONNX files that point outside their folder, by whatever way, are refused before anything reads them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from trivium_models.errors import InvalidModelError, UnsafeModelError
from trivium_models.graph_check import check_graph

FLOATS_16 = 64


def external(location: str, *, offset: str = "0", length: str = str(FLOATS_16)) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[16], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=value)
    return tensor


def constant(tensor: TensorProto) -> NodeProto:
    return helper.make_node("Constant", [], ["c"], value=tensor)


def in_initializer(tensor: TensorProto) -> ModelProto:
    node = helper.make_node("Identity", ["w"], ["y"])
    return helper.make_model(helper.make_graph([node], "g", [], [], [tensor]))


def in_constant_node(tensor: TensorProto) -> ModelProto:
    return helper.make_model(helper.make_graph([constant(tensor)], "g", [], []))


def in_subgraph(tensor: TensorProto) -> ModelProto:
    branch = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "branch", [], [], [tensor])
    node = helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def in_subgraph_of_subgraph(tensor: TensorProto) -> ModelProto:
    inner = helper.make_node("If", ["c"], ["y"], then_branch=helper.make_graph([constant(tensor)], "inner", [], []))
    outer = helper.make_node("If", ["c"], ["y"], then_branch=helper.make_graph([inner], "outer", [], []))
    return helper.make_model(helper.make_graph([outer], "g", [], []))


def in_function(tensor: TensorProto) -> ModelProto:
    opsets = [helper.make_opsetid("", 21)]
    function = helper.make_function("local", "f", [], ["c"], [constant(tensor)], opsets)
    node = helper.make_node("f", [], ["c"], domain="local")
    return helper.make_model(helper.make_graph([node], "g", [], []), functions=[function])


def in_sparse_initializer(tensor: TensorProto) -> ModelProto:
    model = in_constant_node(helper.make_tensor("t", TensorProto.FLOAT, [1], [0.0]))
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    return model


PLACES = [
    in_initializer,
    in_constant_node,
    in_subgraph,
    in_subgraph_of_subgraph,
    in_function,
    in_sparse_initializer,
]


def model_folder(tmp_path: Path, model: ModelProto) -> Path:
    """A folder with the graph and 64 bytes of weights, beside a secret that it must not reach."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"s" * FLOATS_16)
    (folder / "weights").write_bytes(b"w" * FLOATS_16)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked-folder").symlink_to(tmp_path)
    (folder / "g.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize(
    "location",
    [
        "../secret",
        "sub/../../secret",
        "/etc/hostname",
        "link",
        "linked-folder/secret",
        "C:\\secret",
        "..\\secret",
        "\\\\host\\share",
        "",
        "weights\0",
    ],
)
def test_data_outside_the_folder_is_refused(
    tmp_path: Path, place: Callable[[TensorProto], ModelProto], location: str
) -> None:
    folder = model_folder(tmp_path, place(external(location)))
    with pytest.raises(UnsafeModelError, match="out"):
        check_graph(folder / "g.onnx", folder)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_data_inside_the_folder_is_accepted(tmp_path: Path, place: Callable[[TensorProto], ModelProto]) -> None:
    folder = model_folder(tmp_path, place(external("weights")))
    assert check_graph(folder / "g.onnx", folder).inputs == ()


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (external("missing"), "does not exist"),
        (external("weights", length=str(FLOATS_16 + 1)), "lie outside weights, which has 64"),
        (external("weights", offset="1"), "lie outside"),
        (external("weights", offset="-64"), "lie outside"),
        (external("weights", offset="many"), "whole numbers"),
        (external("."), "not a regular file"),
    ],
    ids=["missing", "too long", "offset", "negative", "no number", "folder"],
)
def test_data_that_is_not_there_is_refused(tmp_path: Path, tensor: TensorProto, words: str) -> None:
    folder = model_folder(tmp_path, in_initializer(tensor))
    with pytest.raises(InvalidModelError, match=words):
        check_graph(folder / "g.onnx", folder)


@pytest.mark.parametrize("content", [b"", b"\x00", b"not onnx at all", b"\xff" * 100])
def test_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(InvalidModelError, match="not a readable ONNX file"):
        check_graph(tmp_path / "g.onnx", tmp_path)


def test_place_that_is_stated_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(bytes(FLOATS_16))
    tensor = external("w")
    tensor.external_data.insert(0, tensor.external_data[0].__class__(key="location", value="/etc/hostname"))
    path = tmp_path / "model.onnx"
    path.write_bytes(in_initializer(tensor).SerializeToString())
    with pytest.raises(UnsafeModelError, match="states a key twice"):
        check_graph(path, tmp_path)
