# `make demo`, `make test` and `make lint` create the virtual environment themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA := $(wildcard ../shared/data)

# Tests of real images take them from LIPSORT_DATA, and are skipped without.
ifneq ($(DATA),)
export LIPSORT_DATA ?= $(abspath $(DATA))
endif

.PHONY: help demo test test-all lint format docs wheel clean

help:
	@echo "make demo      train, certify and compare two classifiers on digits (under a minute)"
	@echo "make test      the tests; make test-all also runs the slow ones"
	@echo "make lint      ruff and mypy; make format repairs what ruff can"
	@echo "make docs      the documentation as a site, in site/"
	@echo "make wheel     build dist/*.whl"

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python benchmarks/demo.py

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow"

test-all: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python docs/reference.py
	$(BIN)/zensical build --strict --clean

wheel: $(STAMP)
	$(BIN)/python -m build --wheel

clean:
	rm -rf dist build site docs/reference .pytest_cache .mypy_cache .ruff_cache
