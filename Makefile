# sparkctl: `make demo` and `make test` are all the set-up there is; each installs what it needs and can be run again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTEST := $(BIN)/pytest
OUT := .make
# How much of each suite is run: short, all or deep. A suite by itself (`make lab`) is what CI runs of it.
LEVEL ?= all
MARKED_short := not more and not long
MARKED_all := not long
SUITE = $(PYTEST) --junitxml=$(OUT)/$@.xml -m "$(MARKED_$(LEVEL))"
# A folder of its own for each: a later run of pytest removes those of older ones, also while they go on.
LABS = $(SUITE) --basetemp=$(OUT)/$@.tmp --durations=10
# Below tests/lab, but suites of their own.
APART := cluster/test_matrix.py machines test_lab_vm.py
FAST := $(addprefix --ignore=tests/,scenario truth lab)
# What needs the cores, beside what waits for leases and boots.
BUSY := lint fast truth scenario mutation machines
WAITING := lab matrix
COUNTED := fast truth scenario machines $(WAITING)

.PHONY: help demo demo-down test test-all deep level lint fast long truth scenario mutation mutants $(WAITING) hardship faults machines golden bench bench-lab bench-network clean apt venv before leftovers

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: apt venv  ## two emulated nodes, one inventory, a completion that both of them served
	@docs/demo.sh

demo-down: venv  ## take the demonstration down
	@docs/demo.sh down

test: export LEVEL := short
test: level  ## some of every suite, in at most 20 minutes on two cores

test-all: export LEVEL := all
test-all: level  ## everything that CI runs, in at most 50 minutes

deep: export LEVEL := deep
deep: level  ## all there is, also what is too long for CI: before an issue that touches safety is closed

level: before
	@ended=0; .ci/lanes $(BUSY) $(if $(filter deep,$(LEVEL)),long mutants) / $(WAITING) || ended=1; \
	$(MAKE) --no-print-directory leftovers || ended=1; \
	$(BIN)/python .ci/total.py $(OUT) $(COUNTED) $(if $(filter deep,$(LEVEL)),long) || ended=1; exit $$ended

apt:  ## Debian packages for the lab and the tests (as root; says what is missing otherwise)
	@.ci/apt

venv: .venv/.installed  ## .venv with sparkctl, editable, and its test tools, exactly as locked

.venv/.installed: pyproject.toml .ci/venv .ci/lock/run.txt .ci/lock/dev.txt
	@.ci/venv

.PHONY: update-lock test-newest test-lowest
update-lock:  ## the newest of everything into .ci/lock; the git diff is the review
	@.ci/update-lock

test-newest:  ## the fast suites with the newest of everything that pyproject.toml allows today
	@.ci/venv newest
	@$(OUT)/newest/bin/pytest tests $(FAST) -m "$(MARKED_all)" --junitxml=$(OUT)/$@.xml

test-lowest:  ## the fast suites with a wheel and the lower bounds of pyproject.toml (needs Python 3.11)
	@.ci/venv lowest
	@$(OUT)/lowest/bin/pytest tests $(FAST) -m "$(MARKED_all)" --junitxml=$(OUT)/$@.xml

lint: venv  ## ruff, mypy --strict, import layers
	@echo "==> ruff, mypy, import-linter"
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary sparkctl
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -n +3

fast: venv  ## unit, cases, contract and architecture tests
	@echo "==> fast suites"
	@# four workers on two cores: half of it waits for processes and silent peers
	@$(SUITE) tests $(FAST) -n 4 --dist worksteal

scenario: apt venv  ## the fault matrix in process: every fault at every command (as root, some minutes)
	@echo "==> scenarios: real node scripts in namespaces, every fault at every command"
	@ended=0; $(SUITE) tests/scenario || ended=$$?; cat $(OUT)/fault-matrix-scenario.txt; exit $$ended

mutation: apt venv  ## mutants of safety code: those that are remembered, and 60 derived ones by a seed (as root)
	@echo "==> mutation: safety devices taken out, 60 derived mutants"
	@mkdir -p $(OUT) && $(BIN)/python -m tests.mutants.run --seeded $(if $(filter short,$(LEVEL)),12,60)

mutants: apt venv  ## every derived mutant of safety code (as root; what was killed is tried again only when it changes)
	@echo "==> mutants: all that can be derived"
	@mkdir -p $(OUT) && $(BIN)/python -m tests.mutants.run

long: venv  ## inventories: 10,000 mutated in each way, 1,000 made for each property; 20,000 spoilt answers of nodes (some minutes)
	@echo "==> long: 10,000 mutated inventories, 1,000 made ones, 20,000 spoilt answers of nodes"
	@$(SUITE) tests/unit/test_properties.py tests/unit/test_validate.py tests/unit/test_fuzz.py --hypothesis-profile=long -n 4 --dist worksteal

truth: apt venv  ## what we render, judged by the real tools
	@echo "==> truth: the real netplan, systemd, shellcheck, vLLM and NCCL"
	@$(SUITE) tests/truth

lab: apt venv  ## emulated nodes with real sshd, netplan, Docker and vLLM: all of tests/lab but matrix and machines
	@echo "==> lab"
	@# three labs at once, so that one waits while another works; 128 inotify instances are enough for eleven nodes
	@$(LABS) tests/lab $(addprefix --ignore=tests/lab/,$(APART)) -n 3 --dist loadfile --no-loadscope-reorder

hardship: apt venv  ## of lab alone: full disks, cut journals, races and signals on emulated nodes
	@echo "==> hardship on emulated nodes"
	@$(LABS) tests/lab/cluster/test_hardship.py

faults: apt venv  ## of lab alone: planted faults on emulated nodes: each named by the right check, no false alarm
	@echo "==> planted faults on emulated nodes"
	@$(LABS) tests/lab/faults

machines: apt venv  ## virtual machines with real RoCE v2 in software: proved, broken, named
	@echo "==> virtual machines: real RoCE v2"
	@$(LABS) tests/lab/machines tests/lab/test_lab_vm.py

matrix: apt venv  ## every kind of fault at every stage on emulated nodes
	@echo "==> the fault matrix on emulated nodes"
	@ended=0; $(LABS) tests/lab/cluster/test_matrix.py || ended=$$?; \
	cat $(OUT)/fault-matrix-lab.txt; exit $$ended

before: apt venv
	@rm -rf $(OUT) && mkdir -p $(OUT)
	@$(BIN)/python tests/lab/leftovers.py record $(OUT)/before.json

leftovers: venv
	@$(BIN)/python tests/lab/leftovers.py compare $(OUT)/before.json

golden: venv  ## rewrite the expected files of tests/cases; the git diff is the review
	@$(PYTEST) tests $(FAST) --golden
	@git --no-pager diff --stat -- tests inventories

bench: venv  ## start-up, large inventories and many files, against what the packages cost by themselves
	@$(BIN)/python benchmarks/startup.py
	@$(BIN)/python benchmarks/offline.py

bench-lab: apt venv  ## what the cluster commands cost on emulated nodes (as root, some minutes)
	@$(BIN)/python benchmarks/cluster.py
	@$(BIN)/python benchmarks/transaction.py
	@$(BIN)/python benchmarks/forks.py
	@$(BIN)/python benchmarks/verify.py
	@$(BIN)/python benchmarks/processes.py

bench-network: apt venv  ## the network part of up: over netplan apply, 2 to 8 nodes, by ansible-core, undone (as root)
	@$(BIN)/python benchmarks/transaction.py

clean:  ## remove what make made in this checkout
	@rm -rf .venv $(OUT) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
