#!/usr/bin/env bash
# Resolves the peers anew and writes them to peers.txt, with hashes and no addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
index=$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)
index=${PIP_INDEX_URL:-$index}
# onnxruntime, grpcio and protobuf as in our own lock, so that only the engines differ.
.venv/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
    ${index:+--default-index "$index"} --custom-compile-command "benchmarks/lock_peers.sh" \
    --constraints requirements/dev.txt benchmarks/peers.in --output-file benchmarks/peers.txt
