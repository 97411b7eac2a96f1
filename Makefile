# Commands for people and CI. Everything lands in .venv and var/; nothing else on the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
export UV_LINK_MODE ?= copy
# Compiled modules are kept in .venv: without them every start costs seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run setup test test-long chaos check audit notices screens bench bench-paired bench-scale attack lock clean

run: .venv/run.stamp
	@exec $(BIN)/orderbridge run

setup: .venv/dev.stamp

test: setup check
	$(BIN)/pytest -n 5 --dist load --maxschedchunk 1

# What needs longer than five minutes; the seeded runs of everything at once are among it.
test-long: setup
	CHAOS_SEEDS=$(or $(SEEDS),10) $(BIN)/pytest -m long -n 3 --dist load --maxschedchunk 1

# Those runs alone: make chaos SEEDS=10; one of them again: make chaos SEED=4; with some faults only:
# make chaos SEED=4 FAULTS=paging,clock (tests/whole/chaos/plan.py names them).
chaos: setup
	CHAOS_SEEDS=$(SEEDS) CHAOS_SEED=$(SEED) CHAOS_FAULTS=$(FAULTS) \
	    $(BIN)/pytest -m long -n 3 --dist load --maxschedchunk 1 tests/whole/test_whole_chaos.py

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The pinned versions against known advisories; fails too where these cannot be had.
audit: .venv/audit.stamp
	$(BIN)/python deploy/audit.py

# Whose work is shipped, anew after a change of the pins.
# The screens in the README, from a sandbox.
screens: setup
	$(BIN)/python -m deploy.screens

notices: setup
	$(BIN)/python deploy/notices.py

bench: setup
	PYTHONPATH=tests $(BIN)/python -m bench

# An older commit against this one, in turn: make bench-paired OLD=COMMIT ROUNDS=3
bench-paired: setup
	PYTHONPATH=tests $(BIN)/python -m bench.paired $(OLD) $(or $(ROUNDS),3)

# A sandbox under the attacks of hostile buyers, CRMs and callers, as a table.
attack: setup
	PYTHONPATH=tests $(BIN)/python -m bench.attack

# The ledger's own work at a million orders: make bench-scale ROWS=1000000
bench-scale: setup
	PYTHONPATH=tests $(BIN)/python -m bench.scale $(ROWS)

.venv/bin/uv: requirements/uv.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "orderbridge needs Python 3.11 or newer; say which with: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

.venv/run.stamp: $(UV) requirements/run.txt pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/run.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

.venv/audit.stamp: .venv/dev.stamp requirements/audit.txt
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/audit.txt
	@touch $@

# Renew the pins from the .in files.
lock: $(UV)
	for set in uv run dev audit; do $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" requirements/$$set.in --output-file requirements/$$set.txt; done

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
