#!/usr/bin/env bash
# Generates everything that follows from the contract. With --check: fails when what is committed is not current.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in go npm; do
    command -v "$tool" >/dev/null || { echo "generating code needs Go and Node; there is no $tool" >&2; exit 1; }
done
make --silent --directory clients/typescript node_modules
out=.
if [[ ${1:-} == --check ]]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
buf generate --output "$out"
buf generate --template buf.gen.typescript.yaml --output "$out"
if [[ $out == . ]]; then
    python -m tools.generate_errors
else
    stale=0
    python -m tools.generate_errors --check || stale=1
    while IFS= read -r -d '' file; do
        cmp --silent "$out/$file" "$file" || { echo "stale: $file" >&2; stale=1; }
    done < <(cd "$out" && find . -type f -print0)
    # A generated file whose source is gone is stale too.
    while IFS= read -r file; do
        [[ -e $out/$file ]] || { echo "orphan: $file" >&2; stale=1; }
    done < <(git ls-files -co --exclude-standard '*_pb2.py' '*_pb2.pyi' '*_pb2_grpc.py' '*_pb2_grpc.pyi' '*.pb.go' '*_pb.ts')
    ((stale == 0)) || { echo "generated code is not current: run make generate" >&2; exit 1; }
fi
