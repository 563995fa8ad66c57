# make demo   the whole way on real images: convert, evaluate, pack, benchmark, report
# make test   every test, under this Python and under Python 3.8
# make check  lint, types, import rules
# make bench  regenerate the tables under benchmarks/
#
# Each target sets up what it needs: a virtual environment in .venv with pinned versions,
# rebuilt only when the pins or the package metadata change.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python >= 3.10 on the machine; PYTHON=... overrides.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.10 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$name" && break; done)
# A Python 3.8, as JetPack 5 has it: on the PATH or among pyenv's. None is an answer.
PYTHON38 ?= $(shell for name in python3.8 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.8*/bin/python3.8; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 8))' 2>/dev/null && echo "$$name" && break; done)

DEMO_OUT ?= demo-output
DEMO_FLAGS ?=
PYTEST_FLAGS ?=

VENV := .venv/.ready
VENV38 := .venv38/.ready
PIP := -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test test-main test-py38 check bench clean
help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV) ## Convert, evaluate, pack, benchmark and report on the shipped network
	.venv/bin/gdws demo --out $(DEMO_OUT) $(DEMO_FLAGS)

test: test-main test-py38 ## Run every test

test-main: $(VENV)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest $(PYTEST_FLAGS)

# The contract and the agent once more, under the interpreter and the versions of JetPack 5.
ifeq ($(strip $(PYTHON38)),)
test-py38:
	@echo "SKIPPED: contract and agent tests under Python 3.8: no Python 3.8 found (PYTHON38=/path/to/python3.8 names one)"
else
test-py38: $(VENV38)
	.venv38/bin/python -m pytest $(PYTEST_FLAGS) tests/contract tests/device
endif

check: $(VENV) ## Lint, types and import rules
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy host/gdws device/gdws_contract device/gdws_agent
	.venv/bin/lint-imports --no-cache

bench: $(VENV) ## Regenerate every table under benchmarks/
	missed=""
	for script in benchmarks/*/run.py; do
	    echo "== $$script"; .venv/bin/python "$$script" || missed="$$missed $$script"
	done
	if [ -n "$$missed" ]; then echo "missed their target:$$missed" >&2; exit 1; fi

clean: ## Remove environments, caches and demo output
	rm -rf .venv .venv38 $(DEMO_OUT) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find host device tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): host/constraints.txt host/pyproject.toml device/pyproject.toml tests/tensorrt-builder.txt
	@if [ -z "$(PYTHON)" ]; then
	    echo "error: no Python 3.10 or newer found; install one or name it with PYTHON=/path/to/python" >&2; exit 2
	fi
	echo "setting up .venv with $(PYTHON) (once; several minutes where torch must be downloaded)"
	"$(PYTHON)" -m venv --clear .venv
	.venv/bin/python $(PIP) -c host/constraints.txt -e 'device[onnxruntime]' -e 'host[dev]'
	.venv/bin/python $(PIP) --no-deps -r tests/tensorrt-builder.txt
	touch $@

$(VENV38): device/constraints/jetpack5.txt device/pyproject.toml
	@echo "setting up .venv38 with $(PYTHON38)"
	"$(PYTHON38)" -m venv --clear .venv38
	.venv38/bin/python $(PIP) --upgrade 'pip<25' 'setuptools<76'
	.venv38/bin/python $(PIP) -c device/constraints/jetpack5.txt -e 'device[onnxruntime,test]'
	touch $@
