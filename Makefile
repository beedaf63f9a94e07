# The recipes of fusionlog. `make demo` and `make test` set up all they need; CI calls the same recipes.

PYTHON ?= python3
# TORCH=cpu takes the CPU-only build of torch from PyTorch's own package index (2 GB less); anything else follows the lock.
TORCH ?= locked
SEED ?= 1
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(TORCH)
# Two processes share the unit tests by file, so that a file's broker starts once; a second thread in each would only
# wait for the first: on two cores one test of the network takes 0.2 s instead of 12.
IN_TWO := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
UV_VERSION := $(shell sed -n 's/^ *"uv==\(.*\)",/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup demo unit test slow test-pythons lint lock chart kafka bench clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything that demo, tests and bench need

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "PYTHON must be 3.11 or newer, got $$($(PYTHON) --version): make setup PYTHON=python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
ifeq ($(TORCH),cpu)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend cpu --group dev --editable '.[agent,trainer]'
else
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
endif
	@rm -f $(VENV)/.installed-* && touch $@

demo: setup ## train on generated logs and watch alerts come, no Docker, Java or LLM (SEED=1)
	$(BIN)/fusionlog demo --seed $(SEED)

unit: setup ## the tests without Kafka, Ray and the data in ../shared, in three minutes
	$(IN_TWO) -m "not kafka and not ray and not slow and not shared" --ignore tests/integration

test: setup ## all tests but the slow ones; those on a real Kafka run where Java and Maven are (CI=true: must)
	$(BIN)/python -m pytest -m "not slow"

slow: setup ## the slow tests alone: end-to-end repeats on more data
	$(BIN)/python -m pytest -m slow

test-pythons: setup ## unit tests on each of Python 3.12 and 3.13 that is at hand
	@deploy/tools/test_pythons.sh $(BIN)/uv

lint: setup ## formatting, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases tests
	$(BIN)/lint-imports

lock: setup ## write requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --quiet --all-extras --group dev --universal --generate-hashes --no-header -o requirements.lock

chart: setup ## check the Helm chart and the Dockerfile (Go builds helm and kubeconform on first use)
	deploy/tools/check_chart.sh
	deploy/tools/check_image.sh $(BIN)/uv

kafka: setup ## run a real Apache Kafka in the foreground (Java and Maven needed)
	$(BIN)/python -m testkit.local_kafka

bench: setup ## the whole job on real logs in ../shared/data
	$(BIN)/python -m bench e2e --data ../shared/data --source hdfs --target bgl --json

clean: ## remove what the recipes made in this folder
	rm -rf $(VENV) .venv-3.* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
