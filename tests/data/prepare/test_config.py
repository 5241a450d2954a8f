"""Configs that are written for custom datasets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from PIL import Image

from mmvan.config_check import find_problems
from mmvan.data.prepare.config import Classification, Detection, Segmentation, write_config
from mmvan.engine.config import load_config
from mmvan.errors import ConfigError
from mmvan.location import config_dir

CLASSES = ("sky", 'it\'s "odd"', "<metainfo>", "Straße")
MANY = tuple(f"class {number}" for number in range(120))
DATA = {
    "cls": Classification(CLASSES, 1000),
    "masks": Detection(CLASSES, 1000, masks=True, partial=False),
    "boxes": Detection(CLASSES, 1000, masks=False, partial=True),
    "seg": Segmentation(CLASSES, 1000, ((0, 1, 2),) * 4, ".jpg", ".png"),
}
HEADS = {
    "cls": ("head",),
    "masks": ("roi_head.bbox_head", "roi_head.mask_head"),
    "boxes": ("bbox_head",),
    "seg": ("decode_head",),
}
TASKS = {"classification": "cls", "detection": "masks", "segmentation": "seg"}
# All of mmvan's that fit data of one's own.
CONFIGS = [
    f"{task}/{path.stem}"
    for task in TASKS
    for path in sorted((config_dir() / task).glob("*.py"))
    if not path.stem.endswith("_panoptic")
]


@pytest.fixture(params=DATA)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def cfg(kind: str, tmp_path: Path) -> Config:
    return Config.fromfile(write_config(DATA[kind], tmp_path))


def test_every_kind_names_classes_and_data(kind: str, cfg: Config, tmp_path: Path) -> None:
    assert cfg.filename == str(tmp_path / f"van_b_{tmp_path.name}.py")
    heads = [cfg.model for _ in HEADS[kind]]
    for index, key in enumerate(HEADS[kind]):
        for part in key.split("."):
            heads[index] = heads[index][part]
    assert {head.num_classes for head in heads} == {4}
    for loader in ("train", "val", "test"):
        dataset = cfg[f"{loader}_dataloader"].dataset
        assert tuple(dataset.metainfo.classes) == CLASSES
        assert dataset.data_root == tmp_path.as_posix()
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator


@pytest.mark.parametrize("name", (None, "van_t_in1k", "van_h_in22k_in1k_384"))
def test_own_photographs_are_read_upright(name: str | None, tmp_path: Path) -> None:
    cfg = Config.fromfile(write_config(DATA["cls"], tmp_path, name))
    base = Config.fromfile(config_dir() / f"classification/{name or 'van_b_custom'}.py")
    image = Image.new("RGB", (60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        first, *rest = cfg[loader].dataset.pipeline
        assert rest == base[loader].dataset.pipeline[1:]
        loaded = TRANSFORMS.build(first)({"img_path": str(tmp_path / "a.jpg")})
        assert loaded["ori_shape"] == (60, 40)


def test_the_base_is_named_relative_to_the_file(cfg: Config) -> None:
    lines = Path(cfg.filename).read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# mmvan train {cfg.filename}"
    (line,) = (line for line in lines if line.startswith("_base_ = "))
    base = line.partition('"')[2].rstrip('"')
    assert not Path(base).is_absolute()
    assert Path(os.path.normpath(Path(cfg.filename).parent / base)).is_file()


def test_label_zero_is_a_class(tmp_path: Path) -> None:
    text = write_config(DATA["seg"], tmp_path).read_text(encoding="utf-8")
    assert "reduce_zero_label=True" not in text
    cfg = Config.fromfile(tmp_path / f"van_b_{tmp_path.name}.py")
    assert cfg.train_dataloader.dataset.pipeline[2].scale == (2048, 512)
    assert cfg.train_dataloader.dataset.metainfo.palette == [(0, 1, 2)] * 4
    used = [cfg[f"{name}_dataloader"] for name in ("train", "val", "test")] + [cfg.tta_pipeline]
    assert "'reduce_zero_label': True" not in repr(used)
    # Of each loader the dataset and the pipeline, and the pipeline of the augmented test.
    assert repr(used).count("'reduce_zero_label': False") == 7


def test_a_part_may_lack_categories(tmp_path: Path) -> None:
    assert Config.fromfile(write_config(DATA["boxes"], tmp_path)).allow_empty_categories is True


def test_a_config_that_is_there_is_kept(tmp_path: Path) -> None:
    file = write_config(DATA["cls"], tmp_path)
    file.write_text("mine = 1\n")
    assert write_config(DATA["seg"], tmp_path) == file
    assert file.read_text() == "mine = 1\n"


def resized(data: Any, images: int) -> Any:
    return type(data)(**{**vars(data), "images": images})


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_of_mmvan_fits(name: str, tmp_path: Path) -> None:
    data = DATA[TASKS[name.partition("/")[0]]]
    file = write_config(data, tmp_path, name)
    assert file.name == f"{Path(name).name}_{tmp_path.name}.py"
    cfg = load_config(str(file), None, ("train_cfg",))
    assert list(find_problems(cfg, ("train", "val", "test"))) == []
    assert {
        value for path, value in leaves(cfg.model) if path.endswith(".num_classes") and value
    } == {4}
    for loader in ("train", "val", "test"):
        dataset = cfg[f"{loader}_dataloader"].dataset
        assert dataset.data_root == tmp_path.as_posix()
        assert tuple(dataset.metainfo.classes) == CLASSES
        assert len(dataset.metainfo.get("palette", CLASSES)) == len(CLASSES)
        assert dataset.pipeline[-1].type.startswith("Pack")


def leaves(node: Any, path: str = "") -> list[tuple[str, Any]]:
    """All values that are neither dictionaries nor lists, with their dotted keys."""
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, (list, tuple)):
        children = list(enumerate(node))
    else:
        return [(path, node)]
    return [leaf for key, child in children for leaf in leaves(child, f"{path}.{key}")]


@pytest.mark.parametrize(
    ("kind", "config", "images", "batch", "lr", "length"),
    (
        ("cls", "van_t_in1k", 20, 8, 1.25e-5, 334),
        ("cls", "van_t_in1k", 12_500, 64, 1e-4, 60),
        ("cls", "van_t_in1k", 150_000, 64, 1e-4, 10),
        ("boxes", "van_t_retinanet", 10, 2, 1.25e-5, 200),
        ("boxes", "van_t_retinanet", 29_316, 2, 1.25e-5, 24),
        ("boxes", "van_t_retinanet", 234_532, 2, 1.25e-5, 6),
        ("seg", "van_t_upernet", 10, 2, 7.5e-6, 1000),
        ("seg", "van_t_upernet", 367, 2, 7.5e-6, 23_200),
        ("seg", "van_t_upernet", 40_000, 2, 7.5e-6, 1_280_000),
    ),
)
def test_the_schedule_fits_the_size(
    kind: str, config: str, images: int, batch: int, lr: float, length: int, tmp_path: Path
) -> None:
    cfg = Config.fromfile(write_config(resized(DATA[kind], images), tmp_path, config))
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == batch
    assert cfg.optim_wrapper.optimizer.lr == lr
    assert cfg.optim_wrapper.optimizer.type == "AdamW"
    assert cfg.train_cfg.get("max_epochs", cfg.train_cfg.get("max_iters")) == length
    assert cfg.train_cfg.type.startswith("mmvan.")
    assert cfg.param_scheduler[-1].end in (length, length + 1)
    assert cfg.default_hooks.checkpoint.interval == cfg.train_cfg.val_interval


def test_a_classifier_of_imagenet_is_fine_tuned(tmp_path: Path) -> None:
    cfg = Config.fromfile(write_config(DATA["cls"], tmp_path, "van_t_in1k"))
    assert cfg.model.backbone.arch == "b0"
    assert cfg.model.backbone.init_cfg.checkpoint.endswith("/van_tiny_754.pth.tar")
    assert cfg.model.train_cfg is None
    assert cfg.train_dataloader.drop_last is False
    assert cfg.val_evaluator.topk == (1,)
    large = Config.fromfile(write_config(DATA["cls"], tmp_path, "van_h_in22k_in1k_384"))
    assert "van-b4-in22k" in large.model.backbone.init_cfg.checkpoint
    assert large.optim_wrapper.optimizer.lr == 1e-4
    # Without weights, its own recipe is all that is known.
    odd = Config.fromfile(write_config(DATA["cls"], tmp_path, "van_t_in1k_without_1x1"))
    assert odd.train_cfg.max_epochs == 310
    assert odd.model.train_cfg.augments[0].type == "Mixup"


def test_a_config_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    base = config_dir() / "detection/van_t_retinanet.py"
    own.write_text(f"_base_ = {str(base)!r}\ntrain_cfg = dict(max_epochs=24)\n")
    target = tmp_path / "bolts"
    target.mkdir()
    file = write_config(resized(DATA["boxes"], 117_266), target, str(own))
    assert file == target / "mine_bolts.py"
    assert '_base_ = "../mine.py"' in file.read_text()
    assert Config.fromfile(file).train_cfg.max_epochs == 24


def test_masks_are_not_learnt_from_boxes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config van_t_maskrcnn learns masks"):
        write_config(DATA["boxes"], tmp_path, "van_t_maskrcnn")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CONFIGS[::3])
def test_the_file_is_short_and_formatted(name: str, tmp_path: Path) -> None:
    pytest.importorskip("ruff")
    data = DATA[TASKS[name.partition("/")[0]]]
    many: dict[str, Any] = {"classes": MANY}
    if isinstance(data, Segmentation):
        many["palette"] = tuple((number, 255, 0) for number in range(len(MANY)))
    file = write_config(type(data)(**{**vars(data), **many}), tmp_path, name)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) < 140
    long = ("# mmvan train ", "weights")
    assert all(len(line) <= 100 for line in lines if not line.startswith(long))
    assert not any(line.strip().rstrip(",").isdecimal() for line in lines)
    command = (sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100")
    told = subprocess.run([*command, "--diff", file], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "")


def test_one_line_for_each_transform(tmp_path: Path) -> None:
    text = write_config(DATA["seg"], tmp_path).read_text(encoding="utf-8")
    begin = text.index("train_pipeline = [")
    lines = text[begin : text.index("]\n", begin)].splitlines()[1:]
    pipeline = Config.fromfile(config_dir() / "segmentation/van_b_fpn.py").train_pipeline
    assert len(lines) == len(pipeline)
    assert all(line.startswith("    dict(type=") for line in lines)
