#!/usr/bin/env bash
# All tests: first those that can share the machine, several at a time, then those that measure, each alone.
# What is given goes to both runs of pytest. WORKERS=0 runs the first kind one by one, too.
set -uo pipefail
cd "$(dirname "$0")/.."
# Many tests wait more than they compute, so one more than there are processors; each holds models in memory.
cores=$(getconf _NPROCESSORS_ONLN)
workers=${WORKERS:-$((cores < 7 ? cores + 1 : 8))}
failed=0

tests() {
    local status=0
    python -m pytest "$@" || status=$?
    # 5: what was asked for has none of this kind. 1: some failed, and the others are still worth running. Anything else
    # ends all: an interrupt, a wrong argument.
    ((status != 5)) || status=0
    ((status <= 1)) || exit "$status"
    ((failed |= status)) || true
}

# Tests that start a terminal fork beside servers of their own; gRPC would start its threads anew in the child, before it is
# another program, on sockets that are closed there.
export GRPC_ENABLE_FORK_SUPPORT=0
# The workers share the processors already; threads of numpy would only wait for each other.
OPENBLAS_NUM_THREADS=1 tests -m "not alone" -n "$workers" --dist loadfile --no-loadscope-reorder "$@"
tests -m alone "$@"
exit "$failed"
