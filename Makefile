# All tasks of the project; the same for people and for CI. Start with `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
VENV := .venv
# test files that run side by side: they wait for containers more than they compute
WORKERS ?= 3
PYTHON := $(VENV)/bin/python

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: $(VENV)/ready ## Bring this machine to what allfast needs: Docker Engine, buildx, Compose, Python packages
	@scripts/setup-docker
	@$(PYTHON) -m testbed bases

$(VENV)/ready: requirements.lock pyproject.toml scripts/setup-python
	@scripts/setup-python $(VENV)
	@touch $@

.PHONY: demo
demo: setup ## Deploy the example to a test server, change a line, deploy again, roll back
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m scripts.demo

.PHONY: server
server: setup ## Start a test server to play with, and say how to reach it
	@$(PYTHON) -m testbed server up

.PHONY: test
test: setup ## The whole suite: unit, contract and end-to-end tests (ARGS="-k name" for some)
	@export PATH="$(CURDIR)/$(VENV)/bin:$$PATH"; $(PYTHON) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 15 $(ARGS) || $(PYTHON) -m scripts.again $$?

.PHONY: unit
unit: $(VENV)/ready ## The unit tests alone: no Docker, some seconds
	@$(PYTHON) -m pytest tests/unit $(ARGS)

.PHONY: check
check: $(VENV)/ready ## Linters and types
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

.PHONY: lock
lock: ## Resolve requirements.lock anew from pyproject.toml (needs uv)
	@uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 --no-header -o requirements.lock

.PHONY: bench
bench: setup ## Measure, as ratios in one run, and write docs/bench.md (see bench/README.md); goes on where it was stopped
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m bench $(ARGS)

.PHONY: chaos
chaos: setup ## Kills and troubles at each step of a deploy and a rollback; goes on where it was stopped (ARGS="--minutes 30")
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m chaos $(ARGS)

.PHONY: fuzz
fuzz: $(VENV)/ready ## Damaged and hostile streams into the agent's receiver, ten minutes of them (ARGS="--minutes 60")
	@$(PYTHON) -m tests.fuzz $(ARGS)

.PHONY: load
load: setup ## 20 deploys and 20 rollbacks under load: none of the requests may fail
	@ALLFAST_LOAD_ROUNDS=20 PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m pytest -s tests/e2e/test_load.py $(ARGS)

.PHONY: clean
clean: ## Remove servers, volumes, the demo, the environment, and the base images (which all checkouts share)
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m testbed clean --images; fi
	@if command -v docker >/dev/null; then docker image prune --all --force --filter label=allfast.deployment=chat-demo >/dev/null; fi
	@rm -rf .demo .testbed .bench .chaos .mypy_cache .pytest_cache .ruff_cache .hypothesis dist $(VENV)
