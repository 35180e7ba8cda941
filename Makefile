# A machine needs Python 3.11 or newer, git and make; uv is installed into .uv/ when it is missing.
UV := $(shell command -v uv || echo .uv/bin/uv)
RUN := $(UV) run --quiet
export PATH := $(PATH):$(CURDIR)/.uv/bin

.PHONY: demo test lint release release-tags

demo: $(UV) ## render a project with the defaults, start it, ask it three questions and gate it
	@python3 tools/demo.py

test: lint ## every check and every test
	@$(RUN) pytest -n 2 --dist worksteal

lint: $(UV) ## style, types and workflows; the rendered projects are checked by the tests
	@$(RUN) ruff check --quiet .
	@$(RUN) ruff format --check --quiet .
	@$(RUN) mypy --no-error-summary
	@$(RUN) zizmor --offline --quiet --no-progress .github $(wildcard template/.github)

release: $(UV) ## tag HEAD and record it: make release VERSION=1.2.3
	@$(RUN) python -m tools.release cut "$(VERSION)"

release-tags: $(UV) ## create the tags that this clone came without
	@$(RUN) python -m tools.release tags

.uv/bin/uv:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "slipway: Python 3.11 or newer is needed as python3 (found: $$(python3 --version 2>&1))" >&2; exit 1; }
	@python3 -m venv .uv && .uv/bin/pip install --quiet uv || \
		{ rm -rf .uv; echo "slipway: uv could not be installed into .uv/; see above (Debian: apt-get install python3-venv)" >&2; exit 1; }
