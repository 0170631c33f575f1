"""Values of cases that are too large to be written out, or are made anew: YAML tags.

!repeat {text: "abc", times: 1000}      the text so often
!zeros 1000                             so many zero bytes, in base64
!certificate root                       a PEM of this run, see tools/certificates.py
!photo chelsea.png                      a file of tests/photos.py, in base64
!recording beckett.wav                  a file of tests/recordings.py, in base64
!sound {recording: beckett.wav, chunk_s: 0.5}    its samples, 16-bit mono at 16 kHz, as requests of StreamRecognize
"""

import base64

import numpy as np
import yaml

from tests.photos import photo
from tests.recordings import load_speech, recording
from tools.certificates import pem

__all__ = ["Loader"]

_SAMPLE_RATE_HZ = 16000


class Loader(yaml.CSafeLoader):
    """Reads plain values, and the tags of this module."""


def _repeat(loader: Loader, node: yaml.MappingNode) -> str:
    given = loader.construct_mapping(node)
    return str(given["text"]) * int(given["times"])


def _zeros(loader: Loader, node: yaml.ScalarNode) -> str:
    return base64.b64encode(bytes(int(loader.construct_scalar(node)))).decode()


def _certificate(loader: Loader, node: yaml.ScalarNode) -> str:
    return pem(str(loader.construct_scalar(node)))


def _photo(loader: Loader, node: yaml.ScalarNode) -> str:
    return base64.b64encode(photo(str(loader.construct_scalar(node))).read_bytes()).decode()


def _recording(loader: Loader, node: yaml.ScalarNode) -> str:
    return base64.b64encode(recording(str(loader.construct_scalar(node))).read_bytes()).decode()


def _sound(loader: Loader, node: yaml.MappingNode) -> list[dict[str, str]]:
    given = loader.construct_mapping(node)
    samples = load_speech(str(given["recording"]), _SAMPLE_RATE_HZ)
    content = np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    chunk_bytes = 2 * int(_SAMPLE_RATE_HZ * float(given["chunk_s"]))
    chunks = [content[start : start + chunk_bytes] for start in range(0, len(content), chunk_bytes)]
    return [{"audio": base64.b64encode(chunk).decode()} for chunk in chunks]


Loader.add_constructor("!photo", _photo)
Loader.add_constructor("!recording", _recording)
Loader.add_constructor("!sound", _sound)
Loader.add_constructor("!repeat", _repeat)
Loader.add_constructor("!zeros", _zeros)
Loader.add_constructor("!certificate", _certificate)
