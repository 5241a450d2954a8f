"""Configs that the configs of custom datasets inherit."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmvan.data.prepare.base_config import find_base, load_base, published_weights
from mmvan.errors import ConfigError
from mmvan.location import config_dir


@pytest.mark.parametrize(
    "name",
    (
        "van_t_fpn",
        "van_t_fpn.py",
        "segmentation/van_t_fpn",
        "configs/segmentation/van_t_fpn.py",
        str(config_dir() / "segmentation/van_t_fpn.py"),
    ),
)
def test_a_config_of_mmvan(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_base(name, "segmentation") == config_dir() / "segmentation/van_t_fpn.py"


def test_a_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("van_t_fpn.py").write_text("")
    assert find_base("van_t_fpn.py", "segmentation") == Path("van_t_fpn.py")


@pytest.mark.parametrize(
    ("name", "task", "message"),
    (
        ("van_t_fpm", "segmentation", "no config of mmvan has that name. Did you mean van_t_fpn"),
        ("my/van_t_fpn", "segmentation", "--config my/van_t_fpn: no such file"),
        ("x", "detection", "Detection has van_b6_mask2former_panoptic, van_b_atss_3x, "),
        ("runtime", "detection", "no config of mmvan has that name"),
        ("van_t_fpn", "detection", "is for segmentation; expected a config for detection: van_b"),
    ),
)
def test_a_name_that_cannot_be(name: str, task: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_base(name, task)
    assert message in str(caught.value)


def test_a_config_that_needs_other_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="some objects in --annotations have no segmentation"):
        load_base("van_t_maskrcnn", "detection")
    assert load_base("van_t_maskrcnn", "detection", masks=True).model.type == "MaskRCNN"
    assert load_base("van_t_retinanet", "detection").model.type == "RetinaNet"
    with pytest.raises(ConfigError, match="is for panoptic annotations"):
        load_base("van_b_mask2former_panoptic", "detection", masks=True)
    own = tmp_path / "own.py"
    fpn = config_dir() / "segmentation/van_t_fpn.py"
    own.write_text(f"_base_ = {str(fpn)!r}\n")
    with pytest.raises(ConfigError, match=r"own\.py is for segmentation; expected .* detection$"):
        load_base(str(own), "detection")
    own.write_text(
        f"_base_ = {str(fpn)!r}\ndata = _base_.train_dataloader.dataset\n"
        "train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=2, "
        "dataset=data))\n"
    )
    with pytest.raises(ConfigError, match="is a RepeatDataset around another dataset"):
        load_base(str(own), "segmentation")


def test_a_config_in_pure_python(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from mmseg.models import EncoderDecoder\n\nmodel = dict(type=EncoderDecoder)\n"
        "train_dataloader = val_dataloader = train_cfg = dict(dataset=dict())\n"
    )
    with pytest.raises(ConfigError, match=r"own\.py names classes themselves"):
        load_base(str(own), "segmentation")


def test_published_weights(tmp_path: Path) -> None:
    folder = config_dir() / "classification"
    address = published_weights(folder / "van_t_in1k.py")
    assert address
    assert address.endswith("/van_tiny_754.pth.tar")
    assert published_weights(folder / "van_t_in1k_without_1x1.py") is None
    assert published_weights(tmp_path / "van_t_in1k.py") is None
