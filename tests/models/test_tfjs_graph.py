"""TensorFlow.js graphs as ONNX: each operation, and NanoDet as a whole, against numpy; what is not known is refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.models.graph_session import GraphSession
from tests.models.image_reference import load_rgb, pixels, squash
from tests.models.published import published
from tests.models.tfjs_reference import TfjsReference, numbers, text
from tests.photos import photo
from trivium_models.errors import InvalidModelError
from trivium_models.graph_writer import GraphWriter
from trivium_models.store import InstalledModel, Store
from trivium_models.vision.nanodet import export_nanodet
from trivium_models.vision.tfjs_graph import TfjsConverter
from trivium_models.vision.tfjs_source import read_tfjs

MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
TO_LAST, TO_FIRST = np.array([0, 2, 3, 1], np.int32), np.array([0, 3, 1, 2], np.int32)
VALID = {"padding": text("VALID"), "dilations": numbers(1, 1, 1, 1)}
RESIZE = {"half_pixel_centers": {"b": True}, "align_corners": {"b": False}}

Node = tuple[str, str, list[str], dict[str, object]]


class TinyGraph:
    """A graph in the making, and the files that it is kept in."""

    def __init__(self) -> None:
        self.nodes: list[Node] = [("image", "Placeholder", [], {})]
        self.constants: dict[str, NDArray[np.generic]] = {}
        self._random = np.random.default_rng(11)

    def const(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants[name] = values
        self.nodes.append((name, "Const", [], {}))
        return name

    def ints(self, name: str, *values: int) -> str:
        return self.const(name, np.array(values, np.int32))

    def weights(self, name: str, *shape: int) -> str:
        return self.const(name, self._random.normal(0, 0.5, shape).astype(np.float16))

    def node(self, name: str, operator: str, inputs: list[str], **attributes: object) -> str:
        self.nodes.append((name, operator, inputs, attributes))
        return name

    def write(self, folder: Path, outputs: Sequence[str] = ("out",)) -> tuple[Path, bytes]:
        """Writes graph.json and graph.bin; returns the one and the content of the other."""
        entries, data = [], b""
        for name, values in self.constants.items():
            entry: dict[str, object] = {"name": name, "shape": list(values.shape), "dtype": values.dtype.name}
            if values.dtype == np.float16:
                entry |= {"dtype": "float32", "quantization": {"dtype": "float16"}}
            entries.append(entry)
            data += values.tobytes()
        listed = [{"name": name, "op": op, "input": inputs, "attr": attr} for name, op, inputs, attr in self.nodes]
        content = {
            "modelTopology": {"node": listed},
            "signature": {"outputs": {one: {"name": f"{one}:0", "tensorShape": {"dim": []}} for one in outputs}},
            "weightsManifest": [{"paths": ["graph.bin"], "weights": entries}],
        }
        (folder / "graph.json").write_text(json.dumps(content))
        (folder / "graph.bin").write_bytes(data)
        return folder / "graph.json", data


def converted(folder: Path, output: str = "out") -> GraphSession:
    model = read_tfjs(folder / "graph.json", {"graph.bin": folder / "graph.bin"})
    writer = GraphWriter()
    made = TfjsConverter(model, writer, "pixel_values").convert(output)
    takes = [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, None)]
    gives = [helper.make_tensor_value_info(made, TensorProto.FLOAT, None)]
    graph = helper.make_graph(writer.nodes, "tiny", takes, gives, list(writer.initializers.values()))
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return GraphSession(onnx_model.SerializeToString())


def check(folder: Path, graph: TinyGraph, shape: tuple[int, ...]) -> None:
    """The ONNX graph does as the reference does, for one image and for two."""
    reference = TfjsReference(*graph.write(folder))
    session = converted(folder)
    random = np.random.default_rng(7)
    for count in (1, 2):
        images = random.normal(size=(count, *shape)).astype(np.float32)
        wanted = np.concatenate([reference.run(image[None], "out")[0] for image in images])
        (got,) = session.run(pixel_values=images).values()
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5)


def convolution(graph: TinyGraph, name: str, given: str, shape: tuple[int, int, int, int], stride: int = 1) -> str:
    kernel = graph.weights(f"{name}/kernel", *shape)
    steps = numbers(1, stride, stride, 1)
    return graph.node(name, "Conv2D", [given, kernel], strides=steps, **VALID)


@pytest.mark.parametrize("sides", [(8, 8), (9, 7), (3, 11)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("margins", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 0, 1)])
def test_padded_convolution(tmp_path: Path, sides: tuple[int, int], stride: int, margins: tuple[int, ...]) -> None:
    graph = TinyGraph()
    top, bottom, left, right = margins
    amounts = graph.const("amounts", np.array([[0, 0], [0, 0], [top, bottom], [left, right]], np.int32))
    padded = graph.node("padded", "Pad", ["image", amounts])
    last = graph.node("last", "Transpose", [padded, graph.const("to_last", TO_LAST)])
    conv = convolution(graph, "conv", last, (3, 3, 3, 5), stride)
    biased = graph.node("biased", "Add", [conv, graph.weights("bias", 5)])
    first = graph.node("first", "Transpose", [biased, graph.const("to_first", TO_FIRST)])
    graph.node("out", "LeakyRelu", [first], alpha={"f": 0.1})
    check(tmp_path, graph, (3, *sides))


def test_image_that_is_padded_twice_and_read_thrice(tmp_path: Path) -> None:
    graph = TinyGraph()
    amounts = graph.const("amounts", np.array([[0, 0], [1, 1], [2, 0], [0, 0]], np.int32))
    more = graph.const("more", np.array([[0, 0], [0, 1], [0, 2], [0, 0]], np.int32))
    last = graph.node("last", "Transpose", ["image", graph.const("to_last", TO_LAST)])
    padded = graph.node("padded", "Pad", [last, amounts])
    twice = graph.node("twice", "Pad", [padded, more])
    wide = graph.node("wide", "Pad", [last, graph.const("all", np.array([[0, 0], [1, 2], [2, 2], [0, 0]], np.int32))])
    graph.node("out", "Add", [twice, graph.node("sigmoid", "Sigmoid", [wide])])
    check(tmp_path, graph, (2, 6, 5))


def test_pool_over_a_filler(tmp_path: Path) -> None:
    graph = TinyGraph()
    last = graph.node("last", "Transpose", ["image", graph.const("to_last", TO_LAST)])
    amounts = graph.const("amounts", np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32))
    lowest = graph.const("lowest", np.array(-3e38, np.float32))
    padded = graph.node("padded", "PadV2", [last, amounts, lowest])
    three, two = numbers(1, 3, 3, 1), numbers(1, 2, 2, 1)
    pooled = graph.node("pooled", "MaxPool", [padded], ksize=three, strides=two, padding=text("VALID"))
    graph.node("out", "Transpose", [pooled, graph.const("to_first", TO_FIRST)])
    check(tmp_path, graph, (2, 9, 8))


@pytest.mark.parametrize("sides", [(13, 13), (26, 10), (5, 4), (1, 1)])
def test_resized_between_the_centres_of_pixels(tmp_path: Path, sides: tuple[int, int]) -> None:
    graph = TinyGraph()
    last = graph.node("last", "Transpose", ["image", graph.const("to_last", TO_LAST)])
    # A shape as converters compute it: zeros that a sparse list fills, plus constants.
    places = graph.const("places", np.array([[0], [1]], np.int32))
    values, zero = graph.ints("values", *sides), graph.const("zero", np.array(0, np.int32))
    dense = graph.node("dense", "SparseToDense", [places, graph.ints("length", 2), values, zero])
    size = graph.node("size", "AddV2", [dense, graph.ints("nothing", 0, 0)])
    graph.node("out", "ResizeBilinear", [last, size], **RESIZE)
    check(tmp_path, graph, (3, 10, 7))


def test_split_reshaped_and_concatenated(tmp_path: Path) -> None:
    graph = TinyGraph()
    to_last = graph.const("to_last", TO_LAST)
    last = graph.node("last", "Transpose", ["image", to_last])
    split_dim = graph.const("split_dim", np.array(1, np.int32))
    graph.node("split", "SplitV", ["image", graph.ints("lengths", 2, 3), split_dim])
    axis_last, axis_first = (graph.const(f"axis{axis}", np.array(axis, np.int32)) for axis in (3, 1))
    again = graph.node("again", "ConcatV2", [last, last, axis_last])
    first = graph.node("first", "Transpose", [again, graph.const("to_first", TO_FIRST)])
    joined = graph.node("joined", "ConcatV2", ["split:1", first, "split", axis_first])
    rows = graph.node("rows", "Reshape", [joined, graph.ints("shape", 1, 15, -1)])
    graph.node("out", "Transpose", [rows, graph.ints("turn", 0, 2, 1)])
    check(tmp_path, graph, (5, 4, 3))


def test_channels_last_image_is_given_as_it_is(tmp_path: Path) -> None:
    graph = TinyGraph()
    last = graph.node("last", "Transpose", ["image", graph.const("to_last", TO_LAST)])
    graph.node("out", "Reshape", [last, graph.ints("shape", 1, 12, 2)])
    check(tmp_path, graph, (2, 4, 3))


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "words"),
    [
        ("Relu", ["image"], {}, "operation Relu of out is not supported"),
        ("Conv2D", ["last", "kernel"], VALID | {"padding": text("SAME"), "strides": numbers(1, 1, 1, 1)}, "out pads"),
        ("Conv2D", ["last", "kernel"], {"strides": numbers(1, 1, 1, 1)}, "out has no attribute dilations"),
        ("Conv2D", ["image", "kernel"], VALID | {"strides": numbers(1, 1, 1, 1)}, "with its channels first"),
        ("MaxPool", ["last"], {"padding": text("SAME")}, "out pads, which is not supported"),
        ("ResizeBilinear", ["last", "size"], {"align_corners": {"b": True}}, "resizes in a way"),
        ("Add", ["image", "size"], {}, "adds to something else than a convolution"),
        ("Add", ["image", "last"], {}, "mixes images with channels first and last"),
        ("Add", ["image", "nobody"], {}, "there is no node nobody"),
        ("Add", ["image", "out"], {}, "depends on itself"),
        ("Reshape", ["image", "image"], {}, "image must not depend on the image"),
        ("LeakyRelu", ["image"], {"alpha": {"s": "AA=="}}, "has no attribute alpha"),
        ("Sigmoid", [], {}, "out is not a Sigmoid"),
    ],
)
def test_what_is_not_known_is_refused(
    tmp_path: Path, operator: str, inputs: list[str], attributes: dict[str, object], words: str
) -> None:
    graph = TinyGraph()
    graph.node("last", "Transpose", ["image", graph.const("to_last", TO_LAST)])
    graph.weights("kernel", 3, 3, 2, 4)
    graph.ints("size", 4, 4)
    graph.node("out", operator, inputs, **attributes)
    graph.write(tmp_path)
    with pytest.raises(InvalidModelError) as caught:
        converted(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        (('"float16"', '"uint8"'), "kernel is stored as uint8"),
        (('"graph.bin"', '"other.bin"'), "'other.bin'"),
        (('"shape": [1, 1, 2, 4]', '"shape": [1, 1, 2, 3]'), "the weights have 16 bytes; 12 are listed"),
        (('"shape": [1, 1, 2, 4]', '"shape": [1, 1, 2, 5]'), "is not a TensorFlow.js graph"),
        (('"weightsManifest"', '"weights"'), "'weightsManifest'"),
        (('{"modelTopology"', '[{"modelTopology"'), "is not valid JSON"),
    ],
)
def test_damaged_file_is_refused(tmp_path: Path, replaced: tuple[str, str], words: str) -> None:
    graph = TinyGraph()
    graph.weights("kernel", 1, 1, 2, 4)
    path, _ = graph.write(tmp_path)
    changed = path.read_text().replace(*replaced)
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(InvalidModelError) as caught:
        read_tfjs(path, {"graph.bin": tmp_path / "graph.bin"})
    assert words in str(caught.value)


def test_another_network_is_not_taken_for_nanodet(tmp_path: Path) -> None:
    graph = TinyGraph()
    graph.node("out", "Sigmoid", ["image"])
    path, _ = graph.write(tmp_path)
    with pytest.raises(InvalidModelError, match=r"graph\.json is not NanoDet for 416 pixels and 80 labels"):
        export_nanodet(path, {"graph.bin": tmp_path / "graph.bin"}, tmp_path)


@pytest.fixture(scope="module")
def nanodet() -> InstalledModel:
    """From the machine's own store; pulled when it is missing."""
    return Store().pull("nanodet-coco")


def test_nanodet_equals_the_float64_reference(nanodet: InstalledModel) -> None:
    image = pixels(squash(load_rgb(photo("motorcycle_left.png")), 416, 416), MEAN, STD, bgr=True)
    files = published("nanodet-coco")
    reference = TfjsReference(files["nanodet.json"], files["nanodet.bin"].read_bytes())
    got = GraphSession(nanodet.folder / "model.onnx").run(pixel_values=image)
    shapes = {name: values.shape for name, values in got.items()}
    assert shapes == {
        f"{kind}_{stride}": (1, (416 // stride) ** 2, width)
        for kind, width in (("cls", 80), ("reg", 44))
        for stride in (8, 16, 32)
    }
    names = ["cls_8", "cls_16", "cls_32", "reg_8", "reg_16", "reg_32"]
    outputs = ["Identity", *(f"Identity_{index}" for index in range(1, 6))]
    for name, wanted in zip(names, reference.run(image, *outputs), strict=True):
        # Logits of distances reach 11; measured is about 6e-6.
        np.testing.assert_allclose(got[name], wanted, rtol=0, atol=5e-5, err_msg=name)


def test_nanodet_batched_equals_single(nanodet: InstalledModel) -> None:
    session = GraphSession(nanodet.folder / "model.onnx")
    names = ("coffee.png", "astronaut.png")
    images = [pixels(squash(load_rgb(photo(name)), 416, 416), MEAN, STD, bgr=True) for name in names]
    together = session.run(pixel_values=np.concatenate(images))
    for index, image in enumerate(images):
        for name, values in session.run(pixel_values=image).items():
            np.testing.assert_array_equal(together[name][index], values[0], err_msg=name)


@pytest.mark.parametrize(
    ("name", "label", "least"),
    [
        ("camera.png", "person", 0.8),
        ("astronaut.png", "person", 0.7),
        ("motorcycle_left.png", "motorcycle", 0.7),
        ("coffee.png", "cup", 0.5),
        ("chelsea.png", "cat", 0.38),
    ],
)
def test_nanodet_finds_what_real_photos_show(nanodet: InstalledModel, name: str, label: str, least: float) -> None:
    labels = list(json.loads((nanodet.folder / "config.json").read_text())["id2label"].values())
    image = pixels(squash(load_rgb(photo(name)), 416, 416), MEAN, STD, bgr=True)
    got = GraphSession(nanodet.folder / "model.onnx").run(pixel_values=image)
    best = np.concatenate([got[f"cls_{stride}"][0] for stride in (8, 16, 32)]).max(axis=0)
    assert best[labels.index(label)] > least
    found = {labels[int(index)] for index in np.flatnonzero(best > 0.4)}
    # It takes the cat that fills the photo for a person as well; its card says so.
    assert found <= {label, "person"}, "nothing else is seen"
