"""A real recording to listen to, out of moonshine-voice's wheel, which is fetched once as a file and not installed.

The first sentences of A Tale of Two Cities, read aloud: 44 seconds at 48 kHz, MIT.
"""

from pathlib import Path

from examples.packaged_files import packaged_files
from trivium_models.catalog import Member, PackageSource

_SOURCE = PackageSource(
    package="moonshine-voice",
    version="0.1.0",
    file="moonshine_voice-0.1.0-py3-none-manylinux_2_34_x86_64.whl",
    sha256="0f833deb43bad5dcfb4cfd3257b6df83ef9abd3f27be3199622fe41932e8d916",
    size_bytes=56369045,
    members=(
        Member(
            path="moonshine_voice/assets/two_cities.wav",
            role="file",
            sha256="f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
            size_bytes=4260326,
        ),
    ),
)


def recordings() -> dict[str, Path]:
    """Returns the files by name: two_cities. Raises a ModelError where they cannot be fetched."""
    return packaged_files(_SOURCE, "recordings")
