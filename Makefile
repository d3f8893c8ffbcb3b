# Everything one does in this folder. `make` alone lists it.
#
# Needs make, Python >= 3.11 with its venv module, and the package index that pip is set up for.
# What is installed goes into .venv; nothing needs root.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

PYTHON ?=#   make install PYTHON=/path/to/python3.13
ARGS ?=#     make test ARGS='tests/sessions -k replayed --no-cov'
UPGRADE ?=#  make lock UPGRADE=1

# Caches go where the user's caches are; who has no usable home gets them in this folder.
ifneq ($(shell test -n "$$HOME" && test -w "$$HOME" && echo usable),usable)
export XDG_CACHE_HOME ?= $(CURDIR)/.cache
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_PYTHON_DOWNLOADS := never

# Candidates are run, not looked up: a name on PATH may be a shim with no interpreter behind it.
CANDIDATES = $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3)
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
INTERPRETER = $(shell for python in $(CANDIDATES); do \
	$$python -c '$(SUITABLE)' 2>/dev/null && echo $$python && break; done)

# A .venv whose interpreter is gone counts as not made.
$(shell test -x .venv/bin/python || rm -f .venv/.installed)

PIP := .venv/bin/python -m pip
# The locks are complete, so there is nothing to resolve; what is imported is compiled then.
PIP_INSTALL := $(PIP) install --quiet --require-hashes --no-deps --no-compile
# pip's index is uv's index, unless uv has been given its own.
PIP_INDEX := $${PIP_INDEX_URL:-$$($(PIP) config get global.index-url 2>/dev/null)}
UV := PATH=".venv/bin:$$PATH" UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$(PIP_INDEX)}" uv
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
PYTEST = .venv/bin/python -m pytest --cov --numprocesses auto --maxprocesses 8 --dist worksteal $(ARGS)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: install ## serve the sandbox on http://127.0.0.1:8000; Ctrl-C stops it
	@exec .venv/bin/python -m app sandbox

.PHONY: test
test: install ## run every test and hold branch coverage at 100 %
	$(PYTEST)

.PHONY: check
check: install ## what CI runs: format, lint, types, architecture, workflows, tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/zizmor --quiet --offline --persona pedantic .github/workflows
	$(PYTEST)

.PHONY: audit
audit: install ## ask PyPI whether a locked version has a known vulnerability (needs the network)
	.venv/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements/dev.txt

.PHONY: assurance
assurance: install ## write docs/assurance.md anew: which test proves what
	.venv/bin/python -m tests.soak.assurance

.PHONY: format
format: install ## format the code and mend what the linter can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: install
install: .venv/.installed ## make .venv with everything, from the hash-locked requirements

.PHONY: lock
lock: install ## compile requirements/ from pyproject.toml (UPGRADE=1: to the newest versions)
	@$(COMPILE) pyproject.toml --extra redis --output-file requirements/runtime.txt
	@$(COMPILE) pyproject.toml --extra redis --output-file requirements/dev.txt \
		--group dev --constraints requirements/runtime.txt
	@echo uv | $(COMPILE) - --output-file requirements/uv.txt
	@echo "requirements/ is compiled; make install brings .venv up to it"

.PHONY: image
image: ## build the container image ticketgate
	docker build --tag ticketgate .

.PHONY: verify-image
verify-image: image ## prove the image: not root, read-only, healthy, leaves when told
	deploy/verify-image ticketgate

.PHONY: states
states: install ## 10,000 random lives of sessions against the model (a quarter of an hour)
	STATE_RUNS=10000 .venv/bin/python -m pytest tests/sessions/test_state_machine.py

.PHONY: forgeries
forgeries: install ## 100,000 random edits of each genuine token: none is taken (a quarter of an hour)
	FORGERIES=100000 .venv/bin/python -m pytest --numprocesses auto tests/forgeries

.PHONY: fuzz
fuzz: install ## 2,000 cases an operation against the API's own description (half an hour)
	FUZZ_CASES=2000 .venv/bin/python -m pytest --numprocesses auto tests/fuzz/test_description.py

.PHONY: races
races: install ## refreshes, logins and endings against each other, in full numbers (minutes)
	RACES=full .venv/bin/python -m pytest tests/e2e/test_races.py -k alone

.PHONY: fleet-races
fleet-races: install ## the same against four instances over one Valkey (minutes)
	RACES=full .venv/bin/python -m pytest tests/e2e/test_races.py -k fleet

.PHONY: store-faults
store-faults: install ## kill Valkey 20 times at each step of a login and a refresh (minutes)
	.venv/bin/python -m tests.soak.store_faults

.PHONY: failover
failover: install ## five Sentinel failovers under 100 refreshes a second: nobody logged out (2 minutes)
	.venv/bin/python -m tests.soak.failover

.PHONY: cancellations
cancellations: install ## 10,000 commands and 10,000 requests given up in the middle: nothing crossed (minutes)
	CANCELLATIONS=10000 .venv/bin/python -m pytest tests/stores/redis/test_cancellations.py
	.venv/bin/python -m tests.soak.cancellations

.PHONY: kill-nine
kill-nine: install ## kill the service 50 times under load: nothing acknowledged is lost (minutes)
	.venv/bin/python -m tests.soak.kill_nine

.PHONY: lossy
lossy: install ## 2,000 apps on a bad network, 200 thieves: nobody logged out but the stolen (minutes)
	.venv/bin/python -m tests.soak.lossy_network

.PHONY: slow-clients
slow-clients: install ## 2,000 clients that send a byte a second: closed in time and not felt (2 minutes)
	.venv/bin/python -m tests.soak.slow_clients

.PHONY: upstream-faults
upstream-faults: install ## 10,000 phones hang up, Authing flaps and hangs: only logins notice (5 minutes)
	.venv/bin/python -m tests.soak.upstream_faults

.PHONY: token-timing
token-timing: install ## how long a refusal takes tells nothing about why it is one (half a minute)
	.venv/bin/python -m tests.soak.token_timing

.PHONY: clean
clean: ## remove what make and the tools have made; data and .env stay
	rm -rf .venv .cache .coverage .coverage.* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find app tests -name __pycache__ -prune -exec rm -rf {} +

# Made anew each time: nothing lingers, and an interrupted or broken .venv heals.
# uv needs seconds. Where it is neither on PATH nor to be had, or fails, pip does the same.
.venv/.installed: Makefile requirements/dev.txt requirements/uv.txt
	$(if $(INTERPRETER),,$(error No Python >= 3.11 with venv and ensurepip among: $(CANDIDATES). \
	Install one (Debian: python3-venv) or name it: make install PYTHON=/path/to/python3))
	@echo "Making .venv, which takes up to half a minute"
	@$(INTERPRETER) -m venv --clear .venv
	@$(UV) --version >/dev/null 2>&1 || $(PIP_INSTALL) --requirement requirements/uv.txt 2>/dev/null || true
	@$(UV) pip sync --quiet --python .venv/bin/python --require-hashes requirements/uv.txt requirements/dev.txt \
		|| { echo "uv could not do it; pip takes a little longer"; $(PIP_INSTALL) --requirement requirements/dev.txt; }
	@touch $@
