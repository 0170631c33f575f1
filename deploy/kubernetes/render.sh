#!/usr/bin/env bash
# Renders the bootstrap of the Envoys in base/: what the contract says about methods and retries, and where things are here.
set -euo pipefail
cd "$(dirname "$0")/../.."
python -m deploy.envoy \
    --replica trivium-server:50051 \
    --listen 0.0.0.0:8443 \
    --tls-certificate /etc/envoy/tls/tls.crt --tls-private-key /etc/envoy/tls/tls.key \
    --upstream-name trivium-server --upstream-ca /etc/envoy/upstream/ca.crt \
    --upstream-certificate /etc/envoy/upstream/tls.crt --upstream-private-key /etc/envoy/upstream/tls.key \
    --probe-listen 0.0.0.0:9902
