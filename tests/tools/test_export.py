"""The commands that export a model and run the file, as a user calls them."""

import csv
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.tools.workplace import CONFIGS, COUNTS, Workplace

CLASSIFIER = CONFIGS / "classification" / "van_t_in1k_sample.py"
VAL = Path("data", "sample", "imagenet", "val")


@pytest.mark.slow
def test_export_then_infer(workplace: Workplace, classifier: Path, tmp_path: Path) -> None:
    file = tmp_path / "van.onnx"
    export = (CLASSIFIER, classifier, "--format", "onnx", "--out", file, "--threads", "1")
    said = workplace.succeed("export.py", *export, "--fold", "--images", VAL)
    assert f"{file}: max difference " in said
    assert "labels agree with predict in 100.00% of 8" in said

    table = tmp_path / "results.csv"
    (workplace.root / VAL / "broken.jpg").write_bytes(b"no image")
    said = workplace.succeed("infer_exported.py", file, VAL, "--out", table, "--threads", "1")
    (workplace.root / VAL / "broken.jpg").unlink()
    count = 10 * COUNTS["cls"][1]
    assert f"{count} images, " in said
    assert "skipped: data/sample/imagenet/val/broken.jpg cannot be read" in said
    with table.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 5 * count

    damage(file)
    status, out, err = workplace.run("export.py", *export, "--verify-only")
    assert status == 1, out + err
    assert "beyond the tolerance of 0.0001" in err
    assert "Traceback" not in err


def damage(file: Path) -> None:
    """Take the half of the largest weight away."""
    proto = onnx.load(file)
    largest = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = np.frombuffer(largest.raw_data, np.float32).copy()
    values[: len(values) // 2] = 0
    largest.raw_data = values.tobytes()
    onnx.save(proto, file)


def test_what_cannot_be_is_refused(workplace: Workplace, tmp_path: Path) -> None:
    page = tmp_path / "van.pth"
    page.write_text("<!DOCTYPE html>")
    said = workplace.refuse("export.py", CLASSIFIER, page, "--format", "onnx")
    assert f"CHECKPOINT {page} is not a checkpoint: it is an HTML page" in said
    said = workplace.refuse("infer_exported.py", tmp_path / "van.xml", VAL)
    assert "van.xml: no such file; expected one that tools/export.py wrote" in said
