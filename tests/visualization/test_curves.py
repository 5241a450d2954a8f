import json
from pathlib import Path

import pytest
from PIL import Image

from mmvan.visualization.curves import plot_curves, read_log


def write_run(work_dir: Path, run: str, *entries: dict[str, float]) -> None:
    log = work_dir / run / "vis_data" / "scalars.json"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_the_newest_run_is_read_and_plotted(tmp_path: Path) -> None:
    write_run(tmp_path, "20260101_000000", {"loss": 9.0, "step": 1})
    write_run(
        tmp_path,
        "20260102_000000",
        {"lr": 0.1, "loss": 2.0, "time": 0.5, "epoch": 1, "iter": 10, "step": 10},
        {"lr": 0.1, "loss": 1.0, "time": 0.5, "epoch": 1, "iter": 20, "step": 20},
        {"coco/bbox_mAP": 0.25, "step": 1},
    )
    log = read_log(tmp_path)
    assert log == {
        "lr": [(10, 0.1), (20, 0.1)],
        "loss": [(10, 2.0), (20, 1.0)],
        "coco/bbox_mAP": [(1, 0.25)],
    }
    out = tmp_path / "curves.png"
    plot_curves({"one": log, "two": {}}, out)
    with Image.open(out) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert len(colours) > 20


def test_a_directory_without_a_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} has no .*scalars.json"):
        read_log(tmp_path)
