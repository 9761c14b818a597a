# The commands of this project; `make help` lists them.
# Needs: make, and Python 3.11 or newer with its venv module. Nothing else, and no root.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := UV_PYTHON_DOWNLOADS=never $(BIN)/uv
SYNC := $(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements-dev.lock
# Two processes for tests suit two cores; `make test PYTEST_ARGS="-n 8"` suits eight.
PYTEST_ARGS ?=

.PHONY: help setup demo run stop test check schema messages bench auction-oracle lock clean

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

setup: $(STAMP) ## The virtual environment with the locked dependencies
	@:

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed: install python3, or name one: make PYTHON=python3.12 …"; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is needed (Debian: apt-get install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input uv
	@touch $@

$(STAMP): requirements-dev.lock $(VENV)/.uv
	@echo "installing the locked dependencies"
	@$(SYNC) 2>$(VENV)/sync.log || { echo "trying again with the system's certificates"; \
	  UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 $(SYNC); } || { cat $(VENV)/sync.log; exit 1; }
	@touch $@

demo: $(STAMP) ## The whole exchange at work on a day of Henan; KEEP=0 ends after the summary, TRACE=path replays a trace
	@TRACE="$(TRACE)" KEEP="$(KEEP)" $(BIN)/python -m demo

run: $(STAMP) ## Web, workers, beat and their servers, until Ctrl-C
	@$(BIN)/python -m exchangectl run

stop: $(STAMP) ## End what `make run` or `make demo` started in another terminal
	@$(BIN)/python -m exchangectl stop

test: $(STAMP) ## All tests, on servers of their own
	@env -u DJANGO_SETTINGS_MODULE $(BIN)/python -m pytest -n 2 --dist loadgroup -q $(PYTEST_ARGS)

check: $(STAMP) ## Formatting, lint, types, walls between rooms, migrations, schema
	@$(BIN)/python -m exchangectl.check

schema: $(STAMP) ## Write openapi.yaml afresh
	@$(BIN)/python -m exchangectl.check --write-schema

messages: $(STAMP) ## Collect and compile the translations (needs gettext)
	@$(BIN)/python -m exchangectl.check --write-messages

bench: $(STAMP) ## Figures as ratios to a reference in the same run; ONLY=room for one room's
	@ONLY="$(ONLY)" $(BIN)/python -m tests.bench

auction-oracle: $(STAMP) ## The call auction against a published market: DATA=folder (docs/auction.md)
	@DATA="$(DATA)" $(BIN)/python -m demo.auction_oracle

lock: $(VENV)/.uv ## Resolve the dependencies of pyproject.toml afresh
	@$(UV) pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-emit-package uv --custom-compile-command "make lock" \
	  --python-version 3.11 pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --upgrade --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" --group dev \
	  --python-version 3.11 pyproject.toml -c requirements.lock -o requirements-dev.lock
	@! grep -nE '://' requirements.lock requirements-dev.lock || \
	  { echo "a lock file names an address; it must not"; exit 1; }

clean: ## Remove the environment, the data and every cache (asks nothing)
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m exchangectl stop >/dev/null 2>&1 || true; fi
	@rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
