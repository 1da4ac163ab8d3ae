# Everything happens in .venv; `make demo` and `make test` create it on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
WORKERS ?= 3

.PHONY: demo test check format docs bench drill clean help

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt requirements-oracle.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,local]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-oracle.txt
	touch $@

demo: $(STAMP)  ## SFT and GRPO from random weights on the procedural world, evaluated and ranked
	$(BIN)/geospot demo

test: $(STAMP)  ## every test
	@$(BIN)/python -m compileall -q geospot backends leaderboard  # tests start the program hundreds of times
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

check: $(STAMP)  ## lint, format, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(STAMP)  ## write the format that `make check` asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)  ## the reference of the Python code, into build/docs
	$(BIN)/python -m tests.support.reference build/docs

bench: $(STAMP)  ## speed and memory, beside the peers, as ratios
	$(BIN)/python -m benchmarks

drill: $(STAMP)  ## kills, hostile inputs and long runs, many times over: nothing may be lost
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement tests/drills/requirements.txt
	$(BIN)/python -m tests.drills

clean:  ## remove what the targets made
	rm -rf .venv dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
