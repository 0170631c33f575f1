"""Convolutional networks in plain numpy and float64, step by step as their authors describe them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trivium_models.vision.pth_source import TorchState

Doubles = NDArray[np.float64]

# EfficientNet-Lite0, Tan & Le 2019, table 1: blocks, kernel, stride, expansion, channels.
_STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
_LAST_STAGE = (1, 3, 1, 6, 320)


def convolve(image: Doubles, kernel: Doubles, *, stride: int = 1) -> Doubles:
    """image: (rows, columns, channels). kernel: (rows, columns, channels in, out). Without padding."""
    rows, columns = (
        (length - size) // stride + 1 for length, size in zip(image.shape[:2], kernel.shape[:2], strict=True)
    )
    total = np.zeros((rows, columns, kernel.shape[3]))
    for down in range(kernel.shape[0]):
        for right in range(kernel.shape[1]):
            part = image[down : down + rows * stride : stride, right : right + columns * stride : stride]
            total += part[:rows, :columns] @ kernel[down, right]
    return total


def convolve_depthwise(image: Doubles, kernel: Doubles, *, stride: int = 1) -> Doubles:
    """kernel: (rows, columns, channels). Without padding."""
    rows, columns = (
        (length - size) // stride + 1 for length, size in zip(image.shape[:2], kernel.shape[:2], strict=True)
    )
    total = np.zeros((rows, columns, kernel.shape[2]))
    for down in range(kernel.shape[0]):
        for right in range(kernel.shape[1]):
            part = image[down : down + rows * stride : stride, right : right + columns * stride : stride]
            total += part[:rows, :columns] * kernel[down, right]
    return total


def pad_same(image: Doubles, kernel_len: int, stride: int) -> Doubles:
    """Zeros as TensorFlow's SAME has them: the odd one below and to the right."""
    margins = []
    for length in image.shape[:2]:
        missing = max((-(-length // stride) - 1) * stride + kernel_len - length, 0)
        margins.append((missing // 2, missing - missing // 2))
    return np.pad(image, (*margins, (0, 0)))


class EfficientNetReference:
    """EfficientNet-Lite0 with the published weights; normalizations are not folded."""

    def __init__(self, weights: Path) -> None:
        self._state = TorchState.read(weights)

    def run(self, image: Doubles) -> tuple[Doubles, Doubles]:
        """image: normalized, (224, 224, 3). Returns logits (1000,) and pooled features (1280,)."""
        seen = _relu6(self._norm(self._conv(image, "_conv_stem", (32, 3, 3), 2), "_bn0"))
        index, channels = 0, 32
        for num_blocks, kernel_len, stride, expansion, width in (*_STAGES, _LAST_STAGE):
            for block in range(num_blocks):
                shape = (channels, channels * expansion, width)
                seen = self._block(f"_blocks.{index}", seen, shape, kernel_len, stride if block == 0 else 1)
                index, channels = index + 1, width
        features = _relu6(self._norm(self._conv(seen, "_conv_head", (1280, channels, 1), 1), "_bn1")).mean(axis=(0, 1))
        return self._take("_fc.weight", 1000, 1280) @ features + self._take("_fc.bias", 1000), features

    def _block(self, at: str, image: Doubles, shape: tuple[int, int, int], kernel_len: int, stride: int) -> Doubles:
        channels, inner, width = shape
        seen = image
        if inner != channels:
            seen = _relu6(self._norm(self._conv(image, f"{at}._expand_conv", (inner, channels, 1), 1), f"{at}._bn0"))
        kernel = self._take(f"{at}._depthwise_conv.weight", inner, 1, kernel_len, kernel_len)[:, 0].transpose(1, 2, 0)
        seen = convolve_depthwise(pad_same(seen, kernel_len, stride), kernel, stride=stride)
        seen = _relu6(self._norm(seen, f"{at}._bn1"))
        seen = self._norm(self._conv(seen, f"{at}._project_conv", (width, inner, 1), 1), f"{at}._bn2")
        return seen + image if stride == 1 and channels == width else seen

    def _conv(self, image: Doubles, name: str, shape: tuple[int, int, int], stride: int) -> Doubles:
        kernel_len = shape[2]
        kernel = self._take(f"{name}.weight", *shape, kernel_len).transpose(2, 3, 1, 0)
        return convolve(pad_same(image, kernel_len, stride), kernel, stride=stride)

    def _norm(self, image: Doubles, name: str) -> Doubles:
        gain, shift, mean, variance = (
            self._take(f"{name}.{part}", image.shape[2]) for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (image - mean) / np.sqrt(variance + 1e-3) * gain + shift

    def _take(self, name: str, *shape: int) -> Doubles:
        return self._state.take(name, *shape).astype(np.float64)


def _relu6(values: Doubles) -> Doubles:
    return np.clip(values, 0, 6)


def load_rgb(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def centre_crop(image: Image.Image) -> Image.Image:
    """The middle 224 of the image, with its shorter side made 256."""
    scale = 256 / min(image.size)
    width, height = (round(length * scale) for length in image.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    return image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + 224, top + 224))


def squash(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR)


def pixels(
    image: Image.Image, mean: Sequence[float], std: Sequence[float], *, bgr: bool = False
) -> NDArray[np.float32]:
    """The image as a batch of one, (1, 3, height, width); mean and std of 0 to 255, in the order of the channels."""
    values = np.asarray(image, np.float32)[..., :: -1 if bgr else 1]
    normalized = (values - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(normalized.transpose(2, 0, 1)[None])
