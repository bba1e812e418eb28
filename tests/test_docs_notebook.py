"""docs/neural_style_transfer.ipynb: no outputs are kept, and its cells run one after another."""

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

NOTEBOOK = Path(__file__).parent.parent / "docs" / "neural_style_transfer.ipynb"
QUICK = (
    'choices = {"weights": "random", "size": "48", "iter": 2, "evaluations": 5, "scales": "1", '
    '"content_layers": "block1_conv2", "style_layers": "block1_conv1"}'
)


def test_outputs_are_stripped():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) == 3
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_cells_paint(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    cells[0].source = f"import os; os.chdir({str(NOTEBOOK.parent)!r})\n" + cells[0].source
    cells[1].source += f"\nos.chdir({str(tmp_path)!r})\n{QUICK}\n"
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    with Image.open(tmp_path / "painted.png") as painted:
        assert painted.size == (48, 32)
        pictures = [
            o.data["image/png"] for o in cells[2].outputs if "image/png" in o.get("data", {})
        ]
        with Image.open(io.BytesIO(base64.b64decode(pictures[-1]))) as last:
            assert last.tobytes() == painted.tobytes()
    curves = [o.data["text/html"] for o in cells[2].outputs if "text/html" in o.get("data", {})]
    assert any("evaluation 10, loss" in text for text in curves)
