# Rapport. Needs Python 3.11 and make; everything else is installed into folders of this checkout.
.DEFAULT_GOAL := help
SHELL := /bin/bash -euo pipefail
MAKEFLAGS += --no-print-directory

UV := .venv/bin/uv
INSTALL := pip install --quiet
TOX := .venv/bin/tox
RAPPORT := .venv-run/bin/rapport
MEMBERS := contracts chassis privacy testing consent identity churn pricing notification local
LONGEST_FIRST := identity local churn consent e2e chassis
SCALE ?= small
COMMA := ,

export UV_CONSTRAINT := $(CURDIR)/requirements.lock
export UV_BUILD_CONSTRAINT := $(CURDIR)/requirements.lock

.PHONY: help demo up test check check-rules prove bench proto lock format written dev clean

help: ## Lists what make can do.
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv-run/ready ## Runs the main job on real PostgreSQL and NATS and shows what happened.
	@$(RAPPORT) demo

up: .venv-run/ready ## Starts the whole suite on this machine; Ctrl-C stops it.
	@$(RAPPORT) up

test: $(addprefix test-,$(MEMBERS)) ## Runs every test, each member alone in its own environment.

test-%: .tox/tools/ready ## Runs one member's tests, for example test-consent.
	@$(TOX) run -q -e $* -- --scale=$(SCALE)

check: .tox/tools/ready ## Runs all that a change must pass: lint, types, import rules, contracts, every test.
	@$(MAKE) --jobs=2 --keep-going check-rules $(addprefix test-,$(LONGEST_FIRST) $(filter-out contracts $(LONGEST_FIRST),$(MEMBERS)))

check-rules: .tox/tools/ready
	@$(TOX) run -q -e lint,types,imports,contracts

prove: .tox/tools/ready ## Runs the heavy tests at full scale, resumable; figures go to build/prove.
	@$(TOX) run -q -e $(subst $() ,$(COMMA),$(filter-out contracts local,$(MEMBERS))) -- --scale=full -n 0

bench: bench-consent bench-gate bench-identity bench-churn bench-pricing bench-notification ## Measures speed against floors in the same run; tables, and build/bench.

bench-%: .tox/tools/ready ## Measures one service, for example bench-consent.
	@$(TOX) run -q -e bench-$*

proto: .tox/tools/ready ## Generates the stubs in libs/contracts from proto/.
	@$(TOX) run -q -e proto

lock: .venv/ready ## Resolves every dependency again into requirements.lock.
	@env -u UV_CONSTRAINT -u UV_BUILD_CONSTRAINT $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --no-header $(foreach m,$(MEMBERS),--no-emit-package rapport-$m) --output-file requirements.lock requirements.in

format: .tox/tools/ready ## Formats the code and mends what lint can mend.
	@$(TOX) run -q -e format

written: .tox/tools/ready ## Writes what is written from the code: tables, the catalogue, manifests, dashboards.
	@$(TOX) run -q -e written

dev: .venv/ready ## Installs every member and tool into .venv, for an editor.
	@$(UV) $(INSTALL) --python .venv --requirement requirements.in

clean: ## Removes what was built, installed or left behind.
	@rm -rf .venv .venv-run .tox build .rapport .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/ready: requirements.lock tools/uv
	@tools/uv .venv
	@$(UV) $(INSTALL) --python .venv tox tox-uv
	@touch $@

.tox/tools/ready: .venv/ready requirements.in $(wildcard libs/*/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml)
	@echo "installing (once) ..."
	@$(TOX) run -q -e lint --notest --recreate
	@touch $@

.venv-run/ready: requirements.lock tools/uv $(wildcard libs/*/pyproject.toml services/*/pyproject.toml deploy/local/pyproject.toml)
	@echo "installing (once) ..."
	@tools/uv .venv
	@$(UV) venv --quiet --allow-existing .venv-run
	@$(UV) $(INSTALL) --python .venv-run --editable deploy/local $(addprefix --editable ,$(dir $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)))
	@touch $@
