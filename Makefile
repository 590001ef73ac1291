# sparkctl: `make demo` and `make test` are all the set-up there is; each installs what it needs and can be run again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTEST := $(BIN)/pytest
OUT := .make
SUITE = $(PYTEST) --junitxml=$(OUT)/$@.xml
REAL := truth lab
MARKED = not long
# Suites below tests/lab that have a target of their own.
APART := cluster/test_matrix.py cluster/test_hardship.py faults machines test_lab_vm.py
FAST := $(addprefix --ignore=tests/,scenario $(REAL))

.PHONY: help demo demo-down test real hardship faults matrix matrix-all machines machines-all lint golden bench bench-lab bench-network clean apt venv before fast long $(REAL) leftovers

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: apt venv  ## two emulated nodes, one inventory, a completion that both of them served
	@docs/demo.sh

demo-down: venv  ## take the demonstration down
	@docs/demo.sh down

test: before lint fast real matrix machines leftovers  ## everything: static checks, fast suites, then all that takes long
	@$(BIN)/python .ci/total.py $(patsubst %,$(OUT)/%.xml,fast scenario $(REAL) hardship faults matrix machines)

# Most of the lab is waiting for leases and boots, so the rest goes on beside it.
real: apt venv
	@echo "==> lab, beside the next suites; its output comes at their end"
	@$(MAKE) --no-print-directory lab >$(OUT)/lab.log 2>&1 & lab=$$!; ended=0; \
	$(MAKE) --no-print-directory truth scenario mutation hardship faults || ended=$$?; \
	wait $$lab || ended=$$?; cat $(OUT)/lab.log; exit $$ended

apt:  ## Debian packages for the lab and the tests (as root; says what is missing otherwise)
	@.ci/apt

venv: .venv/.installed  ## .venv with sparkctl, editable, and its test tools

.venv/.installed: pyproject.toml .ci/venv
	@.ci/venv

lint: venv  ## ruff, mypy --strict, import layers
	@echo "==> ruff, mypy, import-linter"
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy --no-error-summary sparkctl
	@$(BIN)/lint-imports --no-logo 2>&1 | tail -n +3

fast: venv  ## unit, cases, contract and architecture tests
	@echo "==> fast suites"
	@$(SUITE) tests $(FAST)

scenario: apt venv  ## the fault matrix in process: every fault at every command (as root, some minutes)
	@echo "==> scenarios: real node scripts in namespaces, every fault at every command"
	@ended=0; $(SUITE) tests/scenario || ended=$$?; cat $(OUT)/fault-matrix-scenario.txt; exit $$ended

mutation: apt venv  ## every safety device taken out, one at a time: the test named after it must fail (as root)
	@echo "==> mutation: each safety device taken out"
	@$(BIN)/python tests/mutation.py

long: venv  ## inventories: 10,000 mutated in each way, 1,000 made for each property (some minutes)
	@echo "==> long: 10,000 mutated inventories, 1,000 made ones"
	@$(SUITE) tests/unit/test_properties.py tests/unit/test_validate.py --hypothesis-profile=long

truth: apt venv  ## what we render, judged by the real tools
	@echo "==> truth: the real netplan, systemd, shellcheck, vLLM and NCCL"
	@$(SUITE) tests/truth

lab: apt venv  ## emulated nodes with real sshd, netplan, Docker and vLLM
	@echo "==> lab"
	@# a folder of its own: a later run of pytest removes those of older ones, also while they go on
	@$(SUITE) tests/lab --basetemp=$(OUT)/lab.tmp $(addprefix --ignore=tests/lab/,$(APART)) -m "$(MARKED)" --durations=10

hardship: apt venv  ## full disks, cut journals, races and signals on emulated nodes
	@echo "==> hardship on emulated nodes"
	@$(SUITE) tests/lab/cluster/test_hardship.py

faults: apt venv  ## planted faults on emulated nodes: each named by the right check, no false alarm
	@echo "==> planted faults on emulated nodes"
	@$(SUITE) tests/lab/faults --basetemp=$(OUT)/faults.tmp

machines: apt venv  ## virtual machines with real RoCE v2 in software: proved, broken, named
	@echo "==> virtual machines: real RoCE v2"
	@$(SUITE) tests/lab/machines tests/lab/test_lab_vm.py -m "$(MARKED)" --basetemp=$(OUT)/machines.tmp --durations=10

machines-all: apt venv  ## the same, with the tests that are too long for CI (about 25 minutes)
	@$(MAKE) --no-print-directory machines MARKED=

matrix: apt venv  ## every kind of fault at every stage on emulated nodes
	@echo "==> the fault matrix on emulated nodes"
	@ended=0; $(SUITE) tests/lab/cluster/test_matrix.py --durations=10 || ended=$$?; \
	cat $(OUT)/fault-matrix-lab.txt; exit $$ended

matrix-all: apt venv  ## the same with every kind for every verb on every fabric (117 cells, about 17 minutes)
	@EVERY_CELL=1 $(MAKE) --no-print-directory matrix

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
	@$(BIN)/python benchmarks/verify.py

bench-network: apt venv  ## the network part of up: over netplan apply, 2 to 8 nodes, by ansible-core, undone (as root)
	@$(BIN)/python benchmarks/transaction.py

clean:  ## remove what make made in this checkout
	@rm -rf .venv $(OUT) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
