# Everything that a developer does with this checkout. `make` alone prints the list.

SHELL := /bin/sh
.DEFAULT_GOAL := help
# A target that failed is not left half made.
.DELETE_ON_ERROR:
# Another environment that happens to be active has no say in this one.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

# Python 3.11 or newer to make the environment with; the first suitable one found when empty: make run PYTHON=python3.12
PYTHON ?=
# Tests at the same time, and more arguments for pytest: make test ARGS="-k digest -x"
JOBS ?= 2
ARGS ?=
# Where `make run` listens, where it is not as configured: make run PORT=8080 HOST=0.0.0.0. The environment has no say,
# where HOST may be the name of the machine.
HOST :=
PORT :=
# Databases that the tests run on, and the tests that are run again on those after the first.
DATABASES ?= sqlite postgresql mariadb
DATABASE_TESTS := tests/db tests/http tests/operations tests/server tests/stores/test_database.py
# The tests of the house and of the documentation, that `make check` runs. They are among the tests of `make test` too.
HOUSE ?= tests/house tests/docs

PY := .venv/bin/python
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: help venv run test check format demo docs bench lock changelog clean

help: ## print this list
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

run: .venv/.package ## start the service with an embedded database (HOST=127.0.0.1 PORT=9494); print a curl line to try
	.venv/bin/glare-server serve --quickstart$(if $(HOST), --bind-host '$(HOST)')$(if $(PORT), --bind-port '$(PORT)')

# Status 5 is pytest's "no test is chosen": ARGS may choose tests that are about one database only. A database whose
# tests fail does not keep the others from theirs; Ctrl-C ends them all.
test: venv ## run the tests (JOBS=2 at a time, more arguments in ARGS); those of the service once for each of DATABASES
	@failed=; trap 'exit 130' INT; for database in $(DATABASES); do \
		folders=; [ $$database = sqlite ] || folders="$(DATABASE_TESTS)"; \
		case " $(ARGS)" in *" tests/"*) folders=;; esac; \
		echo "GLARE_TEST_DATABASE=$$database $(PY) -m pytest -n $(JOBS) $$folders $(ARGS)"; \
		GLARE_TEST_DATABASE=$$database $(PY) -m pytest -n $(JOBS) $$folders $(ARGS); status=$$?; \
		if [ $$status != 0 ] && [ $$status != 5 ]; then failed="$$failed $$database"; fi; \
	done; \
	if [ -n "$$failed" ]; then echo "tests failed on:$$failed" >&2; exit 1; fi

demo: .venv/.package ## show the main job on real input, end to end
	$(PY) demo/run.py

check: venv ## lint, format, types, import contract, changelog fragments, house rules and documentation
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	@echo '.venv/bin/towncrier build --draft'; \
	said=$$(.venv/bin/towncrier build --draft --version next 2>&1) || { echo "$$said"; exit 1; }
	@set -- $(HOUSE); [ $$# = 0 ] || { echo "$(PY) -m pytest $$*"; $(PY) -m pytest --quiet "$$@"; }

format: venv ## put the code into its format, and mend what ruff can mend
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: venv ## write the generated reference pages again
	$(PY) tools/reference.py

bench: venv ## measure, and print the numbers
	$(PY) bench/run.py

venv: .venv/.package .venv/.dev ## make the environment in .venv, with all that tests and checks need

lock: .venv-lock/.ready ## resolve requirements/*.in again into the locked requirements/*.txt
	@for name in requirements/run requirements/dev requirements/build requirements/lock requirements/client \
		requirements/keystone requirements/seaweedfs requirements/rclone requirements/image requirements/swift; do \
		echo "locking $$name.txt"; \
		.venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-config \
			--no-emit-index-url --no-emit-find-links --no-header --upgrade \
			$$name.in --output-file $$name.txt || exit 1; \
	done

changelog: venv ## show the changelog of what is not yet released
	.venv/bin/towncrier build --draft --version next

clean: ## remove environments, caches and builds; the data in var/ stays
	rm -rf .venv .venv-lock .venv-client .venv-keystone .venv-oidc-provider .venv-seaweedfs .venv-azurite .venv-rclone
	rm -rf .venv-swift build dist src/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is newer than what it was made from, so a second call does nothing.

.venv/.made:
	@sh tools/make-venv .venv $(PYTHON)
	@touch $@

.venv/.run: .venv/.made requirements/build.txt requirements/run.txt
	@echo "installing what the service needs into .venv"
	@$(INSTALL) -r requirements/build.txt -r requirements/run.txt
	@touch $@

.venv/.package: .venv/.run pyproject.toml
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	@echo "installing what tests and checks need into .venv"
	@$(INSTALL) -r requirements/dev.txt
	@touch $@

.venv-lock/.ready: requirements/lock.txt
	@sh tools/make-venv .venv-lock $(PYTHON)
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/lock.txt
	@touch $@
