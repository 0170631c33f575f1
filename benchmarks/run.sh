#!/usr/bin/env bash
# Runs every measurement, one after the other, on a machine that should have nothing else to do.
# --quick is a smoke run of a few minutes; --no-peers leaves the peers out. Results: benchmarks/results.
set -euo pipefail
cd "$(dirname "$0")/.."
own=()
for argument in "$@"; do
    case $argument in
    --no-peers) peers=no ;;
    -h | --help)
        sed -n '2,3s/^# //p' "$0"
        exit 0
        ;;
    *) own+=("$argument") ;;
    esac
done
if [[ ${peers:-yes} == yes ]]; then
    benchmarks/install_peers.sh
else
    benchmarks/install_peers.sh --speech # it has what counts wrong words
fi
for measurement in decode latency memory; do
    .venv/bin/python -m "benchmarks.$measurement" "${own[@]}" $([[ ${peers:-yes} == no ]] && echo --no-peers)
done
for model in all-minilm-l6-v2 all-minilm-l6-v2-int8; do
    .venv/bin/python -m benchmarks.embed --model "$model" "${own[@]}" $([[ ${peers:-yes} == no ]] && echo --no-peers)
done
.venv/bin/python -m benchmarks.unary "${own[@]}"
.venv/bin/python -m benchmarks.replicas "${own[@]}"
.venv/bin/python -m benchmarks.vision "${own[@]}"
for measurement in speech speech_accuracy; do
    .venv/bin/python -m "benchmarks.$measurement" "${own[@]}" $([[ ${peers:-yes} == no ]] && echo --no-peers)
done
.venv/bin/python -m benchmarks.speech --model whisper-base "${own[@]}"
.venv/bin/python -m benchmarks.speech_live "${own[@]}"
.venv/bin/python -m benchmarks.speech_synthesis "${own[@]}"
.venv/bin/python -m benchmarks.sampling "${own[@]}"
.venv/bin/python -m benchmarks.embed_quality "${own[@]}"
