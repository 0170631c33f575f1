"""The server. See docs/architecture.md."""

import os

# Official builds of ONNX Runtime collect telemetry for their maker unless this is set before the library is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
