#!/usr/bin/env bash
# Makes .venv-peers with the engines that we measure against, as locked in peers.txt, and .venv-peers/speech with those
# of speech, which has what counts wrong words too. Does nothing when they are current.
# --speech: those of speech alone.
# --infinity: infinity-emb as well, 6 GB, in .venv-peers/infinity.
set -euo pipefail
cd "$(dirname "$0")/.."

# Makes the virtual environment $1 with what benchmarks/$2.txt locks.
install() {
    local folder=$1 lock=benchmarks/$2.txt
    if [[ -e $folder/.installed && $folder/.installed -nt $lock ]]; then
        return
    fi
    echo "Setting up $folder"
    test -x "$folder/bin/python" || "${PYTHON:-python3.11}" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    touch "$folder/.installed"
}

install .venv-peers/speech speech
if [[ ${1:-} == --speech ]]; then
    exit
fi
install .venv-peers peers
if [[ ${1:-} == --infinity ]]; then
    install .venv-peers/infinity infinity
fi
