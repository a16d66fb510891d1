# Everything a person types. The only things needed beforehand: make, and Python 3.11, 3.12 or 3.13 with venv.
.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint format docs bench clean

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$python && break; \
	done)
READY := $(VENV)/.ready

help: ## Show the commands.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Install everything into .venv (the other commands do it too).

$(READY): pyproject.toml $(wildcard constraints/*.txt) scripts/setup.sh
	@sh scripts/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(READY) ## Carry a catalogue through the gate into Cloudshelf, in real Airflow, once. Then read the summary.
	@$(BIN)/python scripts/demo.py

up: $(READY) ## Leave Airflow running with its UI and simulated traffic, until Ctrl-C.
	@$(BIN)/python scripts/demo.py --keep

test: $(READY) ## Run the tests.
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(TESTS)

lint: $(READY) ## Check style, types, layers, and that generated documents are up to date.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/generate_docs.py --check

format: $(READY) ## Mend what can be mended automatically.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY) ## Write the generated documents anew.
	@$(BIN)/python scripts/generate_docs.py

bench: $(READY) ## Run the benchmarks and print ratios to the floor.
	@$(BIN)/python -m benchmarks

clean: ## Remove what demo and up left behind (not .venv).
	@rm -rf .demo .up
