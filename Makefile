# Everything that is done here by hand, one target each; `make` lists them.

.DEFAULT_GOAL := help

VENV := .venv
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
PYTEST := $(VENV)/bin/python -m pytest -n auto --dist loadgroup
LOCK := CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
# Tests and checks see the defaults, whatever the shell exports for a site that it runs.
DEFAULTS := env -u SECRET_KEY -u DEBUG -u ALLOWED_HOSTS -u CSRF_TRUSTED_ORIGINS -u SECURE_SSL -u DATABASE_URL \
	-u DATABASE_POOL -u VAR_DIR -u HOST -u PORT -u WORKERS -u DURABLE_APPS -u DURABLE_SYSTEM_KEY -u APPROVALS_ONLY -u LOG_LEVEL -u LOG_FORMAT

.PHONY: help setup run test simulate screenshots lint format bench lock clean

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: $(DEV) ## Make .venv with everything that running, testing and checking needs

run: $(RUNTIME) ## Run the site with its samples on this machine (PORT, DATABASE_URL, … from the environment)
	@$(VENV)/bin/python manage.py up --demo

test: $(DEV) ## Run the whole suite on SQLite and, with TEST_DATABASE_URL, again on PostgreSQL (ARGS="-k timers")
	@status=0; \
	echo "== SQLite"; $(DEFAULTS) $(PYTEST) $(ARGS) || status=$$?; \
	if [ -n "$$TEST_DATABASE_URL" ]; then \
		echo "== TEST_DATABASE_URL"; $(DEFAULTS) DATABASE_URL="$$TEST_DATABASE_URL" $(PYTEST) $(ARGS) || status=$$?; \
	fi; \
	exit $$status

simulate: $(DEV) ## Let chance act on two workers and compare with a model (SIMULATE=2000 SIMULATE_STEPS=50)
	SIMULATE=$${SIMULATE:-500} $(DEFAULTS) $(VENV)/bin/python -m pytest -n 2 tests/simulation $(ARGS)

screenshots: $(DEV) ## Take pictures of every page, light and dark, wide and narrow, into var/screenshots (PAGES="list failed")
	@$(DEFAULTS) $(VENV)/bin/python -m tests.e2e.screenshots $(PAGES)

lint: $(DEV) ## Check style, types, layers and migrations
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(DEFAULTS) $(VENV)/bin/mypy
	$(DEFAULTS) $(VENV)/bin/lint-imports
	$(DEFAULTS) $(VENV)/bin/python manage.py makemigrations --check --dry-run

format: $(DEV) ## Put the code into shape
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(DEV) ## Run the measurements of benchmarks/ (ARGS="--help")
	$(VENV)/bin/python -m benchmarks $(ARGS)

lock: $(DEV) ## Renew requirements/ from pyproject.toml
	$(LOCK) --upgrade --output-file requirements/runtime.txt pyproject.toml
	$(LOCK) --upgrade --extra dev --constraint requirements/runtime.txt --output-file requirements/dev.txt pyproject.toml

clean: ## Remove .venv and everything else that is made here; var/, the local data, stays
	rm -rf $(VENV) .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache test-results build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): requirements/runtime.txt scripts/setup
	@scripts/setup runtime

$(DEV): requirements/dev.txt scripts/setup
	@scripts/setup dev
