"""The notebook is valid, holds no output, and runs from its first cell to its last."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.docs.test_commands import Place
from tests.forks import forked_python
from tests.tools.workplace import PROJECT

NOTEBOOK = json.loads((PROJECT / "notebooks" / "get_started.ipynb").read_text("utf-8"))
INSTALLS = "install"
NEEDS_GRAD_CAM = "needs-grad-cam"
SECONDS = 900  # Half a minute of computing, on machines that do other things too.
SHELL = re.compile(r"^(\s*)!(.*)$", re.MULTILINE)
MAGIC = re.compile(r"^\s*%", re.MULTILINE)


def code_cells() -> list[dict[str, Any]]:
    return [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def tagged(cell: dict[str, Any], tag: str) -> bool:
    return tag in cell["metadata"].get("tags", ())


def as_python(cell: dict[str, Any]) -> str:
    """The cell with its shell commands as calls that must succeed."""
    text = "".join(cell["source"]).replace("\\\n", " ")
    return SHELL.sub(r"\1subprocess.run(r'''\2''', shell=True, check=True)", text)


def test_it_is_a_notebook_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    cells = NOTEBOOK["cells"]
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids) > 10
    assert [cell["id"] for cell in code_cells() if cell["outputs"] or cell["execution_count"]] == []
    assert all(isinstance(line, str) for cell in cells for line in cell["source"])


def test_only_the_first_cell_installs() -> None:
    first, *others = code_cells()
    assert tagged(first, INSTALLS)
    assert not any(tagged(cell, INSTALLS) for cell in others)
    # What this test cannot run.
    assert [cell["id"] for cell in others if MAGIC.search("".join(cell["source"]))] == []


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    """As plain Python, in the folder that the notebooks of a clone are in."""
    place = Place(tmp_path)
    place.furnish()
    left_out = {INSTALLS}
    if importlib.util.find_spec("pytorch_grad_cam") is None:
        left_out.add(NEEDS_GRAD_CAM)
    chosen = [cell for cell in code_cells() if not any(tagged(cell, tag) for tag in left_out)]
    (tmp_path / "notebooks").mkdir()
    done = subprocess.run(
        [forked_python(), "-c", "\n".join(["import subprocess", *map(as_python, chosen)])],
        cwd=tmp_path / "notebooks",
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (top1,) = re.findall(r"Epoch\(test\).*accuracy/top1: ([\d.]+)", done.stdout + done.stderr)
    assert float(top1) > 10
    results = tmp_path / "outputs" / "notebook"
    predictions = json.loads((results / "predictions.json").read_text())
    assert len(predictions) == len(list((results / "images").rglob("*.*"))) == 40
    assert len((results / "van.csv").read_text().splitlines()) > 4
    assert (results / "cam.png").exists() == (NEEDS_GRAD_CAM not in left_out)
