# Every verb sets up `.venv` by itself, from nothing but Python 3.11-3.13, make and a shell.
# Arguments go in ARGS, as in `make test ARGS="-k invoices"`.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate pyproject.toml

# pip and uv keep their caches in the home directory; without one to write to, the venv keeps them.
ifeq ($(shell test -n "$$HOME" && test -w "$$HOME" && echo writable),)
export XDG_CACHE_HOME := $(CURDIR)/$(VENV)/cache
endif
# Trust what the machine trusts, as pip does; uv's own list does not know a company's proxy.
export UV_SYSTEM_CERTS ?= true
# Without compiled modules everything starts in twice the time.
unexport PYTHONDONTWRITEBYTECODE
# A virtual environment that happens to be active is not the one meant here.
unexport VIRTUAL_ENV PYTHONHOME

.PHONY: help run demo worker test slow drivers check format bench migrate lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## Serve the API on http://127.0.0.1:8000 with everything it needs (DATABASE_URL, STRIPE_SECRET_KEY replace parts)
	@exec $(BIN)/python -m app.cli serve --end-with-parent $(ARGS)

demo: $(READY) ## Drive the main job against the running service; TRACE=file replays a trace of LLM requests
	@exec $(BIN)/python -m app.demo $(if $(TRACE),--trace $(TRACE)) $(ARGS)

worker: $(READY) ## Run background jobs in a process of their own
	@exec $(BIN)/python -m app.cli worker $(ARGS)

test: $(READY) ## Run the whole test suite on an embedded Postgres
	@exec $(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

slow: $(READY) ## Run the longer forms of tests: every order of Stripe's news up to seven events, every kill
	@EVERYTHING=1 exec $(BIN)/python -m pytest -n 2 tests/convergence $$(grep -rl 'tests.support.long import' tests --include='test_*.py' | grep -v ^tests/convergence/) $(ARGS)

drivers: ## Install Stripe's command line and its SDK for Node below var/; the sandbox is tested with them where they are
	@npm install --prefix var/drivers --no-save --no-audit --no-fund --ignore-scripts @stripe/cli@1.52.0 stripe@23.1.0

check: $(READY) ## Run the linters, the type checker and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry .

format: $(READY) ## Rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Measure what requests cost
	@exec $(BIN)/python -m benchmarks $(ARGS)

migrate: $(READY) ## Bring the database to the newest schema
	@exec $(BIN)/python -m app.cli migrate $(ARGS)

lock: $(VENV)/.made ## Rewrite both lock files from pyproject.toml; ARGS=--upgrade takes newer versions
	$(COMPILE) --extra dev --output-file requirements.lock $(ARGS)
	$(COMPILE) --constraint requirements.lock --output-file requirements-runtime.lock $(ARGS)

clean: ## Remove the virtual environment and the caches; data in var/ stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# The steps of the virtual environment. Each leaves a stamp, so that a step runs again only when
# what it was made from is newer.

$(VENV)/.made:
	@for python in $(PYTHON) python3.13 python3.12 python3.11 python3 python; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$($$python --version)"; \
	    $$python -m venv --clear $(VENV); \
	    sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock; \
	    touch $@; \
	    exit 0; \
	  fi; \
	done; \
	echo "Python 3.11, 3.12 or 3.13 with its venv module is needed; name one with PYTHON=..." >&2; \
	exit 1

$(VENV)/.synced: requirements.lock $(VENV)/.made
	@echo "Installing the locked dependencies"
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@touch $@

$(READY): pyproject.toml $(VENV)/.synced
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
