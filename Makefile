# Needs Python 3.11 or newer and make, nothing else. `make help` lists what there is.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: book test help html lint unit chapters site notebooks lock serve clean

# Only relative paths below: the folder may have any name.
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
STAMP := $(VENV)/installed
SITE := _build/html
BUILD := $(PY) scripts/build.py

# A checkout that was copied or moved still imports its own packages.
export PYTHONPATH := $(CURDIR):$(CURDIR)/book
export PIP_DISABLE_PIP_VERSION_CHECK := 1

book: export OMP_NUM_THREADS := 1
book: $(STAMP) ## execute every chapter, build the pages strictly, say where they are
	$(PY) scripts/notebooks.py --into _build/executed
	NNC_EXECUTED=_build/executed $(BUILD)
	@echo "The book is ready: open \"$(CURDIR)/$(SITE)/index.html\", or 'make serve'"

test: export OMP_NUM_THREADS := 1
test: lint unit chapters html site ## everything CI checks: lint, tests, chapters, pages, browser

help: ## this list
	@echo "Targets (PYTHON=python3.12 chooses the interpreter that .venv is made with):"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

html: $(STAMP) ## build the pages from the outputs stored in the notebooks, executing nothing
	$(BUILD)

lint: $(STAMP) ## ruff (rules and format) and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

unit: export OMP_NUM_THREADS := 1
unit: $(STAMP) ## the tests of the package and of the chapters' sources
	$(PY) -m pytest -n 2 -m "not site"

chapters: export OMP_NUM_THREADS := 1
chapters: $(STAMP) ## execute the chapters and compare with the outputs stored in them
	$(PY) -m pytest --nbval --nbval-current-env --nbval-sanitize-with tests/book/sanitise.cfg \
		-n 2 --dist loadfile book

site: $(STAMP) ## check the built pages: links, and a browser where there is one
	$(PY) -m pytest -n 2 -m site tests/book

notebooks: export OMP_NUM_THREADS := 1
notebooks: $(STAMP) ## execute the chapters in place and store their outputs
	$(PY) scripts/notebooks.py

lock: ## pin what is installed in .venv: requirements.lock and environment.yml
	$(PY) scripts/lock.py

serve: ## show the built pages on http://localhost:8000
	$(PY) -m http.server --directory $(SITE) --bind localhost 8000

clean: ## remove what was built (.venv stays; delete it by hand to start over)
	rm -rf _build _screenshots .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

$(STAMP): requirements.lock pyproject.toml scripts/venv.sh
	@sh scripts/venv.sh $(VENV) $(PYTHON)
	@touch $@
