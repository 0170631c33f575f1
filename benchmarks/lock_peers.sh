#!/usr/bin/env bash
# Resolves the peers anew and writes them to peers.txt, infinity.txt and speech.txt, with hashes and no addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
index=$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)
index=${PIP_INDEX_URL:-$index}

lock() {
    .venv/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
        --no-annotate ${index:+--default-index "$index"} --custom-compile-command "benchmarks/lock_peers.sh" \
        "benchmarks/$1.in" --output-file "benchmarks/$1.txt" "${@:2}"
}

# onnxruntime, grpcio and protobuf as in our own lock, so that only the engines differ.
lock peers --constraints requirements/dev.txt
lock infinity
lock speech --constraints requirements/dev.txt
