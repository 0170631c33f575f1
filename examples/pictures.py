"""Real pictures to look at, out of scikit-image's wheel, which is fetched once as a file and not installed.

Eileen Collins, by NASA, in the public domain; a coffee cup, by Rachel Michetti, CC0; and the scan of a printed page.
"""

from pathlib import Path

from examples.packaged_files import packaged_files
from trivium_models.catalog import Member, PackageSource

_SOURCE = PackageSource(
    package="scikit-image",
    version="0.26.0",
    file="scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    size_bytes=13711217,
    members=(
        Member(
            path="skimage/data/astronaut.png",
            role="file",
            sha256="88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
            size_bytes=791555,
        ),
        Member(
            path="skimage/data/coffee.png",
            role="file",
            sha256="cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
            size_bytes=466706,
        ),
        Member(
            path="skimage/data/page.png",
            role="file",
            sha256="341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3",
            size_bytes=47679,
        ),
    ),
)


def pictures() -> dict[str, Path]:
    """Returns the files by name: astronaut, coffee, page. Raises a ModelError where they cannot be fetched."""
    return packaged_files(_SOURCE, "pictures")
