# Every target sets up what it needs. Python 3.11 or newer: make test PYTHON=python3.12
.DEFAULT_GOAL := help
PYTHON ?= python3
TORCH ?= torch==2.13.0
JAX ?= jax==0.10.2
BIN = .venv/bin
PYTEST = -m pytest -q --dist worksteal --maxprocesses 4 --numprocesses
# Tests that start the program over and over; the others take a minute or two.
SLOW = resume faults backend_command script script_choices script_original script_pictures recipes recipes_command recipes_sheet \
	compare environments situations filter_sources streams notebook gallery gallery_workers tiles tiles_backends tile_map \
	fast fast_apply fast_backends video video_animate video_network cluster_ray \
	studio_page studio_runs studio_server studio_browser docs_notebook

# Of the page; and of pictures, with the Pillow that Gradio wants.
PAGE = tests/test_studio*.py tests/test_docs_notebook.py tests/test_pictures*.py tests/test_preprocessing.py tests/test_masks.py

.PHONY: help demo test test-fast test-backends test-studio test-video studio lint format bench clean

help:  # this list
	@grep -E '^[a-z-]+:.*  # ' Makefile | sed -E 's/^([a-z-]+):.*  # /make \1\t/' | expand -t 20

demo: .venv/ready  # paint samples/photo.jpg like samples/painting.jpg: out/demo.png
	$(BIN)/python neural_style_transfer.py samples/photo.jpg samples/painting.jpg out/demo --overwrite

test: lint  # lint, types and all tests
	$(BIN)/python $(PYTEST) auto

test-fast: .venv/ready-dev  # the tests that do not start the program over and over
	$(BIN)/python $(PYTEST) auto $(SLOW:%=--ignore=tests/test_%.py)

# The same tests below each backend. The two environments see all packages of .venv.
test-backends: .venv-torch/ready .venv-jax/ready  # the backends' tests below PyTorch and JAX
	KERAS_BACKEND=torch .venv-torch/bin/python $(PYTEST) 0 tests/test_backends.py tests/test_tiles_backends.py \
		tests/test_backend_command.py tests/test_filters_torch.py tests/test_filters_files.py tests/test_fast_backends.py
	KERAS_BACKEND=jax .venv-jax/bin/python $(PYTEST) 0 tests/test_backends.py tests/test_tiles_backends.py

studio: .venv-studio/ready  # the page to paint on
	.venv-studio/bin/python studio.py

test-studio: .venv-studio/ready-dev  # the page's tests, in Chromium where there is one
	.ci/browser .venv-studio
	NST_AXE=.venv-studio/node_modules/axe-core/axe.min.js .venv-studio/bin/python $(PYTEST) 2 -rs $(PAGE)

test-video: .venv-video/ready  # the tests of clips, with PyAV and OpenCV
	.venv-video/bin/python $(PYTEST) 0 -rs tests/test_video*.py

lint: .venv/ready-dev  # formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/ready-dev  # format, and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready-dev  # speed and memory, quickly
	$(BIN)/python benchmarks/evaluation.py --quick
	$(BIN)/python benchmarks/scaling.py --quick

.venv/ready: requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

.venv/ready-dev: requirements-compare.txt requirements-dev.txt .venv/ready
	$(BIN)/python -m pip install --quiet \
		--requirement requirements-compare.txt --requirement requirements-dev.txt
	touch $@

.venv-torch/ready: PACKAGE = $(TORCH)
.venv-jax/ready: PACKAGE = $(JAX)
.venv-torch/ready .venv-jax/ready: .venv/ready-dev
	test -x $(@D)/bin/python || $(BIN)/python -m venv $(@D)
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> $$($(@D)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/shared.pth
	$(@D)/bin/python -m pip install --quiet $(PACKAGE)
	touch $@

.venv-video/ready: requirements-video.txt .venv/ready-dev
	test -x $(@D)/bin/python || $(BIN)/python -m venv $(@D)
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> $$($(@D)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/shared.pth
	$(@D)/bin/python -m pip install --quiet --requirement requirements-video.txt
	touch $@

# Gradio wants Pillow below 13, so the page has an environment of its own.
.venv-studio/ready: requirements.txt requirements-studio.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --requirement requirements.txt --requirement requirements-studio.txt
	touch $@

.venv-studio/ready-dev: .venv-studio/ready
	$(@D)/bin/python -m pip install --quiet pytest pytest-timeout pytest-xdist hypothesis scikit-image \
		playwright nbclient nbformat ipykernel
	touch $@

clean:  # remove environments, caches and out/
	rm -rf .venv .venv-torch .venv-jax .venv-studio .venv-video .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info out
