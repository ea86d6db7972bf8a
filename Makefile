.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := .venv/bin/python
SHELL_FILES := spark-submit.sh .ci/run

.PHONY: help
help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' Makefile | awk -F'\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

.PHONY: venv
venv:  ## set up .venv with everything that jobs, tests and checks need (and Java, Chromium as root with apt)
	@./spark-submit.sh --prepare dev

.PHONY: test
test: venv  ## the tests, without the slow ones
	$(PYTHON) -m pytest -m "not slow" $(ARGS)

.PHONY: test-all
test-all: venv  ## all tests
	$(PYTHON) -m pytest $(ARGS)

.PHONY: check
check: venv  ## format, lint, types, imports, shell syntax
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	PYTHONPATH=lib $(PYTHON) -c 'import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())'
	for file in $(SHELL_FILES); do bash -n $$file || exit 1; done

.PHONY: bench
bench: venv  ## measure the floors and ratios (docs/architecture.md, bench/RESULTS.md)
	PYTHONPATH=lib $(PYTHON) -m bench $(ARGS)

.PHONY: parity
parity: venv  ## our OMOP against OHDSI's ETL-Synthea (docs/parity.md); any two folders: OURS=... THEIRS=...
	PYTHONPATH=lib $(PYTHON) -m tests.parity.omop_parity $(OURS) $(THEIRS) $(ARGS)

.PHONY: docs
docs: venv  ## write docs/tables.md anew from the declared tables
	PYTHONPATH=lib $(PYTHON) docs/tables.py

.PHONY: env-archive
env-archive: venv  ## dist/env.tar.gz: the packed environment for a cluster's workers
	rm -rf dist/env dist/env.tar.gz
	$(PYTHON) -m venv --copies dist/env
	grep -vE '^(pyspark|py4j)==' requirements.lock > dist/env.txt
	dist/env/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r dist/env.txt venv-pack==0.2.0
	dist/env/bin/python -c 'from venv_pack.__main__ import main; main()' --prefix dist/env --output dist/env.tar.gz --quiet
	rm -rf dist/env dist/env.txt

DIST := dist
.PHONY: bundle
bundle:  ## dist/carelake-VERSION-PLATFORM.tar.gz: the last commit with its wheels and jars, for a machine without network
	@./spark-submit.sh --prepare
	set -euo pipefail; umask 022; \
	version=$$(PYTHONPATH=lib $(PYTHON) -c 'import carelake; print(carelake.__version__)'); \
	python=$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_python_version())'); \
	platform=$$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_platform())')-py$$python; \
	stage=$(DIST)/bundle; vendor=$$stage/carelake-$$version/vendor; archive=$(DIST)/carelake-$$version-$$platform.tar.gz; \
	rm -rf $$stage $$archive; mkdir -p $$stage; \
	git archive --prefix=carelake-$$version/ HEAD | tar -xf - -C $$stage; \
	mkdir -p $$vendor/jars; echo $$python > $$vendor/python; cp .venv/jars/*.jar $$vendor/jars; \
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $$vendor/wheels -r requirements.lock; \
	tar --owner=0 --group=0 -C $$stage -cf - carelake-$$version | gzip -1 > $$archive.part; \
	mv $$archive.part $$archive; rm -rf $$stage; ls -lh $$archive

.PHONY: clean
clean:  ## remove what builds and tests leave, not .venv and not a lake
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis lib/*.egg-info
	find lib jobs tests -name __pycache__ -type d -prune -exec rm -rf {} +
