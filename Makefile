.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := schemas $(sort $(wildcard libs/*)) $(sort $(wildcard services/*))
OWN := $(foreach package,$(PACKAGES),$(wildcard $(package)/patchline_*))
PYTEST := $(BIN)/python -m pytest
# Tests and demo start hundreds of processes, so a module is compiled once, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

include infra/native/native.mk

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## make .venv with the patchline command in it

$(VENV)/installed: requirements.lock $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Patchline needs Python 3.11 or newer, and $(PYTHON) is older. Say PYTHON=... to use another." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES))
	@touch $@

demo: install $(if $(KAFKA),native-kafka) ## keep a small fleet of real applications patched (KAFKA=1: over real Kafka)
	$(BIN)/python -m patchline_demo $(if $(KAFKA),--kafka $(KAFKA_BOOTSTRAP))

test: install ## every test but the long forms; those on the native servers too where Java and Maven are there
	infra/with-native $(PYTEST) -n 3 --dist worksteal -m "not long" --durations 25 --durations-min 8

test-long: install ## the long forms of tests (ONLY=... as pytest's -k)
	infra/with-native $(PYTEST) -m long --timeout 1800 $(if $(ONLY),-k "$(ONLY)")

wheels: install ## fetch what the images are made from, to build and run them without network
	PYTHON=$(BIN)/python infra/docker/fetch-wheels

test-compose: install ## docker-compose.yml with containers, without network (Debian, root)
	infra/docker/test-compose

chaos: install ## updates while everything is killed, frozen and cut off (SEED=7 UPDATES=300, or DIR= to go on)
	PYTHONPATH=tests/support $(BIN)/python -m chaos \
	  $(if $(SEED),--seed $(SEED)) $(if $(UPDATES),--updates $(UPDATES)) $(if $(DIR),--dir "$(DIR)")

bench: install ## speed, as ratios with a reference in the same run
	infra/with-native $(BIN)/python -m tests.bench

lint: install ## ruff: style and formatting
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .

types: install ## mypy --strict on what we own
	$(BIN)/mypy $(OWN)

schemas: install ## write the catalog of events into schemas/exported
	$(BIN)/python -m patchline_kit.catalog write schemas

schemas-release: install ## keep the exported catalog as a version that consumers are built on
	$(BIN)/python -m patchline_kit.catalog release schemas

schemas-check: install ## fail where the catalog is not what the code says, or not what a consumer can read
	$(BIN)/python -m patchline_kit.catalog check schemas
	$(BIN)/python -m patchline_kit.event_pages check docs

docs: install ## write the pages of all events from the code and check every link
	$(BIN)/python -m patchline_kit.event_pages write docs
	$(PYTEST) -q tests/unit/docs/test_links.py

clean: ## remove .venv and all that was made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .demo

.PHONY: help install demo test test-long wheels test-compose chaos bench lint types schemas schemas-release schemas-check docs clean
