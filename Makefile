# Every target does its own set-up: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo up lint check test test-programs test-slow chaos bench bench-scale proto lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the environment in .venv (does nothing if it is there)

$(STAMP): requirements.lock pyproject.toml weights/pyproject.toml
	@scripts/setup $(PYTHON) $(VENV)
	@touch $@

demo: setup ## See the whole system work on a gallery that it draws itself
	@$(BIN)/landmarks demo

up: setup ## Run the whole stack on this machine until Ctrl-C
	@$(BIN)/landmarks up

lint: setup ## Lint, formatting, words, layers and strict types
	@PATH="$(abspath $(BIN)):$$PATH" scripts/check

check: lint ## Lint and the unit tests: before each commit
	@PATH="$(abspath $(BIN)):$$PATH" scripts/test unit

test: setup ## All tests but the slow, on real engines
	@PATH="$(abspath $(BIN)):$$PATH" scripts/test

test-programs: setup ## The tests that need Chromium, kubectl, Node.js or promtool
	@PATH="$(abspath $(BIN)):$$PATH" scripts/test programs

test-slow: setup ## The tests that take minutes or gigabytes, as what images install
	@PATH="$(abspath $(BIN)):$$PATH" scripts/test slow

chaos: setup ## Kill every part while 2,000 photos are indexed; takes twenty minutes
	@PATH="$(abspath $(BIN)):$$PATH" LANDMARKS_CHAOS=long pytest -m chaos

bench: setup ## Measure into bench.json and docs/benchmarks.md; ONLY=serve-1: a part; PHOTOS=DIR
	@PATH="$(abspath $(BIN)):$$PATH" python -m benchmarks --table docs/benchmarks.md \
	  --only "$(ONLY)" $(if $(PHOTOS),--photos "$(PHOTOS)")

bench-scale: setup ## Measure up to a million vectors, for hours; ONLY=scale-1-10k: a part
	@PATH="$(abspath $(BIN)):$$PATH" python -m benchmarks --table docs/benchmarks.md \
	  --only "$(or $(ONLY),scale)"

proto: setup ## Generate stubs, the synchronous client and docs/api.md again
	@PATH="$(abspath $(BIN)):$$PATH" python scripts/generate_stubs.py
	@PATH="$(abspath $(BIN)):$$PATH" python scripts/generate_sync_client.py
	@PATH="$(abspath $(BIN)):$$PATH" python scripts/generate_api_reference.py

lock: setup ## Pin the newest versions that pyproject.toml admits
	@$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	  --no-header --extra dev --output-file requirements.lock pyproject.toml
