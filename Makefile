# SPDX-License-Identifier: Apache-2.0
#
# `make test` is everything that must hold; each of its steps is a target of its own. `make help` lists them.
# Needs Python 3.11 or newer and make. Everything else is installed into .venv, at the versions in constraints.txt.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

comma := ,
space := $() $()

# The modules whose every line and branch the tests must take: the core, the catalog, every sans-IO protocol.
FULLY_COVERED := \
    src/heliograph/*.py \
    src/heliograph/catalog/** \
    src/heliograph/metrics/** \
    src/heliograph/modboss/codecs/** \
    $(foreach part,definition errors fields files mapping schema,src/heliograph/modboss/$(part).py) \
    $(foreach part,answer caching calls decoding operations options plan planner prepared reading refusals retrying splitting writing,\
        src/heliograph/modboss/$(part).py) \
    $(foreach part,config connection core delivery detecting detection effects identity inputs membership mesh peers remote streams,\
        src/heliograph/partisan/protocol/$(part).py) \
    $(foreach part,counting overlaid partners states trees witnesses,src/heliograph/partisan/protocol/$(part).py) \
    $(foreach part,broadcasting causal plumtree relay,src/heliograph/partisan/protocol/$(part).py) \
    src/heliograph/partisan/protocol/overlay/** \
    $(foreach part,experiments graphs network places plots report scale scenario schedules,\
        src/heliograph/partisan/simulator/$(part).py) \
    src/heliograph/partisan/faults.py \
    $(foreach part,pace parsing sources,src/heliograph/partisan/discovery/$(part).py) \
    src/heliograph/partisan/wire/** \
    $(foreach part,catalogs feed http shapes viewer,src/heliograph/apps/demo/web/$(part).py)

# The page of the catalog format is made from the table that the loader goes by; a test compares them.
FORMAT_PAGE := 'from pathlib import Path; from heliograph.catalog import format_reference; \
    Path("docs/reference/catalog-format.md").write_text(format_reference(), encoding="utf-8")'

# So is the page of the gateway's file.
GATEWAY_PAGE := 'from pathlib import Path; from heliograph.apps.gateway import format_reference; \
    Path("docs/reference/gateway-file.md").write_text(format_reference(), encoding="utf-8")'

DEMO_EXTRAS := gateway

# Options for one run: make unit ARGS="tests/test_telemetry.py -k span"
ARGS :=

# Processes that share the tests. Many of these wait for a socket or a process, so that a few more than there are
# processors have something to do. Each measures its own coverage from its start (see tests/conftest.py).
WORKERS := 3

VENV := .venv
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check -qq
PINS := -c constraints.txt

# Pyright comes with its JavaScript and its Node.js as packages; it need not ask the network for news of itself.
# It looks at the environment of the first python on the PATH.
PYRIGHT := PATH="$(CURDIR)/$(BIN):$$PATH" PYRIGHT_PYTHON_IGNORE_WARNINGS=1 pyright

# The first interpreter that is new enough and can make a virtual environment.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
    "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    && { echo "$$python"; break; }; done)

BASE := $(VENV)/.base
DEV  := $(VENV)/.dev

.PHONY: help test lint format types layers unit coverage generated generated-check docs bench simulate load soak demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: lint types layers unit coverage generated-check docs ## everything below, in this order
	@echo "make test: all is well"

lint: $(DEV) ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(DEV) ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(DEV) ## mypy strict; pyright: complete types of the public names
	$(BIN)/mypy
	$(PYRIGHT) --verifytypes heliograph --ignoreexternal

layers: $(DEV) ## who may import whom
	$(BIN)/lint-imports --no-logo

unit: $(DEV) ## the tests, with branch coverage; ARGS="tests/x.py -k name" narrows them
	@rm -f .coverage .coverage.*
	COVERAGE_PROCESS_START="$(CURDIR)/pyproject.toml" $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)
	@$(BIN)/coverage combine -q

coverage: $(DEV) ## report of the last run of the tests, and the gate
	$(BIN)/coverage report
	@echo "Every line and branch of these must be taken:"
	$(BIN)/coverage report --fail-under=100 --include='$(subst $(space),$(comma),$(strip $(FULLY_COVERED)))'

generated: $(DEV) ## write again what is generated from the catalogs
	$(BIN)/python -m heliograph catalog generate
	$(BIN)/python -c $(FORMAT_PAGE)
	$(BIN)/python -c $(GATEWAY_PAGE)

generated-check: $(DEV) ## fail where a generated file differs from its catalog, or a catalog is at fault
	$(BIN)/python -m heliograph catalog generate --check
	$(BIN)/python -m heliograph catalog check --strict

docs: $(DEV) ## the site, in docs/_build/html; every reference resolves
	$(BIN)/sphinx-build -n -W --keep-going -q -b html docs docs/_build/html

bench: $(DEV) $(VENV)/.rivals ## the ratio tables, and their page in docs/; ARGS="--only core" for some of them
	$(BIN)/python -m benchmarks --results docs/benchmarks.json $(ARGS)

simulate: $(DEV) ## the tables and plots of ten thousand nodes; ARGS="failures" for one of them
	$(BIN)/python -m benchmarks.simulations $(ARGS)

load: $(DEV) ## one gateway with a hundred devices, for half an hour; ARGS="--minutes 5"
	$(BIN)/python -m benchmarks.gateway --report docs/load.md $(ARGS)

soak: $(DEV) ## a fleet of gateways with faults, for half an hour; ARGS="--minutes 5"
	$(BIN)/python -m benchmarks.gateway.soak --report docs/soak.md $(ARGS)

demo: $(VENV)/.demo ## a fleet of gateways at work, for a minute; ARGS="--seconds 20"
	@$(BIN)/python -m heliograph demo $(ARGS)

clean: ## remove .venv and whatever was built
	rm -rf $(VENV) build dist docs/_build htmlcov .coverage .coverage.* \
	    .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# Stamps: an environment is brought up to date when what it is made from has changed.

$(BASE): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { \
	    echo "heliograph needs Python 3.11 or newer with its venv module, as python3.11 or python3 on the PATH;" >&2; \
	    echo "another interpreter can be named: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Preparing $(VENV) with $(PYTHON)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install $(PINS) --upgrade pip
	@$(PIP) install $(PINS) --group build
	@touch $@

$(DEV): $(BASE)
	@echo "Installing the pinned dependencies into $(VENV)"
	@$(PIP) install $(PINS) --no-build-isolation -e '.[all]' --group dev
	@touch $@ $(VENV)/.demo

$(VENV)/.rivals: $(DEV)
	@$(PIP) install $(PINS) --group rivals
	@touch $@

$(VENV)/.demo: $(BASE)
	@$(PIP) install $(PINS) --no-build-isolation -e '.[$(DEMO_EXTRAS)]'
	@touch $@
