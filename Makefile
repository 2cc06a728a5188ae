# make            the environment .venv with everything in it
# make demo       compile ResNet-34, run it on a photo, learn the digits; under a minute
# make check      style, types
# make test       the tests of every day; make test-long the ones that take minutes
# make test-oldest   the tests of every day with the oldest versions pyproject.toml admits
# make bench      the benchmarks
# make mutants    how many small faults in the rules of shapes and costs the tests notice; about 20 minutes

PYTHON ?= python3
JOBS ?= auto
BIN := .venv/bin
STAMP := .venv/.installed
OLD := .venv-oldest

.PHONY: all demo check format test test-long test-oldest bench mutants clean
.DELETE_ON_ERROR:

all: $(STAMP)

$(STAMP): pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || \
	  { rm -rf .venv; apt-get install --yes --quiet python3-venv && $(PYTHON) -m venv .venv; }  # Debian keeps it apart
	$(BIN)/python -m pip install --quiet --editable '.[all,dev]'
	@touch $@

demo: $(STAMP)
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash benchmarks/demo.sh

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS)

test-long: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) -m long

test-oldest: $(OLD)/.installed
	$(OLD)/bin/python -m pytest -q -n $(JOBS)

$(OLD)/.installed: pyproject.toml benchmarks/oldest.py
	$(PYTHON) -m venv --clear $(OLD)
	$(OLD)/bin/python benchmarks/oldest.py pyproject.toml > $(OLD)/oldest.txt
	$(OLD)/bin/python -m pip install --quiet -r $(OLD)/oldest.txt
	$(OLD)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

bench: $(STAMP)
	@for name in cold_start compile_time torch_speed onnx_export onnx_speed; do $(BIN)/python benchmarks/$$name.py || exit 1; done

mutants: $(STAMP)
	$(BIN)/python benchmarks/mutants.py --sample 150

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
