#!/usr/bin/env bash
# Every check that needs no running server. Runs them all, then says which failed.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()

check() {
    local name=$1
    shift
    local started=$SECONDS
    if "$@"; then
        echo "ok       $name ($((SECONDS - started)) s)"
    else
        echo "FAILED   $name" >&2
        failed+=("$name")
    fi
}

# The contract on the main branch is the one that clients rely on. A clone without that branch compares with its origin;
# before the first release of the contract there is nothing to compare with.
breaking() {
    local ref
    for ref in origin/main main; do
        if git cat-file -e "$ref:buf.yaml" 2>/dev/null; then
            buf breaking --against ".git#ref=$(git rev-parse "$ref")"
            return
        fi
    done
    echo "         no earlier contract to compare with"
}

check "python format" ruff format --check --quiet .
check "python lint" ruff check --quiet .
check "python types" mypy --no-error-summary clients/python/trivium models/trivium_models service/trivium_server tools tests benchmarks examples
check "layers" lint-imports --no-logo
check "proto format" buf format --diff --exit-code
check "proto lint" buf lint
check "proto breaking changes" breaking
check "generated code" tools/generate.sh --check

if ((${#failed[@]})); then
    printf 'failed: %s\n' "${failed[*]}" >&2
    exit 1
fi
echo "all checks passed"
