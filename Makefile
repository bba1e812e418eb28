PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test clean

demo: .venv/ready
	$(BIN)/python neural_style_transfer.py samples/photo.jpg samples/painting.jpg out/demo \
		--height 256 --overwrite

test: .venv/ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q --numprocesses auto --maxprocesses 4 --dist worksteal

.venv/ready: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	touch $@

clean:
	rm -rf .venv out
