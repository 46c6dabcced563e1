# Everything happens in a local virtual environment with pinned versions (constraints.txt).
PYTHON ?= $(firstword $(foreach one,python3.11 python3.12 python3.13,$(shell command -v $(one))) python3)
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := pyproject.toml constraints.txt $(shell find builder export package -type f -not -path "*/__pycache__/*")

.PHONY: help demo test test-quick check docs screenshots notebooks heads bench format clean

help:
	@echo "make demo       build from scikit-learn's digits, run all four formats, print a table"
	@echo "make test       run the tests against the installed wheel"
	@echo "make test-quick the same without the slow tests"
	@echo "make check      lint, types, documentation"
	@echo "make format     format the code"
	@echo "make notebooks  run the notebooks; POCKETKNN_DATA=FOLDER runs them on your data"
	@echo "make docs       build the documentation"
	@echo "make screenshots  take the pictures of README and of the documentation"
	@echo "make heads      convert the heads that come with the package again"
	@echo "make bench      compare times and memory with common ways on an idle machine, for half an hour"

# The package is installed as a wheel, never as a link to this folder: what is tested is what ships.
$(VENV)/installed: $(SOURCES)
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" || { \
		echo "pocketknn is for Python 3.11, 3.12 and 3.13; name one: make PYTHON=python3.12" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	rm -rf build/lib build/bdist.* dist
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt build
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m build --wheel --outdir dist . > dist.log 2>&1 || { cat dist.log; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		"$$(ls dist/*.whl)[test,check,notebooks,docs]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	rm -f dist.log
	touch $@

demo: $(VENV)/installed
	$(BIN)/pocketknn demo --out demo

# Two processes on two cores: more threads in each only wait for one another. What one of them has
# left is taken over by the other.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test: $(VENV)/installed
	$(PYTEST) $(TESTS)

# Without the slow tests; for another Python, see tests/on_debian.sh.
test-quick: $(VENV)/installed
	$(PYTEST) -m "not slow" $(TESTS)

# Also builds the documentation: a broken link or an unknown name is an error.
# Types are checked in the installed package: no checker knows that folder `builder` is pocketknn.builder.
check: $(VENV)/installed docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	for system in linux darwin win32; do \
		$(BIN)/mypy --platform $$system -p pocketknn.builder -p pocketknn.export || exit 1; done

# After a change of the graph: a build then needs no converter for the usual choices.
heads: $(VENV)/installed
	rm -rf export/templates/ready
	$(BIN)/python -m pocketknn.export.templates.make_ready export/templates/ready

# Writes executed copies to build/notebooks; the notebooks in git have no outputs.
notebooks: $(VENV)/installed
	mkdir -p build/notebooks
	POCKETKNN_DATA="$(abspath $(or $(POCKETKNN_DATA),notebooks/data))" \
		$(BIN)/jupyter execute notebooks/*.ipynb --output '../build/notebooks/{notebook_name}'
	@echo "the executed notebooks are in build/notebooks"

# Not --quiet: mkdocs counts only the warnings that it prints.
docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --config-file docs/mkdocs.yml --strict
	@echo "open build/docs/index.html"

# Of a model built from drawings; needs Chromium and npm, and says so without.
screenshots: $(VENV)/installed
	$(BIN)/python docs/screenshots.py

# BENCH=--references FILE and so on, for real embeddings; see the first lines of benchmarks/search.py.
# Each part prints its own tables; the last step prints the ratios of all of them.
RATIOS := build/bench/ratios.txt

bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		"$$(ls dist/*.whl)[bench]"
	mkdir -p $(dir $(RATIOS))
	rm -f $(RATIOS)
	$(BIN)/python benchmarks/whole.py --summary $(RATIOS)
	$(BIN)/python benchmarks/search.py --summary $(RATIOS) --out build/bench/search.md $(BENCH)
	$(BIN)/python benchmarks/large.py --summary $(RATIOS)
	$(BIN)/python benchmarks/export.py --summary $(RATIOS)
	$(BIN)/python benchmarks/embedding.py --summary $(RATIOS)
	$(BIN)/python benchmarks/answers.py --summary $(RATIOS)
	@$(BIN)/python benchmarks/summary.py $(RATIOS)

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist demo *.egg-info
