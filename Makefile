# make quickstart   install into .venv and run the first experiment (CPU, a few minutes)
# make test         install into .venv and run the default tests
# make integration  install into .venv and run the tests against real SLURM and Ray clusters (Debian packages, root)
# make check        format, lint, types and unit tests
# make help         this list

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help install quickstart test integration check clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

install: $(VENV)/.installed

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: no python3 found; install Python 3.11, 3.12 or 3.13" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 to 3.13; name another one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: $(PYTHON) cannot create virtual environments; on Debian: apt-get install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

quickstart: install
	$(BIN)/oneshot run experiments/quickstart.py

test: install
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

integration: install
	$(BIN)/python -m pytest -m cluster -n 2 --dist loadfile tests/integration # they wait more than they compute

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --maxprocesses 8 tests/unit

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
