# Two commands do all the set-up: `make repro` runs the experiment, `make test` the tests.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
ON_ALL_CORES := -n auto --dist loadfile --no-loadscope-reorder
export PYTHONWARNINGS ?= ignore::SyntaxWarning

.PHONY: venv repro kmeans-audio test test-share test-docs docs lint format lock clean
.DEFAULT_GOAL := repro

venv: $(READY)  ## the environment alone

repro: $(READY)  ## run the stages that changed
	dvc repro
	@echo 'Results: reports/index.html, the same as Markdown in reports/summary.md.'

kmeans-audio: $(READY)  ## run the stages of the second system that changed
	dvc repro kmeans-audio/dvc.yaml
	@echo 'Results: reports/kmeans-audio/summary.md, figures beside it, sound in data/kmeans-audio/listen/.'

test: $(READY)  ## run the tests
	python -m pytest $(ON_ALL_CORES)

test-share: $(READY)  ## run those of sharing: servers, clones, faults
	python -m pytest $(ON_ALL_CORES) -m "not flow" tests/share

test-docs: $(READY)  ## run all commands of docs/tutorial.md, howto.md and compare.md, 10 minutes
	python -m pytest $(ON_ALL_CORES) -m flow tests/share

docs: $(READY)  ## build the pages of the API
	python docs/api.py site
	@echo 'API: site/index.html'

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
	rm -rf $(VENV) site .pytest_cache .ruff_cache .mypy_cache *.egg-info
