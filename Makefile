# The README's two commands: `make demo` and `make test`. Each starts from a bare checkout.
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo "$$p" && break; done)
SYSTEM_PACKAGES := gcc libpcsclite-dev pcscd vsmartcard-vpcd $(if $(CARDQUORUM_REQUIRE_ALL),chromium)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint bench fuzz system clean

demo: $(VENV)/.run
	$(BIN)/cardquorum demo

test: $(VENV)/.test lint
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test
	$(BIN)/python -m pytest tests/benchmarks -m bench

# Every fuzz target at once, for SECONDS; a finding becomes a file of tests/fuzz/corpus.
SECONDS ?= 60
fuzz: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "cardquorum needs Python 3.11, 3.12 or 3.13 and found none;" \
		"on Debian: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -y -qq python3-venv; } || { \
		echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@touch $@

# What a user needs. The validation engine has no wheel for every machine: then the own check serves.
$(VENV)/.run: $(VENV)/.python pyproject.toml
	@$(BIN)/python -m pip install --quiet --only-binary py-bitcoinkernel -e '.[regtest]' || { \
		echo "no py-bitcoinkernel wheel for this machine: transactions get the own check"; \
		$(BIN)/python -m pip install --quiet -e .; }
	@touch $@

$(VENV)/.test: $(VENV)/.run | system
	$(BIN)/python -m pip install --quiet --group dev
	@$(BIN)/python -m pip install --quiet --group judges || \
		echo "left out: the tests that drive the vendors' own clients (they need: $(SYSTEM_PACKAGES))"
	@touch $@

# System packages: installed as root on Debian, asked for elsewhere.
system:
	@missing=$$(for p in $(SYSTEM_PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	test -z "$$missing" && exit 0; \
	if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq $$missing >/dev/null; \
	else \
		echo "left out: the tests with the vendors' own clients and with readers; to run them:" \
			"sudo apt install $$missing"; \
	fi

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
