# make help lists the targets. Everything runs in .venv, made on first use (about a minute).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed.stamp
LINTED := dist/lint

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint bench clean

help:
	@echo "make demo    train a small network, build it for ultra96, prove it equal in Verilator"
	@echo "make test    run all tests"
	@echo "make lint    ruff, mypy, and Verilator's lint over all Verilog"
	@echo "make bench   measure and write benchmarks/RESULTS.md"
	@echo "make clean   remove .venv and caches"
	@echo
	@echo "Needs Python 3.11 or newer (PYTHON=$(PYTHON)), g++, make and perl; the rest comes from PyPI."

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hwgen needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	    "Try: make PYTHON=python3.12" >&2; exit 1; }
	@for tool in g++ perl; do command -v $$tool >/dev/null || \
	  { echo "hwgen needs $$tool to simulate; on Debian or Ubuntu: apt install g++ make perl" >&2; exit 1; }; done
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/hwgen demo

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	for model in examples/models/*.onnx; do \
	  $(BIN)/hwgen build $$model --board ultra96 --target-fps 1000 --out $(LINTED)/$$(basename $$model .onnx) --json \
	    >/dev/null || exit 1; done
	$(BIN)/python -m hwgen.build.lint $$(find rtl_templates -name '*.v') $(LINTED)/*/rtl

bench: $(STAMP)
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
