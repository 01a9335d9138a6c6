PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo-$(shell date +%Y%m%d-%H%M%S)
BENCH := $(DEMO:runs/demo%=runs/bench%)

.PHONY: setup demo test lint bench lock

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-compile -r requirements.lock
	$(BIN)/python -m compileall -qq -j 0 -x /tests/ .venv/lib  # as pip would, on every core
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m toolkit.kernels.build
	touch $@

demo: setup
	$(BIN)/seqloom run configs/text_classification.yaml --out $(DEMO)
	$(BIN)/seqloom classify configs/samples/messages --model $(DEMO) --format table
	$(BIN)/seqloom run configs/forecasting.yaml --out $(DEMO)-co2
	$(BIN)/seqloom forecast configs/samples/co2.csv --model $(DEMO)-co2 --out $(DEMO)-co2/forecast.csv
	head -n 4 $(DEMO)-co2/forecast.csv
	$(BIN)/seqloom run configs/translation.yaml --out $(DEMO)-spanish
	$(BIN)/seqloom translate configs/samples/phrases.txt --model $(DEMO)-spanish
	@echo
	@echo "The reports with pictures: $(DEMO)/report.html $(DEMO)-co2/report.html $(DEMO)-spanish/report.html"

test: setup
	$(BIN)/pytest -q

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Timings beside peers, in environments of their own, and coverage of intervals; public data are in ../shared/data.
bench: setup .peers/installed .fasttext/installed .neuralforecast/installed
	PEER_PYTHON=.peers/bin/python $(BIN)/python benchmarks/recurrent_step.py
	PEER_PYTHON=.peers/bin/python $(BIN)/python benchmarks/translation_step.py
	PEER_PYTHON=.peers/bin/python $(BIN)/python benchmarks/joeynmt_pairs.py
	$(BIN)/python benchmarks/predict_step.py
	$(BIN)/python benchmarks/adam_step.py
	$(BIN)/python benchmarks/settings.py
	FASTTEXT_PYTHON=.fasttext/bin/python $(BIN)/python benchmarks/whole_jobs.py $(BENCH)
	$(BIN)/python benchmarks/cold_start.py $(BENCH)/text_classification-kernel-0
	$(BIN)/python benchmarks/forecast_cold_start.py $(BENCH)/forecasting-kernel-0 configs/samples/co2.csv
	$(BIN)/python benchmarks/translate_cold_start.py $(BENCH)/translation-kernel-0
	$(BIN)/python benchmarks/explain_seconds.py $(BENCH)/translation-kernel-0 "Wednesday, March 30, 2022"
	$(BIN)/python benchmarks/forecast_scale.py
	NEURALFORECAST_PYTHON=.neuralforecast/bin/python $(BIN)/python benchmarks/forecast_training.py $(BENCH)
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/short_series.py
	$(BIN)/seqloom run benchmarks/trec6.yaml --set training.epochs=1 --set model.members=1 --out $(BENCH)/trec6
	$(BIN)/python benchmarks/classify_lines.py $(BENCH)/trec6
	$(BIN)/python benchmarks/bucketing.py benchmarks/clinc150.yaml --set training.epochs=4 --set model.members=1

.peers/installed:
	$(PYTHON) -m venv .peers
	.peers/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 joeynmt==2.3.0 numpy
	touch $@

.fasttext/installed:
	$(PYTHON) -m venv .fasttext
	.fasttext/bin/pip install --quiet --disable-pip-version-check fasttext-numpy2==0.10.4
	touch $@

.neuralforecast/installed:
	$(PYTHON) -m venv .neuralforecast
	.neuralforecast/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 neuralforecast==3.3.0
	touch $@

lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --upgrade -o requirements.lock
