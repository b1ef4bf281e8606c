# Needs python3 (3.11 or later) and make; everything else comes from the package index.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed

.PHONY: demo test test-next lint bench format clean

demo: $(READY)        ## what it does, on sample data
	@$(BIN)/gputape demo

test: $(READY)        ## the whole suite
	$(BIN)/pytest -n auto

test-next:            ## the same suite on DuckDB 2, in an environment of its own
	@test -x .venv-next/bin/python || $(PYTHON) -m venv .venv-next
	@.venv-next/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' 'duckdb==2.0.0'
	.venv-next/bin/pytest -n auto

lint: $(READY)        ## ruff, mypy strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)       ## ratios, measured in one run
	$(BIN)/pip install --quiet gpuhunt==0.1.34
	$(BIN)/python bench/run.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gputape needs Python 3.11 or later, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,lake]'
	@touch $(READY)

clean:
	rm -rf .venv .venv-next build *.egg-info .pytest_cache .mypy_cache .ruff_cache
