# Everything a newcomer needs: `make ui` and `make test`. Both set up what is missing first.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SITE := ui/static_docs/index.html
# A system Chromium where there is one; `make chromium` installs it where apt does.
export WORKBENCH_CHROMIUM ?= $(firstword $(shell command -v chromium chromium-browser google-chrome 2>/dev/null))

.DEFAULT_GOAL := help
.PHONY: help install model ui test docs wheel pictures notebooks verify check bench gpu-check samples facts autoencoders recall retrained task-map \
  papers chromium clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# torch comes first, by itself: whatever follows is satisfied by it and pulls in no other build.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed (PYTHON=…)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(STAMP)  ## environment and packages

model: $(STAMP)  ## the default model, fetched and checked (half a minute the first time)
	@$(BIN)/workbench models pull smollm2-135m

ui: model $(SITE)  ## set up what is missing and open the workbench
	$(BIN)/workbench ui $(ARGS)

# So that "Docs" leads somewhere on the first page that anybody sees; again where a page was changed.
$(SITE): $(STAMP) $(shell find docs -name '*.md' -not -path '*/.*')
	@echo "Building the documentation (20 seconds) …"
	@$(BIN)/python -m docs.build

test: model  ## set up what is missing and run all tests, in two processes
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

docs: $(STAMP)  ## the documentation as a site; the workbench serves it at /docs
	$(BIN)/python -m docs.build

wheel: docs  ## dist/: a wheel with everything in it, the documentation too
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

pictures: model  ## the README's screenshot and animation, taken from the running workbench
	$(BIN)/python -m docs.take_pictures

notebooks: model  ## run the notebooks of examples/ and keep what they show
	$(BIN)/python -m examples.run

verify: model  ## what takes longer than the tests; goes on after a stop (verify-TARGET runs one)
	$(BIN)/python -m benchmarks.verify

verify-%: model
	$(BIN)/python -m benchmarks.verify $*

check: $(STAMP)  ## lint, format, imports, types, and what may be how large
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy
	$(BIN)/pytest tests/test_architecture.py tests/test_packaging.py -m "not process"

bench: model  ## side by side with the peers; prints ratios
	$(BIN)/python -m benchmarks

# What is there runs it: a machine with a card often has torch, and nothing can be installed.
gpu-check:  ## on a graphics card: parity with the CPU, and times; writes docs/results/benchmarks-gpu.md (8 minutes at most)
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m benchmarks.gpu $(ARGS)

samples: model  ## make the sample runs again
	$(BIN)/python -m sample_runs.make

facts: $(STAMP)  ## make the built-in facts again from their sources
	$(BIN)/python -m workbench.facts.build

recall: $(STAMP)  ## train the organisms of recall that ship again, three seeds of each (hours; it goes on after a stop)
	$(BIN)/python -m workbench.organisms.recall.build

retrained: $(STAMP)  ## grow the organisms without some passages again, and those with another loss or other layers (hours; it goes on after a stop)
	$(BIN)/python -m workbench.organisms.build_beside

task-map: $(STAMP)  ## train the small models of few tasks and many again (half an hour; it goes on after a stop)
	$(BIN)/python -m analyses.state.recall_capacity.task_table

autoencoders: model  ## train the autoencoders that ship again (hours; it goes on after a stop)
	$(BIN)/python -m workbench.autoencoders.build

chromium:  ## a browser for the browser tests, where apt can install it
	@test -n "$(WORKBENCH_CHROMIUM)" || { apt-get update -qq && apt-get install -y -qq chromium; }

papers: $(STAMP)  ## docs/papers.md again, from docs/papers.toml and the claims of the runs that ship
	$(BIN)/python -m docs.papers

clean:  ## the environment and caches of this folder (not the model)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
