# The README's two commands: `make demo` and `make test`. Each starts from a bare checkout.
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo "$$p" && break; done)
SYSTEM_PACKAGES := gcc libpcsclite-dev pcscd vsmartcard-vpcd python3-electrum $(if $(CARDQUORUM_REQUIRE_ALL),chromium postgresql pgbouncer)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start the program hundreds of times: it is compiled once, whatever the shell asks for.
export PYTHONDONTWRITEBYTECODE :=

# Everything is installed from locks/, by hash: by uv, which boot.txt brings, else by pip.
INSTALL = if test -x $(BIN)/uv; then set -- $(BIN)/uv pip install --python $(VENV); \
	else set -- $(BIN)/python -m pip install; fi; "$$@" --quiet --no-build-isolation
HASHED := --require-hashes --no-deps
WHEELS := --only-binary :all: --no-binary embit
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

.PHONY: demo test test-all test-intrusion ready lint style bench fuzz man locks sbom system clean

demo: $(VENV)/.run
	$(BIN)/cardquorum demo
	@echo "next, led by the hand on emulated cards: $(BIN)/cardquorum guide --practice"

test: ready
	$(BIN)/python -m pytest -n auto --dist worksteal

# Style and types are checked while the tests are compiled: else each of their processes compiles all.
ready: $(VENV)/.test
	@$(BIN)/python -m pytest --collect-only -q >$(VENV)/collected.log 2>&1 & collecting=$$!; \
	$(MAKE) --no-print-directory lint || { kill $$collecting; exit 1; }; \
	wait $$collecting || { cat $(VENV)/collected.log; exit 1; }

lint: style
	$(BIN)/mypy

style: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/deptry .

# `make test`, and every further version, source and moment of what one case of each kind shows.
test-all: ready
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not bench and not intrusion" --chance $$(date +%s)

# Every family, every command: other programs and resets at a reader (a quarter of an hour).
test-intrusion: $(VENV)/.test
	$(BIN)/python -m pytest tests/readers/test_intrusion.py -m intrusion

bench: $(VENV)/.test
	$(BIN)/python -m pytest tests/benchmarks -m bench

# Every fuzz target at once, for SECONDS; a finding becomes a file of tests/fuzz/corpus.
SECONDS ?= 60
fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

$(VENV)/.python: locks/boot.txt
	@test -n "$(PYTHON)" || { echo "cardquorum needs Python 3.11, 3.12 or 3.13 (not 3.14 yet) and found none;" \
		"on Debian: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -y -qq python3-venv; } || { \
		echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r locks/boot.txt \
		|| echo "uv cannot be had here: pip takes longer"
	@touch $@

# What a user needs. The validation engine has no wheel for every machine: then the own check serves.
$(VENV)/.run: $(VENV)/.python pyproject.toml locks/build.txt locks/run.txt locks/base.txt
	@$(INSTALL) $(HASHED) --only-binary :all: -r locks/build.txt
	@$(INSTALL) $(HASHED) $(WHEELS) -r locks/run.txt || { \
		echo "no py-bitcoinkernel wheel for this machine: transactions get the own check"; \
		$(INSTALL) $(HASHED) $(WHEELS) -r locks/base.txt; }
	@$(INSTALL) --no-deps --no-index -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run locks/test.txt locks/judges.txt locks/swig.txt | system
	@export PATH="$(abspath $(BIN)):$$PATH"; \
	$(INSTALL) $(HASHED) --only-binary :all: -r locks/swig.txt && \
	$(INSTALL) $(HASHED) -r locks/judges.txt || { \
		echo "left out: the tests that drive the vendors' own clients (they need: $(SYSTEM_PACKAGES))"; \
		$(INSTALL) $(HASHED) -r locks/test.txt; }
	$(BIN)/python -m pip check
	@touch $@

# What pyproject.toml asks for, pinned by version and hash for Python 3.11 to 3.13 and every platform.
# What is pinned stays; RENEW=NAME takes the newest of one package, RENEW=all of each.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make locks' \
	$(if $(RENEW),$(if $(filter all,$(RENEW)),--upgrade,--upgrade-package $(RENEW)))
locks: $(VENV)/.python
	$(COMPILE) pyproject.toml --all-extras --group dev --group fuzz --group judges --group browser -o locks/judges.txt
	$(COMPILE) pyproject.toml --extra regtest --extra page --group dev --group fuzz --group browser -c locks/judges.txt -o locks/test.txt
	$(COMPILE) pyproject.toml --extra regtest --extra page -c locks/judges.txt -o locks/run.txt
	$(COMPILE) pyproject.toml --extra page -c locks/judges.txt -o locks/base.txt
	$(COMPILE) --group build -c locks/judges.txt -o locks/build.txt
	$(COMPILE) --group swig -o locks/swig.txt
	$(COMPILE) --group sbom -o locks/sbom.txt
	$(COMPILE) --group boot -o locks/boot.txt

# What a user's installation holds, as CycloneDX: dist/cardquorum.cdx.json.
SBOM := build/sbom
sbom: $(VENV)/.run locks/sbom.txt
	rm -rf $(SBOM)
	$(BIN)/uv venv --quiet --python $(BIN)/python $(SBOM)/installed
	$(BIN)/uv venv --quiet --python $(BIN)/python $(SBOM)/tool
	$(BIN)/uv pip install --quiet --python $(SBOM)/tool --require-hashes -r locks/sbom.txt
	$(BIN)/uv pip install --quiet --python $(SBOM)/installed --require-hashes --no-deps $(WHEELS) -r locks/run.txt
	mkdir -p dist
	$(SBOM)/tool/bin/cyclonedx-py environment $(SBOM)/installed/bin/python --pyproject pyproject.toml \
		--mc-type application --output-reproducible --of JSON -o dist/cardquorum.cdx.json

# The man page, from the commands themselves.
man: $(VENV)/.run
	$(BIN)/python -c "from coordinator.cli import build, manual, command_tree; \
		print(manual.man_page(build(command_tree.WHOLE)), end='')" > docs/cardquorum.1
	@mkdir -p docs/completion
	$(BIN)/cardquorum completion bash > docs/completion/cardquorum
	$(BIN)/cardquorum completion zsh > docs/completion/_cardquorum
	$(BIN)/cardquorum completion fish > docs/completion/cardquorum.fish

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
