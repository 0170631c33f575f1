#!/usr/bin/env bash
# Resolves the dependencies of the three distributions and the tools, and writes them with hashes and no addresses.
# Versions that are locked stay where they fit; UPGRADE=1 takes the newest.
set -euo pipefail
cd "$(dirname "$0")/.."
index=$(python -m pip config get global.index-url 2>/dev/null || true)
index=${PIP_INDEX_URL:-$index}
uvx=(python -m uv)
python -m uv --version >/dev/null 2>&1 || python -m pip install --quiet uv
compile() { # what, into which file
    "${uvx[@]}" pip compile --quiet ${UPGRADE:+--upgrade} --universal --python-version 3.11 --generate-hashes --no-annotate \
        ${index:+--default-index "$index"} --no-emit-package trivium --custom-compile-command "make lock" \
        --output-file "$1" "${@:2}"
}
compile requirements/dev.txt --all-extras clients/python/pyproject.toml models/pyproject.toml service/pyproject.toml \
    requirements/dev.in
# What an image has: the versions that the tests run with.
compile requirements/server.txt --constraint requirements/dev.txt --extra cli clients/python/pyproject.toml \
    models/pyproject.toml service/pyproject.toml
compile requirements/build.txt --constraint requirements/dev.txt requirements/build.in
compile requirements/envoy.txt requirements/envoy.in
