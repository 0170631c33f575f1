"""Folders of image classifiers in Hugging Face's layout: what they are served as, and what broken ones are told."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from tests.architectures.looking import load, running, soon
from tests.architectures.tiny_vision import (
    IMAGENET,
    LABELS,
    PLAIN,
    VIT,
    classifier_graph,
    config_of,
    image,
    picture,
    write_classifier,
    write_json,
)
from tests.photos import photo
from trivium_server.architectures.image import ImageModel
from trivium_server.architectures.image.classifier import Classifier, Embedder, EmbeddingClassifier
from trivium_server.architectures.image.load import LOAD_ERRORS
from trivium_server.architectures.vision_capabilities import ImageClassifier, ImageEmbedder, VisionMeter
from trivium_server.config import Config, ImagesConfig

Floats = NDArray[np.float32]

RESNET = config_of("ResNetForImageClassification", "resnet")
CONVNEXT = {"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875, "resample": 3, **IMAGENET}
CLIP = {
    "feature_extractor_type": "CLIPFeatureExtractor",
    "size": 36,
    "crop_size": 32,
    "do_center_crop": True,
    "resample": 3,
    **IMAGENET,
}
SHORTEST = {"size": {"shortest_edge": 36}, "do_center_crop": True, "crop_size": {"height": 32, "width": 28}, **IMAGENET}
MOBILENET = {
    "feature_extractor_type": "MobileNetV2FeatureExtractor",
    "size": {"shortest_edge": 36},
    "crop_size": {"height": 32, "width": 32},
    **IMAGENET,
}


def pillow(preprocessor: Mapping[str, object], size: tuple[int, int], crop: tuple[int, int], resample: int) -> Floats:
    """What Pillow makes of a photo: resized, cut to its middle, and with the values that the processor says."""
    with PIL.Image.open(photo("coffee.png")) as file:
        picture = file.convert("RGB").resize(size, PIL.Image.Resampling(resample))
    left, top = (size[0] - crop[0]) // 2, (size[1] - crop[1]) // 2
    pixels = np.asarray(picture.crop((left, top, left + crop[0], top + crop[1])), np.float32) / 255
    mean, std = (np.asarray(preprocessor[key], np.float32) for key in ("image_mean", "image_std"))
    return np.asarray((pixels - mean) / std, np.float32)


# coffee.png has 600 x 400 pixels.
@pytest.mark.parametrize(
    ("preprocessor", "size", "crop", "resample"),
    [
        (VIT, (32, 32), (32, 32), 2),
        (CONVNEXT | {"size": {"shortest_edge": 32}}, (54, 36), (32, 32), 3),
        (CONVNEXT | {"size": 32}, (54, 36), (32, 32), 3),
        (CONVNEXT | {"size": {"shortest_edge": 384}}, (384, 384), (384, 384), 3),
        (CLIP, (54, 36), (32, 32), 3),
        (SHORTEST, (54, 36), (28, 32), 2),
        (MOBILENET, (54, 36), (32, 32), 2),
        (PLAIN | {"size": 32, "do_normalize": True, "resample": 3} | IMAGENET, (32, 32), (32, 32), 3),
        ({"size": {"shortest_edge": 32, "longest_edge": 40}, "resample": 2} | IMAGENET, (40, 27), (40, 27), 2),
        ({"size": {"shortest_edge": 32, "longest_edge": 60}, "resample": 2} | IMAGENET, (48, 32), (48, 32), 2),
    ],
    ids=[
        "vit",
        "convnext",
        "old convnext",
        "large convnext",
        "clip",
        "crop",
        "mobilenet",
        "number",
        "longest",
        "shortest",
    ],
)
def test_images_are_made_as_transformers_makes_them(
    loop: asyncio.Runner,
    tmp_path: Path,
    preprocessor: Mapping[str, object],
    size: tuple[int, int],
    crop: tuple[int, int],
    resample: int,
) -> None:
    """Compared by the means of the channels, which the model puts out, to 2 of 255 steps at a standard deviation."""
    folder = write_classifier(tmp_path / "m", preprocessor=preprocessor)
    wanted = pillow(preprocessor, size, crop, resample).mean(axis=(0, 1))
    with PIL.Image.open(photo("coffee.png")) as file:
        seen = image(np.array(file.convert("RGB")))
    with running(loop, folder, EmbeddingClassifier) as model:
        vector = loop.run(model.embed_image(seen, deadline_s=soon(), meter=VisionMeter()))
    np.testing.assert_allclose(vector, wanted, atol=2 / 255 / 0.22)


@pytest.mark.parametrize(
    ("changes", "white"),
    [
        ({}, 1.0),
        ({"do_normalize": False}, 1.0),
        ({"do_rescale": False, "do_normalize": False}, 255.0),
        ({"do_rescale": False, "image_mean": [127], "image_std": [64]}, 2.0),
        ({"rescale_factor": 2 / 255, "do_normalize": False}, 2.0),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}, 1.0),
    ],
    ids=["both", "rescaled", "as they are", "normalized only", "by another factor", "with an offset"],
)
def test_values_of_pixels(loop: asyncio.Runner, tmp_path: Path, changes: Mapping[str, object], white: float) -> None:
    folder = write_classifier(tmp_path / "m", preprocessor={**VIT, **changes})
    with running(loop, folder, EmbeddingClassifier) as model:
        vector = loop.run(model.embed_image(picture((255, 255, 255)), deadline_s=soon(), meter=VisionMeter()))
    np.testing.assert_allclose(vector, [white] * 3, rtol=1e-5)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_order_of_channels(loop: asyncio.Runner, tmp_path: Path, order: str) -> None:
    config = config_of("ViTForImageClassification", "vit", trivium={"channel_order": order})
    values = {"do_rescale": False, "image_mean": [10, 20, 30], "image_std": [1, 2, 4]}
    folder = write_classifier(tmp_path / "m", config=config, preprocessor={**VIT, **values})
    with running(loop, folder, EmbeddingClassifier) as model:
        vector = loop.run(model.embed_image(picture((50, 100, 150)), deadline_s=soon(), meter=VisionMeter()))
    red, green, blue = (50, 100, 150) if order == "rgb" else (150, 100, 50)
    np.testing.assert_allclose(vector, [red - 10, (green - 20) / 2, (blue - 30) / 4], rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "outputs", "kind"),
    [
        (config_of("ViTForImageClassification", "vit"), ["logits"], Classifier),
        (config_of("ViTForImageClassification", "vit"), ["logits", "pooler_output"], EmbeddingClassifier),
        ({"architectures": ["CLIPVisionModelWithProjection"], "model_type": "clip"}, ["image_embeds"], Embedder),
        ({"architectures": ["ViTModel"], "model_type": "vit"}, ["pooler_output"], Embedder),
    ],
    ids=["classifier", "both", "clip", "backbone"],
)
def test_outputs_say_what_a_model_can(
    loop: asyncio.Runner, tmp_path: Path, config: Mapping[str, object], outputs: Sequence[str], kind: type[ImageModel]
) -> None:
    folder = write_classifier(tmp_path / "m", config=config, outputs=outputs)
    with running(loop, folder, kind) as model:
        assert type(model) is kind
        assert isinstance(model, ImageClassifier) == (kind is not Embedder)
        assert isinstance(model, ImageEmbedder) == (kind is not Classifier)
        assert model.execution_provider == "CPUExecutionProvider"


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_scores_of_labels(loop: asyncio.Runner, tmp_path: Path, problem: str) -> None:
    config = config_of("ResNetForImageClassification", "resnet", problem_type=problem)
    folder = write_classifier(tmp_path / "m", config=config)
    with running(loop, folder, EmbeddingClassifier) as model:
        scores = loop.run(model.classify_image(picture((255, 0, 0)), deadline_s=soon(), meter=VisionMeter()))
        assert model.image_labels == LABELS
    exponentials = np.exp([4, -4, -4])
    single = exponentials / exponentials.sum()
    wanted = single if problem.startswith("single") else 1 / (1 + np.exp([-4, 4, 4]))
    np.testing.assert_allclose(scores, wanted, rtol=1e-4)


def test_vector_with_axes_of_the_picture_is_flat(loop: asyncio.Runner, tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m", config=RESNET, dims_stay=True)
    with running(loop, folder, EmbeddingClassifier) as model:
        assert model.image_embedding_info.dimensions == 3
        vector = loop.run(model.embed_image(picture((255, 0, 0)), deadline_s=soon(), meter=VisionMeter()))
    assert vector.shape == (3,)
    assert vector.base is None


def test_graph_of_half_precision(loop: asyncio.Runner, tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m", is_half=True)
    with running(loop, folder, EmbeddingClassifier) as model:
        scores = loop.run(model.classify_image(picture((0, 255, 0)), deadline_s=soon(), meter=VisionMeter()))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, np.exp([-4, 4, -4]) / np.exp([-4, 4, -4]).sum(), atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (31, 33)])
@pytest.mark.parametrize("preprocessor", [VIT, SHORTEST], ids=["squash", "crop"])
def test_picture_of_any_shape(
    loop: asyncio.Runner, tmp_path: Path, size: tuple[int, int], preprocessor: Mapping[str, object]
) -> None:
    folder = write_classifier(tmp_path / "m", preprocessor=preprocessor)
    with running(loop, folder, EmbeddingClassifier) as model:
        scores = loop.run(model.classify_image(picture((255, 0, 0), *size), deadline_s=soon(), meter=VisionMeter()))
    assert int(scores.argmax()) == 0


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        ("config.json", {"id2label": {"0": "a", "1": "b"}}, "id2label has 2 labels"),
        ("config.json", {"id2label": {"0": "a", "2": "b"}}, "id2label must have a text for each of 0 to 1"),
        ("config.json", {"trivium": {"channel_order": "grb"}}, "channel_order must be rgb or bgr"),
        ("config.json", {"trivium": {"resize": "stretch"}}, "resize must be squash or letterbox"),
        ("config.json", {"trivium": [1]}, "trivium must be an object"),
        ("config.json", {"architectures": "x"}, "architectures must be a list"),
        ("preprocessor_config.json", {"do_resize": False}, "do_resize must be true"),
        ("preprocessor_config.json", {"size": {}}, "size must have height and width"),
        ("preprocessor_config.json", {"size": {"height": 32}}, "size must have height and width"),
        ("preprocessor_config.json", {"size": {"shortest_edge": 32}}, "needs longest_edge too, or do_center_crop"),
        ("preprocessor_config.json", {"size": {"height": 0, "width": 32}}, "height must be a whole number"),
        ("preprocessor_config.json", {"size": {"height": 5000, "width": 32}}, "height must be 4096 at most"),
        ("preprocessor_config.json", {"size": "large"}, "size must be an object"),
        ("preprocessor_config.json", {"do_center_crop": True, "crop_size": {"width": 9}}, "crop_size must have height"),
        ("preprocessor_config.json", {"resample": 9}, "resample must be one of"),
        ("preprocessor_config.json", {"image_mean": None}, "image_mean must be 3 numbers"),
        ("preprocessor_config.json", {"image_mean": [1, 2]}, "image_mean must be 3 numbers"),
        ("preprocessor_config.json", {"image_mean": [1, 2, "3"]}, "image_mean must be a list of numbers"),
        ("preprocessor_config.json", {"image_std": [1, 0, 1]}, "image_std must be above 0"),
        ("preprocessor_config.json", {"image_std": [1, float("nan"), 1]}, "image_std must be a list of numbers"),
        ("preprocessor_config.json", {"rescale_factor": 0}, "rescale_factor must be above 0"),
        ("preprocessor_config.json", {"do_pad": True, "pad_size": {"height": 9, "width": 9}}, "pad_size is not"),
    ],
)
def test_what_a_file_says_wrong_is_told(tmp_path: Path, file: str, changes: Mapping[str, object], told: str) -> None:
    folder = write_classifier(tmp_path / "m")
    write_json(folder / file, json.loads((folder / file).read_text()) | changes)
    assert_refused(folder, told, file)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.onnx"])
def test_missing_file_is_told(tmp_path: Path, file: str) -> None:
    folder = write_classifier(tmp_path / "m")
    (folder / file).unlink()
    assert_refused(folder, f"{file}", "is missing")


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.onnx"])
def test_garbage_is_told(tmp_path: Path, file: str) -> None:
    folder = write_classifier(tmp_path / "m")
    (folder / file).write_bytes(b"\x00garbage")
    assert_refused(folder, file)


def test_graph_of_another_size_is_told(tmp_path: Path) -> None:
    assert_refused(write_classifier(tmp_path / "m", size=(224, 224)), "width 224", "images are made 32x32")


def test_graph_without_a_known_output_is_told(tmp_path: Path) -> None:
    folder = write_classifier(tmp_path / "m", outputs=["last_hidden_state"])
    assert_refused(folder, "must have an output logits or image_embeds or pooler_output", "last_hidden_state")


def test_output_that_is_no_number_is_told(tmp_path: Path) -> None:
    # The trial is of a grey picture, which is 0 everywhere; a limit below that breaks it.
    folder = write_classifier(tmp_path / "m", breaks_when_bright=True)
    graph = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(graph.replace(np.float32(0.9).tobytes(), np.float32(-0.9).tobytes()))
    assert_refused(folder, "output logits is not finite")


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ([2, 3, 32, 32], "fixed batch of 2"),
        (["batch", 32, 32, 3], "must have the shape (batch, 3, height, width)"),
        (["batch", 1, 32, 32], "must have the shape (batch, 3, height, width)"),
    ],
)
def test_input_of_another_shape_is_told(tmp_path: Path, shape: list[int | str], told: str) -> None:
    folder = write_classifier(tmp_path / "m")
    model = classifier_graph(["logits"], ("height", "width"))
    for axis, side in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        axis.Clear()
        if isinstance(side, int):
            axis.dim_value = side
        else:
            axis.dim_param = side
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert_refused(folder, "pixel_values", told)


def assert_refused(folder: Path, *told: str) -> None:
    """The error names what is wrong, and no path of the disk."""
    with pytest.raises(LOAD_ERRORS) as refused:
        load(folder, Classifier)
    text = str(refused.value)
    assert all(part in text for part in told), text
    assert "\n" not in text


def test_progress_goes_up_to_1(tmp_path: Path) -> None:
    from trivium_server.architectures import image as family

    seen: list[float] = []
    family.load(write_classifier(tmp_path / "m"), Config(images=ImagesConfig(runners=1)), seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
