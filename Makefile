# Countersign. `make run` shows the main job, `make serve` keeps the host up, `make test` and `make check` judge it.
PYTHON ?= python3.13
BIN := .venv/bin
ROUNDS ?= 20
export PYTHONDONTWRITEBYTECODE=
RUN_ARGS = $(if $(DATA),--data "$(DATA)") $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help run serve test check format infra bench cost quality chaos openapi emulators test-emulators emulators-stop clean

help:  ## what there is to do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/local: requirements.txt requirements-local.txt constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.13 is needed: install it, or set PYTHON=/path/to/python3.13"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-local.txt
	@touch $@

.venv/dev: .venv/local requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv/amqp: .venv/local requirements-amqp.txt
	@command -v $${CC:-cc} >/dev/null || { echo "AMQP needs a C compiler: its protocol engine comes as source alone"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-amqp.txt
	@touch $@

run: .venv/local  ## the main job on a sample statement; DATA=FILE.csv takes your own
	@$(BIN)/python -m local run $(RUN_ARGS)

serve: .venv/local $(if $(AMQP),.venv/amqp)  ## keep the local host up on http://127.0.0.1:7071 (Ctrl-C stops it; data stays in .countersign/); AMQP=1 takes messages from Service Bus SDKs
	@$(BIN)/python -m local serve $(if $(AMQP),--amqp) $(ARGS)

test: .venv/dev  ## all tests that need no network and no cloud
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/dev  ## format, lint, types, import contracts, infrastructure beside the code
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m infra.check

format: .venv/dev  ## put the code into its one format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

infra: .venv/dev  ## write what infrastructure takes from the code, and hold it to the code
	@$(BIN)/python -m infra.generate
	@$(BIN)/python -m infra.check

bench: .venv/dev  ## speed beside a hand-written writer, measured in one run
	@$(BIN)/python -m benchmarks $(ARGS)

cost: .venv/dev  ## count what commands ask of Azure and write docs/scale-and-cost.md (ARGS=--page: from kept counts)
	@$(BIN)/python -m benchmarks.cost $(ARGS)

quality: .venv/dev  ## precision and recall of every lane that judges
	@$(BIN)/python -m evals.quality $(ARGS)

chaos: .venv/local  ## kill -9 amid statements and transfers, restart, check that nothing was lost or done twice (ROUNDS=20)
	@$(BIN)/python -m local chaos --rounds $(ROUNDS) $(ARGS)

openapi: .venv/dev  ## write docs/openapi.json and docs/schemas anew
	@$(BIN)/python -m functions.openapi

emulators: .venv/local  ## start Microsoft's emulators in containers and print their settings (ACCEPT_EULA=Y; needs Docker)
	@$(BIN)/python -m emulators up

test-emulators: .venv/dev  ## the live tests and two journeys over the emulators, once they are up
	@$(BIN)/python -m emulators test $(ARGS)

emulators-stop: .venv/local  ## take the emulators down, with what they hold
	@$(BIN)/python -m emulators stop

clean:  ## remove the environment and the local host's data
	rm -rf .venv .countersign
