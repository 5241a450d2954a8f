# Options: FAMILY=official|onedl, PYTHON=python3.11, TESTS="tests/ops tests/models", ARGS="-k name"
PYTHON ?= python3
TESTS ?= tests
ARGS ?=
# Without FAMILY the official packages where this Python can have them, else the maintained forks.
CHOSEN := $(or $(FAMILY),$(shell $(PYTHON) tools/setup_env.py --show-family 2>/dev/null))

VENV := $(if $(filter onedl,$(CHOSEN)),.venv-onedl,.venv)
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup demo test smoke lint docs doctor clean distclean

help: ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@head -n 1 $(MAKEFILE_LIST) | cut -c 3-

setup: ## Make or renew the environment (only when something changed)
	@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON): install it" \
	  "(apt-get install python3 python3-venv python3-dev), or name one: make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) tools/setup_env.py --family $(or $(FAMILY),auto)

demo: setup ## Train, evaluate and draw all three tasks on generated data
	$(BIN)/python tools/demo.py $(ARGS)

# One thread per worker: the workers already use every core. A worker keeps to neighbouring tests,
# whose fixtures it shares, and takes over some of another's when it has none left.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal
test: setup ## Run the tests
	$(PYTEST) $(TESTS) $(ARGS)

smoke: setup ## Run the short tests of what depends on the framework family
	$(PYTEST) -m smoke $(TESTS) $(ARGS)

lint: setup ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: ## Build the documentation as a site in site/, in an environment of its own
	@$(PYTHON) tools/make_docs.py

doctor: setup ## Test what is installed
	$(BIN)/python -m mmvan.doctor

clean: ## Remove builds and caches
	rm -rf build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## Remove the environments too
	rm -rf .venv .venv-docs .venv-onedl mmvan/.mim
