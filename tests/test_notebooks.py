"""The notebooks: one a pipeline and one about the blocks, stored without outputs, and every cell of them runs."""

from itertools import cycle
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pipelines.catalogue import PIPELINES

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 600  # for a cell; on a free core it takes twenty at most


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def visible_files() -> set[Path]:
    """What a notebook that writes where it should not would add to."""
    folders = (ROOT, ROOT / "notebooks")
    return {path for folder in folders for path in folder.iterdir() if not path.name.startswith(".")}


def test_every_pipeline_has_a_notebook_and_so_have_the_blocks():
    assert [path.stem for path in NOTEBOOKS] == sorted(["blocks", *PIPELINES])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_without_traces_of_a_machine(path):
    notebook = read(path)
    nbformat.validate(notebook)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


# In turns from the folder of the notebooks, as Jupyter does it, and from the root of the repository.
@pytest.mark.parametrize(
    ("path", "folder"),
    zip(NOTEBOOKS, cycle((ROOT / "notebooks", ROOT)), strict=False),
    ids=[path.stem for path in NOTEBOOKS],
)
def test_a_notebook_runs_offline_and_writes_into_the_temporary_folder_alone(path, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody answers
    before = visible_files()
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(read(path), timeout=SECONDS, kernel_name="python3", resources=resources).execute()
    assert visible_files() == before
