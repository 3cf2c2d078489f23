# Everything a user or a developer types. `make help` lists it.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PROGRAM := $(PYTHON) -m aes67.cli.program
PYTEST := .venv/bin/python -m pytest
PLUGIN := alsa_plugin
CFLAGS_STRICT := -std=c11 -Wall -Wextra -Wshadow -Werror -O2 -fPIC
CLANG_FORMAT := 14
ARGS ?=

.PHONY: help setup demo run test test-fast lint c-build warm warm-checked prepared bench bench-ptp validate header clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## system packages and .venv (prints the command to type where it may not install)
	@packaging/setup.sh

demo: setup warm ## play, carry as AES67, record, compare every sample, measure: under a minute (the first time it compiles, some more)
	@$(PROGRAM) aes67.selftest.demo $(ARGS)

run: setup warm ## a daemon on loopback as grandmaster with a source and a sink, until Ctrl-C
	@$(PROGRAM) aes67.selftest.run $(ARGS)

lint: setup ## ruff, mypy, clang-format, generated header
	.venv/bin/ruff check
	@mkdir -p build/typing && ln -sfn "$(CURDIR)/api" build/typing/aes67_api
	.venv/bin/mypy
	@if clang-format --version | grep -q "version $(CLANG_FORMAT)\."; then \
		clang-format --dry-run --Werror $(filter-out %/aes67_shm.h,$(wildcard $(PLUGIN)/*.[ch])); \
	else echo "clang-format is not version $(CLANG_FORMAT): C style not checked"; fi
	@$(PYTHON) -m aes67.shm.header | diff -u $(PLUGIN)/aes67_shm.h - \
		|| { echo "aes67_shm.h is not what shm/layout.py says: run make header"; exit 1; }

c-build: setup ## compile the plugin with every warning an error, gcc and clang
	@for compiler in gcc clang; do for source in $(PLUGIN)/*.c; do \
		$$compiler $(CFLAGS_STRICT) -DPIC -c -o /dev/null $$source || exit 1; \
	done; done; echo "plugin compiles cleanly with gcc and clang"

warm: setup ## compile the engine's kernels once, so that nothing compiles later
	@$(PROGRAM) aes67.engine.warmup

# Checked and compiled side by side, on all processors; warm-checked is the tick with index checks.
warm-checked: setup
	@NUMBA_BOUNDSCHECK=1 $(PYTHON) -m aes67.engine.warmup

prepared: setup
	@$(MAKE) --no-print-directory --output-sync --jobs=$$(nproc) lint c-build warm warm-checked

test: prepared ## everything: lint, C build, all tests
	$(PYTHON) tests/side_by_side.py $(ARGS)

test-fast: prepared ## everything but the end-to-end tests
	$(PYTEST) -m "not root" --ignore=tests/e2e $(ARGS)

bench-ptp: setup warm ## the clock beside a real ptp4l: 25 minutes (ARGS=--quick: 4), a table of goals at the end
	$(PYTHON) -m bench ptp $(ARGS)

bench: setup ## benchmarks: one JSON line each, with facts about the machine
	$(PYTHON) -m bench $(ARGS)

validate: setup warm ## the full matrix, 60 s each, into docs/validation (hours; goes on where it stopped)
	PYTHONPATH=tests $(PYTHON) -m e2e.validate $(ARGS)

header: setup ## print alsa_plugin/aes67_shm.h from the one definition
	$(PYTHON) -m aes67.shm.header > $(PLUGIN)/aes67_shm.h

clean: ## remove what was built; .venv stays
	rm -rf build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src api tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
