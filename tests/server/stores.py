"""Model folders with made-up content, for what happens around a model."""

import hashlib
from pathlib import Path


def write_model(store: Path, name: str, architecture: str = "genai", content: bytes = b"weights") -> Path:
    """Writes a folder whose model.toml is right; nothing in it is a real model."""
    folder = store / name
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256(f"{sha256} {len(content)} weights\n".encode()).hexdigest()
    (folder / "model.toml").write_text(
        f'name = "{name}"\nversion = "1"\ntask = "generate_text"\narchitecture = "{architecture}"\n'
        f'license = "MIT"\ndigest = "sha256:{digest}"\n'
        f'[files]\n"weights" = {{ sha256 = "{sha256}", size_bytes = {len(content)} }}\n'
    )
    return folder
