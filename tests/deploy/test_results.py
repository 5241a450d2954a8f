"""A folder of images goes through a file of any format; broken images are named."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmvan.deploy import packages
from mmvan.deploy.export import Export
from mmvan.deploy.images import draw_images
from mmvan.deploy.results import run_folder
from mmvan.deploy.runtimes import open_runtime
from mmvan.errors import DataError, DeployError
from tests.deploy.small import request

IMAGES = 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    draw_images(folder / "below", IMAGES)
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.mark.slow
def test_a_classifier_writes_the_five_best_classes(
    checkpoints: dict[str, Path], tmp_path: Path, folder: Path
) -> None:
    asked = request(
        "classification", checkpoints["classification"], "torchscript", tmp_path, batch=2
    )
    export = Export(asked)
    export.write()
    runtime = open_runtime(asked.out, 1)
    summary = run_folder(runtime, folder, tmp_path / "results.csv", batch=1)
    assert (summary.done, len(summary.skipped)) == (IMAGES, 1)
    assert "broken.jpg cannot be read" in summary.skipped[0]
    assert summary.seconds >= summary.computing > 0
    with (tmp_path / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 5 * IMAGES
    assert {row["image"] for row in rows} == {f"below/{i:02}.png" for i in range(IMAGES)}
    assert [row["rank"] for row in rows[:5]] == list("12345")
    classes = runtime.contract.classes
    assert all(classes[int(row["label"])] == row["class"] for row in rows)
    scores = [float(row["score"]) for row in rows[:5]]
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(DeployError, match=r"a classifier writes one table; name it with \.csv"):
        run_folder(runtime, folder, tmp_path / "results", batch=1)


@pytest.mark.slow
def test_a_segmentor_writes_masks_in_the_size_of_the_image(
    checkpoints: dict[str, Path], tmp_path: Path, folder: Path
) -> None:
    asked = request("segmentation", checkpoints["segmentation"], "torchscript", tmp_path)
    Export(asked).write()
    runtime = open_runtime(asked.out, 1)
    summary = run_folder(runtime, folder, tmp_path / "out", batch=4)
    assert summary.done == IMAGES
    masks = sorted((tmp_path / "out" / "below").glob("*.mask.png"))
    overlays = sorted((tmp_path / "out" / "below").glob("*.overlay.png"))
    assert len(masks) == len(overlays) == IMAGES
    mask = np.asarray(Image.open(masks[0]))
    original = Image.open(folder / "below" / "00.png")
    assert mask.shape == (original.height, original.width)
    assert mask.max() < len(runtime.contract.classes)
    # Half the image, half the colour of its class.
    colours = np.array(runtime.contract.palette)[mask]
    expected = (np.asarray(original, float) + colours) / 2
    assert np.abs(np.asarray(Image.open(overlays[0]), float) - expected).max() <= 1


@pytest.mark.slow
def test_features_are_written_as_arrays(
    checkpoints: dict[str, Path], tmp_path: Path, folder: Path
) -> None:
    asked = request("detection", checkpoints["detection"], "torchscript", tmp_path)
    Export(asked).write()
    summary = run_folder(open_runtime(asked.out, 1), folder, tmp_path / "out", batch=1)
    assert summary.done == IMAGES
    files = sorted((tmp_path / "out" / "below").glob("*.npz"))
    assert len(files) == IMAGES
    with np.load(files[0]) as maps:
        shapes = [maps[name].shape for name in sorted(maps)]
    assert shapes == [(128, 16, 24), (128, 8, 12), (128, 4, 6), (128, 2, 3), (128, 1, 2)]


@pytest.mark.slow
def test_a_folder_without_a_readable_image_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    asked = request("classification", checkpoints["classification"], "torchscript", tmp_path)
    Export(asked).write()
    runtime = open_runtime(asked.out, 1)
    folder = tmp_path / "images"
    folder.mkdir()
    with pytest.raises(DataError, match=r"IMAGES .*images: no image in it \(\.jpg"):
        run_folder(runtime, folder, tmp_path / "out.csv", 1)
    (folder / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"none can be read: .*broken\.png"):
        run_folder(runtime, folder, tmp_path / "out.csv", 1)
    with pytest.raises(DeployError, match=r"takes uint8 images of shape \(1, 3, 64, 96\)"):
        runtime.run(np.zeros((1, 3, 64, 64), np.uint8))
    failing = replace(runtime, call=lambda images: [images[7]])
    with pytest.raises(DeployError, match=r"fails on images of shape \(1, 3, 64, 96\): index 7"):
        failing.run(np.zeros((1, 3, 64, 96), np.uint8))
    with pytest.raises(DeployError, match="takes uint8 images, 0 to 255, got float32"):
        runtime.run(np.zeros((1, 3, 64, 96), np.float32))


@pytest.mark.parametrize("ending", (".onnx", ".xml", ".pt", ".pt2"))
def test_a_damaged_file_is_named(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"van{ending}"
    with pytest.raises(DeployError, match="no such file; expected one that tools"):
        open_runtime(file)
    file.write_bytes(b"damaged")
    if ending == ".xml":
        with pytest.raises(DeployError, match=r"its weights, .*van\.bin, are not beside it"):
            open_runtime(file)
        file.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(DeployError, match=rf"van\{ending} cannot be loaded: "):
        open_runtime(file)


def test_an_unknown_ending_is_named(tmp_path: Path) -> None:
    (tmp_path / "van.engine").write_bytes(b"")
    with pytest.raises(DeployError, match=r"the ending must be one of \.onnx, \.xml, \.pt, \.pt2"):
        open_runtime(tmp_path / "van.engine")


def test_a_missing_runtime_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str) -> None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(packages.importlib, "import_module", absent)
    (tmp_path / "van.onnx").write_bytes(b"")
    with pytest.raises(
        DeployError, match=r"van\.onnx needs onnxruntime, which is not installed: pip install "
    ) as error:
        open_runtime(tmp_path / "van.onnx")
    assert "mmvan[deploy]" in str(error.value)
