# The commands: `make demo`, `make demo-sagemaker`, `make services`, `make test`. All set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
S3_PORT ?= 5901
SAGEMAKER_PORT ?= 5902

.PHONY: demo demo-sagemaker services test check slow docs versions clean

demo: $(VENV)/core
	$(BIN)/renate experiment=demo

# S3 and SageMaker on this machine, until Ctrl-C; prints what another shell exports to find them
services: $(VENV)/services
	@exec $(BIN)/python -m tests.backends.services.start --s3-port $(S3_PORT) --sagemaker-port $(SAGEMAKER_PORT)

demo-sagemaker: $(VENV)/services
	@$(BIN)/python -m tests.backends.services.demo

# three processes on two cores: a fifth of the time is spent waiting for timeouts and services
test: $(VENV)/dev check
	$(BIN)/python -m pytest -q -n 3 --dist worksteal -m "not slow and not by_hand and not aws" tests

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file benchmarks/mypy.ini

# what `make test` leaves out, but for what runs by hand
slow: $(VENV)/dev
	$(BIN)/python -m pytest -q -n 3 --dist worksteal -m "slow and not by_hand and not aws" tests

# the documentation as a site, in build/site; any warning is an error
docs: $(VENV)/docs
	$(BIN)/python docs/site.py
	$(BIN)/python -m mkdocs build --strict --quiet

# the tests on other Pythons and with the lowest torch and Lightning; downloads gigabytes
versions:
	.ci/versions

# torch first and by its pin: a range could bring in another build
$(VENV)/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/services: $(VENV)/core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[sagemaker,services]'
	touch $@

$(VENV)/dev: $(VENV)/core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

$(VENV)/docs: $(VENV)/core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) dist build
