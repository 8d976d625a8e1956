# Everything a developer or CI runs. `make demo` and `make test` need only CPython 3.11 or newer and a C compiler:
# they make .venv, bring in what is needed, build, and run; the second time only what changed is built.
#   make test PYTHON=python3.13 VENV=.venv-3.13      another Python, in an environment of its own
#   make test ARGS='-k handoff -x'                   what else to tell pytest (or the demo, the benchmarks …)

VENV ?= .venv
PYTHON ?=
ARGS ?=
py := $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1

ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

# what the compiled module is made of
CORE := setup.py $(wildcard src/fastpool/*.pxd $(addprefix src/fastpool/adapters/_thrift/codec/,*.pyx *.pxi c/*.h) $(addprefix src/fastpool/_core/,*.pyx *.pxi *.pxd */*.pxi */*.pxd */*.h))

.DELETE_ON_ERROR:
.PHONY: help demo test bench stress hbase hbase-stop test-hbase test-hbase-cluster test-haproxy test-postgres test-drivers test-redis test-codec fuzz test-distributed cassandra cassandra-stop test-cassandra set-up-3.14 test-3.14 test-freethreaded test-all \
	model probe test-cross ship-check reproducible changelog budgets annotate lint format docs docs-check figures wheels build clean

help: ## what there is to make
	@grep -hE '^[a-z0-9.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9.-]+):.*## (.*)/\1|\2/' | \
		while IFS='|' read -r target text; do printf '  make %-19s %s\n' "$$target" "$$text"; done

# ---- setting up

$(VENV)/.made:
	@python='$(PYTHON)'; python=$${python:-$$(tools/find-python.sh)} && \
		echo "setting up $(VENV) with $$python" && "$$python" -m venv --clear $(VENV)
	@touch $@

# install EXTRA…: what pyproject.toml says they need; a wheel is taken before a newer version that must be compiled
install = echo "$(VENV): installing what is needed for: $(1)" && $(py) tools/requires.py $(1) >$(VENV)/requirements.txt && \
	$(py) -m pip install --quiet --prefer-binary -r $(VENV)/requirements.txt

# editable: the compiled module is built in place, and what is edited in src/ is what runs
$(VENV)/.test: $(VENV)/.made pyproject.toml tools/requires.py
	@$(call install,test green hosts servers)
	@$(py) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.bench $(VENV)/.distributed $(VENV)/.docs-check $(VENV)/.lint $(VENV)/.ship $(VENV)/.stress: $(VENV)/.%: $(VENV)/.test
	@$(call install,$*)
	@touch $@

# without .test: the site needs neither servers nor other concurrency models, and is made in a third of the time
$(VENV)/.docs: $(VENV)/.made pyproject.toml tools/requires.py
	@$(call install,docs)
	@touch $@

$(VENV)/.core: $(VENV)/.test $(CORE)
	@$(py) setup.py --quiet build_ext --inplace
	@touch $@

# ---- running

demo: $(VENV)/.core ## the main job, live: one load through happybase's pool and through fastpool
	@$(py) -m fastpool demo $(ARGS)

test: $(VENV)/.core ## the test suite (stress and real-server tests have targets of their own)
	@$(with) $(py) -m pytest $(ARGS)

stress: $(VENV)/.stress $(VENV)/.core ## the long randomised tests
	@$(with) $(py) -m pytest -m stress $(ARGS)

bench: $(VENV)/.bench $(VENV)/.core ## the comparisons with other pools, and the table of ratios
	@$(py) -m pytest bench $(ARGS)
	@$(py) -m bench

hbase: $(VENV)/.made ## start a real HBase with its Thrift gateway for an hour (needs Java and Maven)
	@$(py) -m tools.hbase.hbase start $(ARGS)

hbase-stop: $(VENV)/.made ## stop it
	@$(py) -m tools.hbase.hbase stop

test-hbase: $(VENV)/.core ## the tests against a real HBase (needs Java and Maven, otherwise skipped)
	@$(py) -m pytest -m hbase tests/hbase --ignore tests/hbase/test_regions.py $(ARGS)

test-hbase-cluster: $(VENV)/.core ## RegionPool on three real region servers, each with a gateway (1.5 GB)
	@$(py) -m pytest -m hbase tests/hbase/test_regions.py $(ARGS)

GUARD := tests/adapters/test_guard.py tests/adapters/test_faults.py tests/adapters/test_storm.py tests/adapters/test_tables.py \
	tests/adapters/test_aio_guard.py tests/adapters/test_aio_writes.py tests/adapters/test_aio_faults.py \
	tests/adapters/test_aio_cancelled.py

test-codec: $(VENV)/.core ## the guard's tests without the codec, and with one that leaves messages at random to thriftpy2
	@FASTPOOL_CODEC=off $(with) $(py) -m pytest $(GUARD) $(ARGS)
	@FASTPOOL_CODEC=refuse $(with) $(py) -m pytest $(GUARD) $(ARGS)

fuzz: $(VENV)/.core ## the codec's C parts under clang's libFuzzer, AddressSanitizer and UBSan, for a minute (needs clang)
	@$(py) -m pytest -m stress tests/adapters/test_codec_fuzz.py $(ARGS)

test-haproxy: $(VENV)/.core ## HAProxy before three in-memory gateways (needs haproxy, otherwise skipped)
	@$(py) -m pytest -m haproxy tests/adapters $(ARGS)

test-redis: $(VENV)/.core ## long tests with a real Redis, Sentinel and cluster (needs redis-server, otherwise skipped)
	@$(py) -m pytest -m redis tests/adapters $(ARGS)

cassandra: $(VENV)/.made ## start a real Cassandra with CQL and Thrift for an hour (needs Java and Maven)
	@$(py) -m tools.cassandra.cassandra start $(ARGS)

cassandra-stop: $(VENV)/.made ## stop it
	@$(py) -m tools.cassandra.cassandra stop

test-cassandra: $(VENV)/.core ## the tests against a real Cassandra (needs Java and Maven, otherwise skipped)
	@$(py) -m pytest -m cassandra tests/cassandra $(ARGS)

test-postgres: $(VENV)/.core ## PostgreSQL servers that stop and start, and pgbouncer (needs postgresql and pgbouncer, otherwise skipped)
	@$(py) -m pytest -m "postgres or not postgres" tests/postgres $(ARGS)

test-drivers: $(VENV)/.core ## the drivers and the drop-in for DBUtils on PostgreSQL and MariaDB (otherwise skipped)
	@$(py) -m pytest -m drivers tests/pool tests/adapters $(ARGS)

test-distributed: $(VENV)/.distributed $(VENV)/.core ## the tests in Dask's, Ray's and PySpark's workers (PySpark needs Java)
	@$(py) -m pytest -m distributed tests/distributed $(ARGS)

set-up-3.14: ## an environment with CPython 3.14 (brought first if there is none: Linux and Maven, half a minute)
	@tools/find-python.sh 3.14 >/dev/null 2>&1 || tools/python-3.14.sh
	@python=$$(tools/find-python.sh 3.14) && \
		$(MAKE) --no-print-directory .venv-3.14/.core VENV=.venv-3.14 PYTHON="$$python"

test-3.14: set-up-3.14 ## the whole suite on CPython 3.14
	@$(MAKE) --no-print-directory test VENV=.venv-3.14

# PYTHON_GIL=0: not every extension that the tests bring in declares itself ready, and one that does not turns the GIL on
test-freethreaded: ## the whole suite on a free-threaded 3.13 (built first if there is none: Debian, 3 minutes)
	@tools/find-python.sh 3.13t >/dev/null 2>&1 || tools/build-python.sh 3.13t
	@python=$$(tools/find-python.sh 3.13t) && \
		$(MAKE) --no-print-directory test VENV=.venv-3.13t PYTHON="$$python" with='env PYTHON_GIL=0'

test-all: ## the suite on every Python at hand
	@set -e; for python in $$(tools/find-python.sh --all); do \
		series=$$("$$python" -c 'import sys, sysconfig as s; print("%d.%d" % sys.version_info[:2] + "t" * bool(s.get_config_var("Py_GIL_DISABLED")))'); \
		case $$series in *t) gil='env PYTHON_GIL=0' ;; *) gil= ;; esac; \
		echo "== CPython $$series"; \
		$(MAKE) --no-print-directory test VENV=.venv-$$series PYTHON="$$python" with="$$gil"; done

# ---- looking and shipping

model: $(VENV)/.test ## check the models of the protocols by Spin (needs spin; otherwise skipped)
	@$(py) -m pytest -m "not hbase and not cassandra" tests/model $(ARGS)

probe: $(VENV)/.core ## build the test-only module that drives the C parts alone (the tests do so themselves)
	@$(py) tools/native.py tests/_probe.pyx

annotate: $(VENV)/.core ## src/fastpool/_core/core.html: which lines of the core touch Python
	@FASTPOOL_ANNOTATE=1 CYTHON_FORCE_REGEN=1 $(py) setup.py --quiet build_ext --inplace
	@ls src/fastpool/_core/*.html

# written in Go, and PyPI's package of it fetches a program from elsewhere; without Go the workflows are checked by zizmor alone
$(VENV)/.actionlint: $(VENV)/.made
	@if ! command -v go >/dev/null; then echo "no Go here: actionlint is left out"; \
		elif ! GOBIN=$(abspath $(VENV))/bin go install $(ACTIONLINT); then echo "actionlint could not be brought"; fi
	@touch $@

lint: $(VENV)/.lint $(VENV)/.core $(VENV)/.actionlint ## style, types, and the stub of the compiled module
	@$(py) -m ruff check .
	@$(py) -m ruff format --check .
	@$(py) -m mypy
	@$(py) -m mypy --platform win32 src/fastpool/_shared
	@$(py) -m mypy.stubtest --ignore-disjoint-bases fastpool._core.core
	@PATH="$(abspath $(VENV))/bin:$$PATH" cython-lint src/fastpool tests
	@$(VENV)/bin/zizmor --quiet --offline --persona=pedantic .github
	@if [ -x $(VENV)/bin/actionlint ]; then $(VENV)/bin/actionlint; fi

format: $(VENV)/.lint ## let ruff mend what it can
	@$(py) -m ruff check --fix .
	@$(py) -m ruff format .

docs: $(VENV)/.docs ## the documentation as a site, in build/site; a warning is an error
	@$(py) setup.py --quiet build_ext --inplace
	@$(py) -m sphinx --builder html --fail-on-warning --keep-going --quiet --jobs auto docs build/site
	@echo "build/site/index.html"

docs-check: $(VENV)/.docs-check $(VENV)/.core docs ## look at each page of the site in a headless browser (needs Chromium, Node and npm)
	@$(py) -m tools.site.check $(ARGS) build/site
	@$(py) -m pytest -q -m browser tests/test_site_check.py

figures: $(VENV)/.bench $(VENV)/.core ## draw docs/figures/*.svg from bench/figures/ (ARGS=measure measures first: 3 minutes)
	@$(py) -m bench.figures $(ARGS)

wheels: $(VENV)/.ship ## an sdist, manylinux wheels from it for the Pythons at hand, each tried where no compiler is
	@$(py) -m tools.wheels $(ARGS)

ship-check: $(VENV)/.ship ## an sdist and one wheel, built offline, and what twine, check-wheel-contents and pyroma say of them
	@$(py) -m tools.wheels --offline $(py)
	@$(py) -m tools.ship_check

reproducible: $(VENV)/.ship ## build sdist and wheel twice, in different places: they must be the same, byte by byte
	@$(py) -m tools.reproducible

changelog: $(VENV)/.ship ## what changes.d will be in CHANGES.md (ARGS='--version X.Y.Z --yes' at a release: moves it there)
	@$(py) -m towncrier build $(or $(ARGS),--draft --version Unreleased)

budgets: $(VENV)/.core ## count what a checkout costs, and add what differs to its history, tests/pool/budgets.csv
	@$(py) -m tests.pool.budget_history

test-cross: $(VENV)/.ship $(VENV)/.core ## the core and the codec for other systems: compiled without a warning, run under QEMU and Wine
	@$(py) -m pytest -m cross tests/process/test_cross.py $(ARGS)

clean: ## remove everything that was built or brought in
	@if [ -x $(py) ]; then for kind in hbase cassandra; do $(py) -m tools.$$kind.$$kind stop >/dev/null; done; fi
	@rm -rf .venv .venv-* .cache build dist wheelhouse .pytest_cache .hypothesis .benchmarks .mypy_cache .ruff_cache
	@rm -rf src/*.egg-info src/*.so src/fastpool/_core/*.so src/fastpool/_core/*.c src/fastpool/_core/*.html src/fastpool/adapters/_thrift/codec/*.so src/fastpool/adapters/_thrift/codec/*.c tests/_probe.c tests/_probe.html
	@find src tests bench tools -name __pycache__ -prune -exec rm -rf {} +
