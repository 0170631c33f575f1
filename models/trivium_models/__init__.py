"""Fetches models, verifies them and writes the model folders that the Trivium server loads.

The faces for other programs are `trivium_models.store.Store` and `trivium_models.catalog.load_catalog`; the rest is
behind them. Nothing here is imported by the server: the model folder on disk is the interface between the two.
"""

import os

# Official builds of ONNX Runtime collect telemetry for their maker unless this is set before the library is loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
