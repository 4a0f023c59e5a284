# Targets for people and for CI. PYTHON must be 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SEED ?= 1
OUT ?= demo-out

.PHONY: help demo test check format bench venv venv-dev node clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv  ## the whole path on embedded parts, Python alone
	$(BIN)/lading demo --seed $(SEED) --out $(OUT)

test: venv-dev node  ## set up what tests need, and run them
	$(BIN)/python -m pytest

check: venv-dev node  ## format, lint, types, imports, generated files unchanged
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) -C contracts check

format: venv-dev  ## rewrite files in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv-dev  ## benchmarks, each beside a named peer
	$(BIN)/python -m benchmarks

venv: $(VENV)/.installed
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lading needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

venv-dev: $(VENV)/.installed-dev
$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

node: contracts/node_modules/.installed
contracts/node_modules/.installed: contracts/package-lock.json
	@if command -v npm >/dev/null; then \
	  npm ci --prefix contracts --ignore-scripts --no-audit --no-fund --silent && touch $@; \
	elif [ "$$CI" = true ]; then echo "npm is missing: the contracts cannot be built or tested" >&2; exit 1; \
	else echo "npm is missing: tests of contracts, anvil and JavaScript will be listed as skipped"; fi

clean:  ## remove what builds left
	rm -rf build dist demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis contracts/out contracts/cache
