# `make help` lists the targets. Each installs what it needs by itself.
# Debian's own Python where there is one: other users can run it, too.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
export PYTHON
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
WHEELS := .cache/wheels/.complete
# Namespaces need root; an ordinary user is root inside a user namespace of their own.
IS_ROOT := $(filter 0,$(shell id -u))
AS_ROOT := $(if $(IS_ROOT),,unshare --user --map-root-user --net --mount)
# There, pytest takes itself for root and would use root's temporary folder.
PYTEST_FLAGS := $(if $(IS_ROOT),,--basetemp=$(CURDIR)/.cache/pytest)
TESTS ?= tests

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 12

.PHONY: system-packages
system-packages:
	@hack/system-packages

$(RUNTIME): pyproject.toml | system-packages
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEVELOPMENT): pyproject.toml $(RUNTIME)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# What a fresh environment needs, so that the test of the wheel needs no network.
$(WHEELS): pyproject.toml $(DEVELOPMENT)
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --wheel-dir $(@D) .
	@rm -f $(@D)/nodeport_rules-*.whl && touch $@

.PHONY: demo
demo: $(RUNTIME) ## Real connections through compiled rules (DEMO='-f FILE' for your own manifests)
	@$(BIN)/nodeport-rules demo $(DEMO)

.PHONY: test
test: $(DEVELOPMENT) $(WHEELS) system-packages ## All tests (TESTS=tests/unit for some of them)
	@$(AS_ROOT) $(BIN)/python -m pytest $(PYTEST_FLAGS) $(TESTS)

.PHONY: lint
lint: $(DEVELOPMENT) ## ruff, mypy --strict, and the import contracts of the rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: format
format: $(DEVELOPMENT) ## Format the code
	@$(BIN)/ruff check --fix . || true
	@$(BIN)/ruff format .

.PHONY: golden
golden: $(DEVELOPMENT) ## Rewrite tests/golden from what the compiler prints now; review the diff
	@$(BIN)/python -m tests.golden.update

.PHONY: bench
bench: $(DEVELOPMENT) ## Time compiling against the bars
	@$(BIN)/python -m tests.bench.bench

.PHONY: build
build: $(DEVELOPMENT) ## The wheel and the source archive, in dist/
	@$(BIN)/python -m build --outdir dist .

.PHONY: clean
clean: ## Remove what the other targets made
	@rm -rf $(VENV) .cache dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
