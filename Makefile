# Rapport. Needs Python 3.11 and make; everything else is installed into folders of this checkout.
.DEFAULT_GOAL := help
SHELL := /bin/bash -euo pipefail
MAKEFLAGS += --no-print-directory

UV := .venv/bin/uv
INSTALL := pip install --quiet
TOX := .venv/bin/tox
RAPPORT := .venv-run/bin/rapport
MEMBERS := contracts chassis privacy testing consent identity churn pricing notification local e2e
LONGEST_FIRST := e2e identity consent local churn chassis notification
PROJECTS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml)
TABLES := consent gate ingest churn pricing notification
SCALE ?= small
COMMA := ,

# Else each of the many processes of a test compiles every module anew.
unexport PYTHONDONTWRITEBYTECODE
export UV_CONSTRAINT := $(CURDIR)/requirements.lock
export UV_BUILD_CONSTRAINT := $(CURDIR)/requirements.lock

.PHONY: help demo up test test-contracts check lint types imports prove bench proto lock format written dev clean

help: ## Lists what make can do.
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv-run/ready ## Runs the main job on real PostgreSQL and NATS and shows what happened.
	@$(RAPPORT) demo

up: .venv-run/ready ## Starts the whole suite on this machine; Ctrl-C stops it.
	@$(RAPPORT) up

test: $(addprefix test-,$(MEMBERS)) ## Runs every test, each member alone in its own environment.

test-%: .venv/ready ## Runs one member's tests, for example test-consent.
	@$(TOX) run -q -e $* -- --scale=$(SCALE) $(OPTIONS)

check: .venv/ready ## Runs all that a change must pass: lint, types, import rules, contracts, every test.
	@$(MAKE) --jobs=3 --output-sync --keep-going OPTIONS="-q -n 0" types $(addprefix test-,$(LONGEST_FIRST) $(filter-out $(LONGEST_FIRST),$(MEMBERS))) imports lint

test-contracts: .venv/ready
	@.venv/bin/pytest -q -n 2 tests/contracts --scale=$(SCALE) $(OPTIONS)

lint: .venv/ready ## Looks for faults in style, and for what is written from the code and no longer true to it.
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --quiet --check
	@for tables in $(TABLES); do .venv/bin/python tools/tables.py $$tables --check; done
	@.venv/bin/python tools/catalogue.py --check

types: .venv/ready ## Checks types.
	@.venv/bin/mypy $(if $(CI),--cache-dir=/dev/null)

imports: .venv/ready ## Checks who may import whom, wheels, and what is deployed.
	@.venv/bin/lint-imports
	@.venv/bin/pytest -q -n 2 tests/imports tests/deploy --scale=$(SCALE) $(OPTIONS)

prove: .venv/ready ## Runs the heavy tests at full scale, resumable; figures go to build/prove.
	@$(TOX) run -q -e $(subst $() ,$(COMMA),$(filter-out contracts local,$(MEMBERS))) -- --scale=full -n 0

bench: bench-consent bench-gate bench-privacy bench-identity bench-churn bench-pricing bench-notification bench-pipeline ## Measures speed against floors in the same run; tables, and build/bench.

bench-%: .venv/ready ## Measures one service, for example bench-consent.
	@$(TOX) run -q -e bench-$*

proto: .venv/ready ## Generates the stubs in libs/contracts from proto/.
	@.venv/bin/python tools/proto.py generate

lock: ## Resolves every dependency again into requirements.lock.
	@tools/uv .venv
	@env -u UV_CONSTRAINT -u UV_BUILD_CONSTRAINT $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --no-header $(foreach m,$(MEMBERS),--no-emit-package rapport-$m) --output-file requirements.lock requirements.in

format: .venv/ready ## Formats the code and mends what lint can mend.
	@.venv/bin/ruff check --fix-only
	@.venv/bin/ruff format

written: .venv/ready ## Writes what is written from the code: tables, the catalogue, manifests, dashboards.
	@for tables in $(TABLES); do .venv/bin/python tools/tables.py $$tables; done
	@.venv/bin/python tools/catalogue.py
	@.venv/bin/python tools/manifests.py

dev: .venv/ready ## Installs every member and tool into .venv, for an editor.

clean: ## Removes what was built, installed or left behind.
	@rm -rf .venv .venv-run .tox build .rapport .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/ready: requirements.lock requirements.in tools/uv $(PROJECTS)
	@echo "installing (once) ..."
	@tools/uv .venv
	@$(UV) $(INSTALL) --python .venv --no-deps --require-hashes --requirement requirements.lock
	@$(UV) $(INSTALL) --python .venv --no-deps --no-build-isolation $(addprefix --editable ,$(dir $(PROJECTS)))
	@touch $@

.venv-run/ready: requirements.lock tools/uv $(PROJECTS)
	@echo "installing (once) ..."
	@tools/uv .venv
	@$(UV) venv --quiet --allow-existing .venv-run
	@$(UV) $(INSTALL) --python .venv-run $(addprefix --editable ,$(dir $(PROJECTS)))
	@touch $@
