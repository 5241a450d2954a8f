"""Every published setting is what our configs say, or is named here as one that no config has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmdet
import mmseg
import pytest
from mmengine.config import Config

from mmvan.engine.training import EMA_DECAY
from tests.configs.published import (
    METHODS_1X,
    METHODS_3X,
    PANOPTIC,
    PUBLISHED,
    RECIPE,
    RECIPES,
    configs_of,
    recipe_of,
    settings_of,
)
from tests.configs.zoo import ARCH_OF_SIZE, REFERENCE, find, load, method_and_size

Reader = Callable[[Config], Any]


def at(path: str) -> Reader:
    """Reads a dotted place of a config."""

    def read(cfg: Config) -> Any:
        node = cfg
        for part in path.split("."):
            node = node[int(part) if part.isdigit() else part]
        return node

    return read


def step(loader: str, kind: str, key: str) -> Reader:
    """Reads an argument of the one transform of a type in the pipeline of a loader."""

    def read(cfg: Config) -> Any:
        pipeline = cfg[f"{loader}_dataloader"].dataset.pipeline
        (transform,) = [t for t in pipeline if t.type == kind]
        return transform[key]

    return read


def gpus(cfg: Config) -> float:
    return cfg.auto_scale_lr.base_batch_size / cfg.train_dataloader.batch_size


def crop(cfg: Config) -> int:
    """The side of the square that segmentors are trained on."""
    (side,) = {
        *step("train", "RandomCrop", "crop_size")(cfg),
        *cfg.model.data_preprocessor.size,
    }
    return side


def norm(cfg: Config) -> str:
    (kind,) = {cfg.model.backbone.norm_cfg.type, cfg.model.decode_head.norm_cfg.type}
    return kind


def single_scale(cfg: Config) -> float:
    width, height = step("test", "Resize", "scale")(cfg)
    train_width, train_height = step("train", "RandomResize", "scale")(cfg)
    assert width / train_width == height / train_height
    return width / train_width


def augmented_tests(cfg: Config) -> list[Any]:
    return cfg.tta_pipeline[1].transforms


def multi_scale(cfg: Config) -> list[float]:
    width, height = step("test", "Resize", "scale")(cfg)
    scales = [resize.scale for resize in augmented_tests(cfg)[0]]
    assert all(w / width == h / height for w, h in scales)
    return [w / width for w, _ in scales]


def is_flipped(cfg: Config) -> bool:
    (flips,) = [group for group in augmented_tests(cfg) if group[0].type == "RandomFlip"]
    return sorted(flip.prob for flip in flips) == [0, 1]


def resized_to(cfg: Config) -> list[Any]:
    """The sizes that the branch without a crop chooses from."""
    (whole,), _ = step("train", "RandomChoice", "transforms")(cfg)
    return whole.scales


def short_edges(cfg: Config) -> list[int]:
    edges = [min(size) for size in resized_to(cfg)]
    return [min(edges), max(edges)]


def long_edge(cfg: Config) -> int:
    (edge,) = {max(size) for size in resized_to(cfg)}
    return edge


def has_large_scale_jitter(cfg: Config) -> bool:
    """Simple Copy-Paste (arXiv 2012.07177): scales from 0.1 to 2.0, then crops of one size."""
    (padded,) = cfg.model.data_preprocessor.batch_augments
    sizes = {
        tuple(step("train", "RandomResize", "scale")(cfg)),
        tuple(step("train", "RandomCrop", "crop_size")(cfg)),
        tuple(padded["size"]),
    }
    return sizes == {(1024, 1024)} and step("train", "RandomResize", "ratio_range")(cfg) == (0.1, 2)


OPTIMIZER = {
    f"optimizer.{key}": at(f"optim_wrapper.optimizer.{key}")
    for key in ("type", "lr", "weight_decay")
}
BETAS = {"optimizer.betas": at("optim_wrapper.optimizer.betas")}
NORMALIZE = {f"normalize.{key}": at(f"model.data_preprocessor.{key}") for key in ("mean", "std")}
BACKBONE = {
    "drop_path": at("model.backbone.drop_path_rate"),
    "layer_norm_eps": at("model.backbone.out_norm_cfg.eps"),
}
DETECTION = {
    **OPTIMIZER,
    **BETAS,
    **NORMALIZE,
    "batch_size": at("auto_scale_lr.base_batch_size"),
}
DETECTION_3X = {
    **DETECTION,
    "schedule_3x.multi_scale_short_edge": short_edges,
    "schedule_3x.long_edge_max": long_edge,
}
# Images of train2017 (cocodataset.org).
COCO_IMAGES = 118287
READERS: dict[str, dict[str, Reader]] = {
    "in22k_in1k": {"epochs": at("train_cfg.max_epochs")},
    "cub200": {
        "optimizer": at("optim_wrapper.optimizer.type"),
        "lr": at("optim_wrapper.optimizer.lr"),
        "weight_decay": at("optim_wrapper.optimizer.weight_decay"),
        "batch_size": at("auto_scale_lr.base_batch_size"),
        "epochs": at("train_cfg.max_epochs"),
    },
    "in1k": {
        **OPTIMIZER,
        **BETAS,
        **BACKBONE,
        "gpus": gpus,
        "batch_per_gpu": at("train_dataloader.batch_size"),
        "optimizer.eps": at("optim_wrapper.optimizer.eps"),
        "clip_grad": lambda cfg: cfg.optim_wrapper.get("clip_grad") or "none",
        "label_smoothing": at("model.head.loss.label_smooth_val"),
        "seed": at("randomness.seed"),
        "eval.input": step("test", "CenterCrop", "crop_size"),
        "eval.resize_short_edge": step("test", "ResizeEdge", "scale"),
        "eval.interpolation": step("test", "ResizeEdge", "interpolation"),
        "eval.mean": at("model.data_preprocessor.mean"),
        "eval.std": at("model.data_preprocessor.std"),
    },
    **dict.fromkeys(METHODS_1X, DETECTION),
    **dict.fromkeys(METHODS_3X, DETECTION_3X),
    PANOPTIC: {
        **DETECTION,
        "mask2former_panoptic.epochs": lambda cfg: round(
            cfg.train_cfg.max_iters * gpus(cfg) * cfg.train_dataloader.batch_size / COCO_IMAGES
        ),
        "mask2former_panoptic.batch_size": at("auto_scale_lr.base_batch_size"),
        "mask2former_panoptic.lr": at("optim_wrapper.optimizer.lr"),
        "mask2former_panoptic.large_scale_jitter": has_large_scale_jitter,
    },
    "fpn": {
        **OPTIMIZER,
        **NORMALIZE,
        **BACKBONE,
        "iterations": at("train_cfg.max_iters"),
        "gpus": gpus,
        "images_per_gpu": at("train_dataloader.batch_size"),
        "crop": crop,
        "resize.scale": step("train", "RandomResize", "scale"),
        "resize.ratio_range": step("train", "RandomResize", "ratio_range"),
        "random_crop_cat_max_ratio": step("train", "RandomCrop", "cat_max_ratio"),
        "neck.type": at("model.neck.type"),
        "neck.out_channels": at("model.neck.out_channels"),
        "neck.num_outs": at("model.neck.num_outs"),
        "head.type": at("model.decode_head.type"),
        "head.channels": at("model.decode_head.channels"),
        "head.feature_strides": at("model.decode_head.feature_strides"),
        "head.dropout": at("model.decode_head.dropout_ratio"),
        "head.align_corners": at("model.decode_head.align_corners"),
        "norm": norm,
        "test.scale": step("test", "Resize", "scale"),
        "test.keep_ratio": step("test", "Resize", "keep_ratio"),
        "test.resize_to_multiple_of": step("test", "ResizeToMultiple", "size_divisor"),
    },
    "upernet": {
        **OPTIMIZER,
        **BETAS,
        **BACKBONE,
        "iterations": at("train_cfg.max_iters"),
        "batch_size": at("auto_scale_lr.base_batch_size"),
        "images_per_gpu": at("train_dataloader.batch_size"),
        "crop": crop,
        "decode_head.type": at("model.decode_head.type"),
        "decode_head.channels": at("model.decode_head.channels"),
        "decode_head.pool_scales": at("model.decode_head.pool_scales"),
        "decode_head.dropout": at("model.decode_head.dropout_ratio"),
        "auxiliary_head.type": at("model.auxiliary_head.type"),
        "auxiliary_head.in_index": at("model.auxiliary_head.in_index"),
        "auxiliary_head.channels": at("model.auxiliary_head.channels"),
        "auxiliary_head.num_convs": at("model.auxiliary_head.num_convs"),
        "auxiliary_head.loss_weight": at("model.auxiliary_head.loss_decode.loss_weight"),
        "test.single_scale": single_scale,
        "test.multi_scale": multi_scale,
        "test.flip": is_flipped,
    },
}
# Settings that a test of their own compares: test_recipes_schedule.py, _decay.py, _augment.py,
# test_preprocessing.py (the crop ratio) and, for EMA and the inputs of fine-tuning, ones below.
ELSEWHERE = {
    "in22k_in1k": ("inputs",),
    "cub200": ("schedule",),
    "in1k": ("schedule.", "no_weight_decay_on", "augment.", "mixup.", "model_ema", "eval.crop_pct"),
    **dict.fromkeys(METHODS_1X, ("schedule_1x.", "optimizer.no_decay")),
    **dict.fromkeys(
        METHODS_3X,
        (
            *(f"schedule_3x.{key}" for key in ("epochs", "milestones", "warmup_", "crop_branch")),
            "optimizer.no_decay",
        ),
    ),
    PANOPTIC: ("optimizer.no_decay",),
    "fpn": ("schedule.",),
    "upernet": ("schedule.", "optimizer.no_decay"),
}
NO_RECIPES = ("key_layouts", "traps", "more_checkpoints")
# The published batch is 16 on every size; on 8 GPUs that is not the 4 images of B4's file.
DIFFERENT = {
    ("van_h_upernet", "images_per_gpu"): 2,
    ("van_h_upernet_in22k", "images_per_gpu"): 2,
}
COUNTS = {
    "in22k_in1k": (6, 1),
    "cub200": (1, 5),
    "in1k": (16, 17),
    **dict.fromkeys(METHODS_1X, (4, 7)),
    **dict.fromkeys(METHODS_3X, (1, 9)),
    PANOPTIC: (2, 11),
    "fpn": (6, 26),
    "upernet": (8, 22),
}


def test_every_published_recipe_has_configs() -> None:
    covered = {"classification_in1k", "detection_coco", "semantic_fpn_ade20k", "upernet_ade20k"}
    covered |= {"fine_tune_from_in22k", "cub_200"}
    assert set(RECIPES) == covered | set(NO_RECIPES)
    assert {method: len(configs_of(method)) for method in RECIPE} == {
        method: configs for method, (configs, _) in COUNTS.items()
    }
    assert sum(configs for configs, _ in COUNTS.values()) == len(PUBLISHED) == 51
    assert [path.stem for path in REFERENCE if path not in PUBLISHED] == ["van_b_mask2former"]


@pytest.mark.parametrize("method", RECIPE)
def test_every_published_setting_is_compared_somewhere(method: str) -> None:
    published = {name for path in configs_of(method) for name in settings_of(path)}
    others = ELSEWHERE[method]
    unread = {name for name in published if not name.startswith(others)}
    assert unread == set(READERS[method])
    assert len(unread) == COUNTS[method][1]
    for other in others:
        assert any(name.startswith(other) for name in published), other


@pytest.mark.smoke
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_settings_are_the_published_ones(path: Path) -> None:
    cfg = load(path)
    published = settings_of(path)
    readers = READERS[recipe_of(path)]
    compared = [name for name in readers if name in published]
    # Only drop path is not published for every size.
    assert set(readers) - set(compared) <= {"drop_path"}
    for name in compared:
        expected = DIFFERENT.get((path.stem, name), published[name])
        found = readers[name](cfg)
        found = list(found) if isinstance(found, (list, tuple)) else found
        assert found == expected, name


def test_what_differs_from_the_published_setting_is_still_published_so() -> None:
    for (stem, name), value in DIFFERENT.items():
        (path,) = [path for path in REFERENCE if path.stem == stem]
        assert settings_of(path)[name] != value
    assert len(DIFFERENT) == 2


def test_drop_path_that_classification_does_not_publish_is_segmentations() -> None:
    rates = RECIPE["upernet"]["drop_path"]
    sizes = [s for s, arch in ARCH_OF_SIZE.items() if arch not in RECIPE["in1k"]["drop_path"]]
    assert sizes == ["h", "b5", "b6"]
    for size in sizes:
        cfg = load(find("in1k", size))
        assert cfg.model.backbone.drop_path_rate == rates[ARCH_OF_SIZE[size]], size


def test_drop_path_of_detection_follows_the_authors_advice() -> None:
    """At least 0.3 for base and larger (SegNeXt#1); smaller sizes as everywhere else."""
    rates = {"t": 0.1, "s": 0.1, "b": 0.3, "l": 0.3, "b6": RECIPE["upernet"]["drop_path"]["b6"]}
    paths = [path for method in (*METHODS_1X, *METHODS_3X, PANOPTIC) for path in configs_of(method)]
    assert len(paths) == 14
    for path in paths:
        _, size = method_and_size(path)
        assert load(path).model.backbone.drop_path_rate == rates[size], path.stem


def test_every_segmentor_has_the_published_scales_and_flips() -> None:
    published = RECIPE["upernet"]["test"]
    paths = [path for path in REFERENCE if path.parent.name == "segmentation"]
    for path in paths:
        cfg = load(path)
        assert cfg.tta_model.type == "SegTTAModel"
        assert multi_scale(cfg) == published["multi_scale"], path.stem
        assert is_flipped(cfg) is published["flip"], path.stem
        assert single_scale(cfg) == published["single_scale"], path.stem
    assert len(paths) == 15


def test_weights_are_not_averaged_unless_asked() -> None:
    assert RECIPE["in1k"]["model_ema"].startswith("off in the script")
    assert str(EMA_DECAY) in RECIPE["in1k"]["model_ema"]
    hooks = [hook.type for path in REFERENCE for hook in load(path).custom_hooks]
    assert len(hooks) >= len(REFERENCE)
    assert "EMAHook" not in hooks


@pytest.mark.parametrize(
    ("library", "base", "method", "own"),
    (
        (mmdet, "_base_/models/mask-rcnn_r50_fpn.py", "maskrcnn", {"neck.in_channels"}),
        (mmdet, "_base_/models/mask-rcnn_r50_fpn.py", "maskrcnn_3x", {"neck.in_channels"}),
        (mmdet, "_base_/models/retinanet_r50_fpn.py", "retinanet", {"neck.in_channels"}),
        (mmdet, "atss/atss_r50_fpn_1x_coco.py", "atss_3x", {"neck.in_channels"}),
        (mmdet, "gfl/gfl_r50_fpn_1x_coco.py", "gfl_3x", {"neck.in_channels"}),
        # The one config of mmdet's with Swin's box heads.
        (
            mmdet,
            "convnext/cascade-mask-rcnn_convnext-t-p4-w7_fpn_4conv1fc-giou_amp-ms-crop-3x_coco.py",
            "cascade_maskrcnn_3x",
            {"neck.in_channels"},
        ),
        (
            mmdet,
            "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py",
            PANOPTIC,
            {"panoptic_head.in_channels"},
        ),
        (
            mmseg,
            "mask2former/mask2former_swin-t_8xb2-160k_ade20k-512x512.py",
            "mask2former",
            # Our test pipeline enlarges to multiples of 32 itself.
            {"decode_head.in_channels", "data_preprocessor.test_cfg.size_divisor"},
        ),
        (
            mmseg,
            "_base_/models/fpn_r50.py",
            "fpn",
            {"neck.in_channels", "decode_head.num_classes", "data_preprocessor.size"},
        ),
        (
            mmseg,
            "_base_/models/upernet_r50.py",
            "upernet",
            {
                "decode_head.in_channels",
                "decode_head.num_classes",
                "auxiliary_head.in_channels",
                "auxiliary_head.num_classes",
                "data_preprocessor.size",
            },
        ),
    ),
)
def test_what_no_recipe_names_is_the_librarys(
    library: Any, base: str, method: str, own: set[str]
) -> None:
    """Necks, heads, training and test settings of mmdet's and mmseg's own configs."""
    folder = Path(library.__file__).parent / ".mim" / "configs"
    theirs = flatten(Config.fromfile(folder / base).model.to_dict())
    ours = flatten(load(find(method, "b")).model.to_dict())
    differing = {name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name)}
    assert differing == own
    assert len(theirs) > 20


def flatten(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by dotted name, without the backbone and without what only repeats a default."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        name = f"{prefix}{key}"
        if name in ("backbone", "pretrained") or key in ("requires_grad", "init_cfg"):
            continue
        if isinstance(value, list) and value and all(isinstance(part, dict) for part in value):
            value = {str(index): part for index, part in enumerate(value)}
        if isinstance(value, dict) and value:
            found.update(flatten(value, f"{name}."))
        else:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found
