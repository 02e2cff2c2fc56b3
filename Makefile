# Everything a checkout needs. Each target makes the virtual environment in .venv by itself, with the versions of
# constraints.txt, and again when pyproject.toml or constraints.txt change. Nothing outside the checkout is touched.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# A node starts several times faster from compiled modules, so children may write them.
unexport PYTHONDONTWRITEBYTECODE

PY := .venv/bin/python
READY := .venv/.ready
INSTALLED := --editable '.[fast,wasm,cbor]' --group dev
SOURCES := bocc node consensus state p2p tee
PYTHON ?=
JOBS ?= 2
MINUTES ?= 30
ROUNDS ?= 20
SECONDS_EACH ?= 60
ATHERIS := atheris==3.0.0

# Variables of the simulation, passed on if given: make sim SEED=17, make sim SEEDS=300 HEIGHTS=100 FIRST=1000
SIMULATION = $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(HEIGHTS),--heights $(HEIGHTS)) \
	$(if $(FIRST),--first $(FIRST))

# Tests that start processes and listen on ports: one after the other, after all others.
ALONE := tests/integration

.PHONY: help testnet test check format sim sim-mutants explore prove bench cover size fuzz fuzz-native soak soak-network lock clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

testnet: $(READY) ## Start a local network of four validators with money and JSON-RPC.
	.venv/bin/bocc testnet up $(ARGS)

test: $(READY) ## Run all tests: first those inside one process, then those with real networks.
	$(PY) -m pytest tests -n $(JOBS) --dist worksteal $(addprefix --ignore=,$(ALONE)) $(ARGS)
	$(PY) -m pytest -n 0 $(ALONE) $(ARGS)

check: $(READY) ## Run all static checks: style, format, types, imports, dead code, dependencies, spelling.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/vulture
	.venv/bin/deptry .
	.venv/bin/codespell

format: $(READY) ## Format the code and mend what ruff can mend.
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

sim: $(READY) ## Simulate whole networks from seeds: SEED=17, or SEEDS=300 HEIGHTS=100 FIRST=1.
	$(PY) -m tests.simulation $(SIMULATION) $(ARGS)

sim-mutants: $(READY) ## Break each rule of the protocol and see that the simulation notices.
	$(PY) -m tests.simulation.mutants $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

explore: $(READY) ## Search all short schedules of a small network.
	$(PY) -m tests.simulation.explore $(ARGS)

prove: $(READY) ## Print the proof of safety, and a fork for each rule taken away.
	$(PY) -m tests.proof

bench: $(READY) ## Measure the figures that the documents name: ARGS="name ...".
	$(PY) -m bench $(ARGS)

cover: $(READY) ## Measure which branches the tests reach; the pages are in build/coverage.
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest tests -n 0 $(addprefix --ignore=,$(ALONE)) $(ARGS)
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage html --quiet --directory build/coverage
	.venv/bin/coverage report --skip-covered

size: ## Count lines of code per package.
	@for folder in $(SOURCES) tests bench; do \
	  find $$folder -name '*.py' -exec cat {} + | awk -v name=$$folder '{ all++ } NF && $$1 !~ /^#/ { code++ } \
	    END { printf "%-10s %6d lines, %6d neither blank nor comment\n", name, all, code }'; done
	@find $(SOURCES) -name '*.py' -exec cat {} + | awk '{ all++ } END { printf "%-10s %6d lines\n", "packages", all }'

fuzz: $(READY) ## Throw many more random inputs at parsers and laws than `make test` does: ROUNDS=20.
	$(PY) -m pytest tests/fuzz tests/property -n $(JOBS) -p tests.support.long_search --rounds $(ROUNDS) $(ARGS)

# The fuzzer follows branches of compiled code, so it has an environment of its own, in which only tee and what it needs are.
fuzz-native: build/fuzz-native/.ready ## Fuzz every reader of evidence with atheris, SECONDS_EACH=60, all or TARGETS="quote json".
	build/fuzz-native/environment/bin/python -m tests.fuzz.native --seconds $(SECONDS_EACH) $(TARGETS)

build/fuzz-native/.ready: $(READY) Makefile
	$(PY) -m venv --clear build/fuzz-native/environment
	build/fuzz-native/environment/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt msgspec cryptography $(ATHERIS)
	@touch $@

soak: $(READY) ## Simulate networks from seeds never used before, for MINUTES=30; stops at the first failure.
	@end=$$((SECONDS + 60 * $(MINUTES))); first=$${FIRST:-$$(date +%s)}; \
	while [ $$SECONDS -lt $$end ]; do \
	  $(PY) -m tests.simulation --seeds 20 --first $$first $(ARGS); first=$$((first + 20)); done

soak-network: $(READY) ## Kill, freeze, cut and wipe nodes of a real network under load, for MINUTES=30.
	$(PY) -m tests.integration.soak --minutes $(MINUTES) $(ARGS)

lock: $(READY) ## Write constraints.txt anew, with the newest versions that pyproject.toml allows.
	$(PY) -m venv --clear build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check $(INSTALLED)
	{ grep '^#' constraints.txt; build/lock/bin/python -m pip freeze --exclude-editable --exclude setuptools; } \
	  > build/lock/constraints.txt
	mv build/lock/constraints.txt constraints.txt
	rm -rf build/lock

clean: ## Remove the virtual environment, caches and build results; chain data of networks stay.
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
	find $(SOURCES) tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# The first Python that runs, is 3.11 or 3.12, and can make virtual environments. A name on the PATH proves nothing:
# version managers leave shims that only print an error.
$(READY): pyproject.toml constraints.txt
	@usable='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))'; \
	if ! $(PY) -c "$$usable" >/dev/null 2>&1; then \
	  found=; \
	  for name in $(or $(PYTHON),python3.12 python3.11 python3); do \
	    if "$$name" -c "$$usable" >/dev/null 2>&1; then found=$$name; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "bocc needs Python 3.11 or 3.12 with the modules venv and ensurepip; none of these is one:" \
	      "$(or $(PYTHON),python3.12 python3.11 python3)." >&2; \
	    echo "Install one (for Debian and Ubuntu: apt install python3.11-venv), or name it: make PYTHON=/path/to/python" >&2; \
	    exit 1; \
	  fi; \
	  echo "Making .venv with $$("$$found" --version)"; \
	  "$$found" -m venv --clear .venv; \
	fi
	@echo "Installing into .venv"
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(INSTALLED)
	@touch $(READY)
