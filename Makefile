# Targets for people and for CI. PYTHON must be 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := uv pip compile pyproject.toml --extra all --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header --quiet
SEED ?= 1
OUT ?= demo-out

.PHONY: help demo test check format lock lock-add bench bench-peers venv venv-dev venv-train node servers clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv  ## the whole path on embedded parts, Python alone
	$(BIN)/lading demo --seed $(SEED) --out $(OUT)

test: venv-dev node servers  ## set up what tests need, and run them
	$(BIN)/python -m pytest

check: venv-dev node  ## format, lint, types, imports, generated files unchanged
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/lading dashboards build --check
	$(MAKE) -C contracts check

lock: venv-dev  ## choose the newest versions that fit, with their hashes
	$(BIN)/$(LOCK) --upgrade --output-file requirements.lock
	$(BIN)/$(LOCK) --upgrade --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(BIN)/$(LOCK) --upgrade --group dev --group bench --constraint requirements-dev.lock --output-file requirements-bench.lock
	$(BIN)/$(LOCK) --upgrade --extra train --constraint requirements.lock --output-file requirements-train.lock

lock-add: venv-dev  ## after a change of pyproject.toml: lock what is new, leave the rest
	$(BIN)/$(LOCK) --output-file requirements.lock
	$(BIN)/$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(BIN)/$(LOCK) --group dev --group bench --constraint requirements-dev.lock --output-file requirements-bench.lock
	$(BIN)/$(LOCK) --extra train --constraint requirements.lock --output-file requirements-train.lock

format: venv-dev  ## rewrite files in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv-dev  ## benchmarks, each beside a named peer
	$(BIN)/python -m benchmarks

bench-peers: venv-dev  ## other detectors, for `python -m benchmarks detection`
	$(PIP) --require-hashes --requirement requirements-bench.lock

venv: $(VENV)/.installed
$(VENV)/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lading needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --requirement requirements.lock
	$(PIP) --no-deps --editable .
	$(BIN)/python -m demo.warm
	@touch $@

venv-dev: $(VENV)/.installed-dev
$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	$(PIP) --require-hashes --requirement requirements-dev.lock
	@touch $@

venv-train: $(VENV)/.installed-train  ## and what trains the forecaster: torch, 6 GB
$(VENV)/.installed-train: requirements-train.lock $(VENV)/.installed
	$(PIP) --require-hashes --requirement requirements-train.lock
	@touch $@

node: contracts/node_modules/.installed
contracts/node_modules/.installed: contracts/package-lock.json
	@if command -v npm >/dev/null; then \
	  npm ci --prefix contracts --ignore-scripts --no-audit --no-fund --silent && touch $@; \
	elif [ "$$CI" = true ]; then echo "npm is missing: the contracts cannot be built or tested" >&2; exit 1; \
	else echo "npm is missing: tests of contracts, anvil and JavaScript will be listed as skipped"; fi

servers:  ## the real servers that tests start, in a cache outside the checkout
	@tests/services/real/install.sh

clean:  ## remove what builds left
	rm -rf build dist demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis contracts/out contracts/cache
