"""What the page shows of predictions."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from mmvan.app import models
from mmvan.app.models import HEADERS, TABS, answer, load_models
from mmvan.app.uploads import Limits
from mmvan.errors import CheckpointError, ConfigError, DataError
from tests.app.small_models import SAMPLES, demo_model, panoptic_model
from tests.configs.zoo import CONFIGS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    return tmp_path / "a.png"


@pytest.mark.parametrize("tab", TABS)
def test_every_task_answers(tab: str, file: Path) -> None:
    model = demo_model(tab)
    assert model.tab == tab
    found = answer([model], model.name, file, 0.0, 1.0, Limits())
    assert np.array_equal(found.image, cv2.imread(str(file))[..., ::-1])
    assert found.drawn.shape == found.image.shape
    assert (found.drawn != found.image).any()
    assert found.told.startswith("90 x 60 pixels, ")
    assert found.told.endswith("s on cpu")
    assert found.rows
    assert {len(row) for row in found.rows} == {len(HEADERS[tab])}


def test_a_classifier_gives_its_best_five(file: Path) -> None:
    model = demo_model("Classify")
    found = answer([model], model.name, file, 0.3, 1.0, Limits())
    assert list(found.scores.values()) == sorted(found.scores.values(), reverse=True)
    assert len(found.scores) == 5
    assert set(found.scores) <= set(model.meta["classes"])


def test_the_shares_of_the_classes_add_up(file: Path) -> None:
    model = demo_model("Segment")
    found = answer([model], model.name, file, 0.3, 1.0, Limits())
    assert sum(float(row[1]) for row in found.rows) == pytest.approx(100, abs=0.1)


def test_without_opacity_nothing_is_drawn(file: Path) -> None:
    model = demo_model("Segment")
    full, half, none = (
        answer([model], model.name, file, 0.3, opacity, Limits()) for opacity in (1.0, 0.5, 0.0)
    )
    assert np.array_equal(none.drawn, none.image)
    middle = (full.drawn.astype(float) + full.image) / 2
    assert np.abs(half.drawn - middle).max() <= 1


def test_objects_below_the_threshold_are_left_out_and_the_best_come_first() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 20], [1, 2, 4, 6], [0, 0, 1, 1]])
    instances = InstanceData(
        bboxes=boxes, scores=torch.tensor([0.4, 0.9, 0.1]), labels=torch.tensor([1, 0, 0])
    )
    model = demo_model("Detect")
    sample = type("Sample", (), {"pred_instances": instances, "__contains__": lambda *_: False})()
    first, second = model.meta["classes"][:2]
    assert model._rows(sample, 0.3) == [
        [first, 0.9, 1, 2, 3, 4],
        [second, 0.4, 0, 0, 10, 20],
    ]


def test_a_panoptic_model_is_among_the_segmentors(monkeypatch: pytest.MonkeyPatch) -> None:
    model = demo_model("Detect")
    monkeypatch.setitem(model.cfg.model, "panoptic_head", {"type": "Any"})
    assert model.tab == "Segment"
    # Of ten pixels four are the second thing, four the third class, two nothing.
    ids = torch.tensor([[1001] * 4 + [2] * 4 + [len(model.meta["classes"])] * 2])

    class Sample:
        pred_panoptic_seg = PixelData(sem_seg=ids[None])

        def __contains__(self, name: str) -> bool:
            return name == "pred_panoptic_seg"

    names = model.meta["classes"]
    assert model._rows(Sample(), 0.3) == [[names[2], 40.0], [names[1], 40.0]]


def test_a_panoptic_model_answers(file: Path) -> None:
    model = panoptic_model()
    assert model.tab == "Segment"
    found = answer([model], model.name, file, 0.0, 1.0, Limits())
    assert f", {len(found.rows)} segments; " in found.told
    assert (found.drawn != found.image).any()
    names = [str(row[0]) for row in found.rows]
    assert len(set(names)) == len(names) > 1
    assert sum(float(row[1]) for row in found.rows) <= 100.1


def test_segments_of_one_class_are_numbered() -> None:
    names = ["sea", "laptop", "cup", "laptop"]
    assert models._number(names) == ["sea", "laptop 1", "cup", "laptop 2"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    (
        ("a Detect model", b"text", DataError, "is no image that can be read"),
        ("a Detekt model", None, ConfigError, "Did you mean a Detect model"),
    ),
)
def test_what_cannot_be_answered(
    name: str, content: bytes | None, error: type[Exception], message: str, file: Path
) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(error, match=message):
        answer([demo_model("Detect")], name, file, 0.3, 1.0, Limits())


def test_a_damaged_image_is_refused(file: Path) -> None:
    """Its header is good, and the pixels are not there."""
    file.write_bytes(file.read_bytes()[:200])
    model = demo_model("Classify")
    with pytest.raises(DataError, match="not a readable image"):
        answer([model], model.name, file, 0.3, 1.0, Limits())


def test_models_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    built = demo_model("Classify").predictor.model
    monkeypatch.setattr(models, "build_model", lambda cfg, address, device: built)
    config = str(CONFIGS / SAMPLES["Classify"])
    loaded = load_models([(config, "a.pth"), (config, "b.pth")], "cpu")
    assert [model.name for model in loaded] == ["van_t_in1k_sample", "van_t_in1k_sample 2"]


def test_a_model_needs_weights() -> None:
    with pytest.raises(ConfigError, match="--model is missing"):
        load_models([], "cpu")
    with pytest.raises(CheckpointError, match="CHECKPOINT is missing"):
        load_models([(str(CONFIGS / SAMPLES["Detect"]), None)], "cpu")
