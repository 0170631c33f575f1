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

# The contract on the main branch is the one that clients rely on. On the main branch itself, what it was before its last
# change. Before the second change there is nothing to compare with.
breaking() {
    local base
    base=$(git rev-parse --verify --quiet origin/main || git rev-parse --verify --quiet main || true)
    if [[ -z $base || $base == "$(git rev-parse HEAD)" ]]; then
        base=$(git rev-list HEAD -- proto | sed -n 2p)
    fi
    if [[ -n $base ]] && git cat-file -e "$base:buf.yaml" 2>/dev/null; then
        buf breaking --against ".git#ref=$base"
    else
        echo "         no earlier contract to compare with"
    fi
}

go_format() {
    local unformatted
    unformatted=$(git ls-files '*.go' | xargs gofmt -l)
    [[ -z $unformatted ]] || ! echo "$unformatted"
}

check "python format" ruff format --check --quiet .
check "python lint" ruff check --quiet .
check "python types" mypy --no-error-summary clients/python/trivium clients/python/conformance models/trivium_models service/trivium_server deploy tools tests trials benchmarks examples
check "layers" lint-imports --no-logo
check "go format" go_format
check "proto format" buf format --diff --exit-code proto
check "proto lint" buf lint
check "proto breaking changes" breaking
check "generated code" tools/generate.sh --check

if ((${#failed[@]})); then
    printf 'failed: %s\n' "${failed[*]}" >&2
    exit 1
fi
echo "all checks passed"
