#!/usr/bin/env bash
# Makes .venv-peers with the engines that we measure against, as locked in peers.txt. Does nothing when it is current.
set -euo pipefail
cd "$(dirname "$0")/.."
installed=.venv-peers/.installed
if [[ -e $installed && $installed -nt benchmarks/peers.txt ]]; then
    exit 0
fi
echo "Setting up .venv-peers"
test -x .venv-peers/bin/python || "${PYTHON:-python3.11}" -m venv .venv-peers
.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/peers.txt
touch "$installed"
