# `make demo` and `make test` need only Python 3.11+ and make; everything is set up in .venv.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
FIXTURE := $(VENV)/fixture

.DEFAULT_GOAL := help
.PHONY: help setup demo sources migration test lint typecheck unit fixture long machine mutants faults soak pythons hosts canaries bench-capture bench-serving bench-refresh bench-routing clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready  ## make .venv with the tested versions

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dbt,dev]'
	touch $@

# What semantic search needs is large; only the checks and its benchmark install it. pip alone picks
# a build of torch for the processor where the index offers one.
$(VENV)/.ready-embeddings: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[embeddings]'
	touch $@

demo: setup  ## simulate an orchestrator anew, refresh, show the report; DEMO=--keep adds
	$(BIN)/orb-learning demo $(DEMO)

sources: setup  ## write what dbt is told of the raw tables anew, from the event classes
	$(BIN)/python -m orb_learning.staging._sources

migration: setup  ## draft the next schema version from the event classes: NAME=added_field
	$(BIN)/python -m orb_learning.staging._drafting $(NAME)

test: lint typecheck unit fixture  ## every check

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint models

typecheck: setup $(VENV)/.ready-embeddings
	$(BIN)/mypy

# Coverage is measured where it is required, by the tests that need not run thousands of examples:
# tracing takes as long as most of them do.
MEASURED := $(addprefix tests/python/,capture/ embeddings/ hosts/ serving/ spool/ staging/ upkeep/ \
	test_events.py test_misfits.py test_records.py test_status_words.py test_success.py test_types.py)
UNMEASURED := tests/python/capture/test_hostile.py
OTHERS := $(UNMEASURED) $(filter-out $(MEASURED) %__pycache__/,$(wildcard tests/python/test_*.py tests/python/*/)) \
	tests/machine tests/faults tests/mutants tests/upstream
COVERED := */_coercion.py,*/_event_fields.py,*/events.py,*/records.py,*/_types.py,*/_telemetry.py,*/spool/*,*/capture/*,*/hosts/*,*/staging/*,*/serving/*,*/embeddings/*
PYTEST := $(BIN)/pytest --numprocesses auto --dist worksteal --durations 10

unit: setup $(VENV)/.ready-embeddings
	$(PYTEST) $(MEASURED) --ignore $(UNMEASURED) --cov --cov-report=term-missing
	$(PYTEST) $(OTHERS)
	$(BIN)/coverage report --fail-under=100 --include='$(COVERED)'

# As a dbt user would: an empty home first, then a small history, tests and docs.
fixture: setup
	rm -rf $(FIXTURE)
	ORB_LEARNING_HOME=$(FIXTURE) $(BIN)/dbt build
	$(BIN)/orb-learning --home $(FIXTURE) demo --tasks 200
	ORB_LEARNING_HOME=$(FIXTURE) $(BIN)/dbt build
	ORB_LEARNING_HOME=$(FIXTURE) $(BIN)/dbt test --select test_type:unit
	ORB_LEARNING_HOME=$(FIXTURE) $(BIN)/dbt test
	ORB_LEARNING_HOME=$(FIXTURE) $(BIN)/dbt docs generate

long: setup  ## the property tests on many more histories and payloads
	$(BIN)/pytest tests/python/models tests/python/capture/test_hostile.py tests/python/staging/test_duckdb_and_python_agree.py --long

# A venv with the next DuckDB and little else: a canary that turns red there says what would change.
$(VENV)-next/.ready: Makefile
	$(PYTHON) -m venv $(VENV)-next
	$(VENV)-next/bin/pip install --quiet --disable-pip-version-check \
		duckdb==2.0.0 dbt-core==1.11.16 dbt-duckdb==1.11.1 pytest pytest-timeout hypothesis
	touch $@

pythons: setup  ## the tests of events, hooks and loader on each interpreter that is found
	$(BIN)/python tests/pythons.py

hosts: setup  ## ask pip whether the base install goes with the agent frameworks of today
	$(BIN)/python tests/frameworks.py

canaries: $(VENV)-next/.ready  ## what DuckDB 2.0 and dbt do; `make test` tries the tested versions
	$(VENV)-next/bin/pytest tests/upstream

machine: setup  ## 20,500 random lives of a home against the oracle (hours)
	$(BIN)/pytest tests/machine --long -s --numprocesses 2

mutants: setup  ## put known bugs into a copy, one by one, and see that the tests find them
	$(BIN)/python tests/mutants/run.py

faults: setup  ## break everything at any moment, many times: kills, full disks, damaged files
	$(BIN)/python -m tests.faults.run

soak: setup  ## half an hour of producers, refreshes and readers, with kills and a full disk
	$(BIN)/python -m tests.faults.soak --minutes 30

bench-capture: setup  ## time the hooks beside their peers, into docs/benchmarks.md
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/capture.py --captures 10000000 --write docs/benchmarks.md

bench-serving: setup $(VENV)/.ready-embeddings  ## time reads, searches and embeddings, into docs/benchmarks.md
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python benchmarks/serving.py --write docs/benchmarks.md

bench-refresh: setup  ## time loads, refreshes and publications, into docs/benchmarks.md
	$(BIN)/python benchmarks/refresh.py --write docs/benchmarks.md

bench-routing: setup  ## try advice on real runs and time its models, into docs/benchmarks.md; LONG=--long
	$(BIN)/python benchmarks/routing.py --write docs/benchmarks.md $(LONG)

clean:  ## remove what the other targets made, data/ excepted
	rm -rf $(VENV) $(VENV)-next $(VENV)-pythons target logs .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
