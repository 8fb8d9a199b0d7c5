# Two commands do all the set-up: `make repro` runs the experiment, `make test` the tests.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONWARNINGS ?= ignore::SyntaxWarning

.PHONY: repro test lint format lock real-speech clean
.DEFAULT_GOAL := repro

repro: $(READY)  ## run the stages that changed
	dvc repro
	@echo 'Results: reports/summary.md, figures in reports/figures/.'

test: $(READY)  ## run the tests
	python -m pytest

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

format: $(READY)
	ruff check --fix .
	ruff format .

# Created from the lock; remade when the lock changes, finished when an earlier attempt broke off.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11, 4) or sys.exit(f"Python >= 3.11.4 is needed, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lock:  ## resolve requirements.lock anew (needs uv)
	uv pip compile --universal --generate-hashes --no-header --no-annotate --all-extras pyproject.toml -o requirements.lock

clean:  ## remove what can be made again; DVC's cache stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache *.egg-info
