"""Writes a config for a custom dataset, as changes of a config of its task."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.data.prepare.base_config import find_base, load_base, published_weights
from mmvan.data.prepare.config_text import Code, assignment, comment
from mmvan.data.prepare.scaling import scale
from mmvan.engine.batch import loader_batch_size
from mmvan.type_name import type_name

__all__ = [
    "Classification",
    "Detection",
    "Segmentation",
    "config_file",
    "next_step",
    "write_config",
]

# What fine-tunes a classifier on images of one's own.
_FINE_TUNING = "van_b_custom"
_IMAGENET = "data/imagenet"
# Settings of a dataset that stay where all others are replaced.
_KEPT = ("filter_cfg", "test_mode")
_METAINFO = Code("metainfo")
_ROOT = Code("data_root")


@dataclass(frozen=True)
class Classification:
    """Images in ``train/<class>`` and ``val/<class>``.

    Args:
        classes: Class names: the sorted names of the folders.
        images: Images to train on.
        extensions: How names of images end, where mmpretrain would not take all of them.
    """

    classes: tuple[str, ...]
    images: int
    extensions: tuple[str, ...] = ()
    task = "classification"
    default = _FINE_TUNING
    masks = False

    def variables(self, base: Config) -> dict[str, Any]:
        """What the changes refer to."""
        extensions = {"extensions": list(self.extensions)} if self.extensions else {}
        variables = {"metainfo": {"classes": Code("classes")}, **extensions}
        if _reads_as_stored(base, "train") or _reads_as_stored(base, "val"):
            # Telephones store what was taken upright lying on its side.
            first = base.train_dataloader.dataset.pipeline[0]
            variables["read"] = {**first.to_dict(), "color_type": "color"}
        return variables

    def changes(self, base: Config) -> dict[str, Any]:
        """What differs from the base config, besides the model and the schedule."""
        changes: dict[str, Any] = {
            f"{loader}_dataloader": {"dataset": self._dataset(base, loader)}
            for loader in ("train", "val")
        }
        if base.train_dataloader.get("drop_last"):
            # They are few.
            changes["train_dataloader"] = {"drop_last": False, **changes["train_dataloader"]}
        top = base.val_evaluator.get("topk") if isinstance(base.val_evaluator, Mapping) else None
        if max(top if isinstance(top, (list, tuple)) else [top or 1]) > len(self.classes):
            changes["val_evaluator"] = {"topk": (1,)}
        return changes

    def _dataset(self, base: Config, loader: str) -> dict[str, Any]:
        data: dict[str, Any] = {
            "type": "CustomDataset",
            "data_root": _ROOT,
            "data_prefix": loader,
            "with_label": True,
            "metainfo": _METAINFO,
        }
        if self.extensions:
            data["extensions"] = Code("extensions")
        changed = _dataset(base, loader, data)
        if _reads_as_stored(base, loader):
            rest = f"_base_.{loader}_dataloader.dataset.pipeline[1:]"
            changed["pipeline"] = Code(f"[read, *{rest}]")
        return changed


@dataclass(frozen=True)
class Detection:
    """Images in ``images`` and COCO annotations in ``annotations/instances_{train,val}.json``.

    Args:
        classes: Class names in the order of the annotation files.
        images: Images to train on.
        masks: Whether every object has a mask; else boxes alone are learnt.
        partial: Whether categories without an object are accepted.
    """

    classes: tuple[str, ...]
    images: int
    masks: bool
    partial: bool
    task = "detection"

    @property
    def default(self) -> str:
        """The config to start from, where none is named."""
        return f"van_b_{'maskrcnn' if self.masks else 'retinanet'}"

    def variables(self, base: Config) -> dict[str, Any]:
        """What the changes refer to."""
        return {"metainfo": {"classes": Code("classes")}}

    def changes(self, base: Config) -> dict[str, Any]:
        """What differs from the base config, besides the model and the schedule."""
        file = Code('data_root + "/annotations/instances_val.json"')
        changes: dict[str, Any] = {
            f"{loader}_dataloader": {"dataset": self._dataset(base, loader)}
            for loader in ("train", "val")
        }
        metrics = base.val_evaluator
        if isinstance(metrics, Mapping):
            changes["val_evaluator"] = {"ann_file": file}
        else:
            changes["val_evaluator"] = [
                {**metric.to_dict(), "ann_file": file} if "ann_file" in metric else metric.to_dict()
                for metric in metrics
            ]
        return changes | ({"allow_empty_categories": True} if self.partial else {})

    def _dataset(self, base: Config, loader: str) -> dict[str, Any]:
        data = {
            "type": "CocoDataset",
            "data_root": _ROOT,
            "ann_file": f"annotations/instances_{loader}.json",
            "data_prefix": {"img": "images/"},
            "metainfo": _METAINFO,
        }
        return _dataset(base, loader, data)


@dataclass(frozen=True)
class Segmentation:
    """Images in ``images/{train,val}`` and label maps in ``annotations/{train,val}``.

    Args:
        classes: Class names; label i is the i-th of them, from 0.
        images: Images to train on.
        palette: A colour for each; None for the library's.
        image_suffix: How names of images end.
        map_suffix: How names of label maps end.
    """

    classes: tuple[str, ...]
    images: int
    palette: tuple[tuple[int, int, int], ...] | None
    image_suffix: str
    map_suffix: str
    task = "segmentation"
    default = "van_b_fpn"
    masks = False

    def variables(self, base: Config) -> dict[str, Any]:
        """What the changes refer to."""
        variables: dict[str, Any] = {"metainfo": {"classes": Code("classes")}}
        if self.palette:
            variables = {"palette": list(self.palette), **variables}
            variables["metainfo"]["palette"] = Code("palette")
        variables["train_pipeline"] = _with_label_zero(base.train_dataloader.dataset.pipeline)
        variables["test_pipeline"] = _with_label_zero(base.val_dataloader.dataset.pipeline)
        if base.get("tta_pipeline"):
            variables["tta_pipeline"] = _with_label_zero(base.tta_pipeline)
        return variables

    def changes(self, base: Config) -> dict[str, Any]:
        """What differs from the base config, besides the model and the schedule."""
        return {
            "train_dataloader": {"dataset": self._dataset("train", "train_pipeline")},
            "val_dataloader": {"dataset": self._dataset("val", "test_pipeline")},
        }

    def _dataset(self, split: str, pipeline: str) -> dict[str, Any]:
        return {
            "_delete_": True,
            "type": "BaseSegDataset",
            "data_root": _ROOT,
            "data_prefix": {
                "img_path": f"images/{split}",
                "seg_map_path": f"annotations/{split}",
            },
            "metainfo": _METAINFO,
            "img_suffix": self.image_suffix,
            "seg_map_suffix": self.map_suffix,
            "reduce_zero_label": False,
            "pipeline": Code(pipeline),
        }


_Data = Classification | Detection | Segmentation


def config_file(target: Path, config: str | None, task: str) -> Path:
    """Where the config of a dataset is.

    Args:
        target: The dataset.
        config: The config that was asked for; None for the default one.
        task: The task of the dataset.
    """
    prefix = find_base(config, task).stem if config else "van_b"
    return target / f"{prefix}_{target.resolve().name}.py"


def write_config(data: _Data, target: Path, config: str | None = None) -> Path:
    """Writes a config beside the data, unless it is there already.

    Args:
        data: What the dataset is like.
        target: Its folder.
        config: A config of mmvan by name, or the path of any other, that it inherits; None for the
            default one of the task.

    Returns:
        The config file.

    Raises:
        ConfigError: There is no such config, or it does not fit the data.
    """
    file = config_file(target, config, data.task)
    if file.exists():
        return file
    name = config or data.default
    path = find_base(name, data.task).resolve()
    base = load_base(name, data.task, masks=data.masks)
    root = target.as_posix()
    relative = Path(os.path.relpath(path, target.resolve())).as_posix()
    blocks = [
        f"# {_train(file)}\n"
        + comment(f"{path.stem} on {root}: {len(data.classes)} classes. It says what differs.")
        + f"\n{assignment('_base_', relative)}",
        _block({"data_root": root, "classes": data.classes, **data.variables(base)}),
        *_changes(data, base, path),
    ]
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return unfinished.replace(file)


def next_step(file: Path, kept: bool) -> str:
    """What to do with the config, in words.

    Args:
        file: What :func:`write_config` returned.
        kept: Whether it was there before.
    """
    told = f"\n{file} was there already and is kept as it is." if kept else ""
    return f"Train with {_train(file)}{told}"


def _train(file: Path) -> str:
    return shlex.join(["mmvan", "train", file.as_posix()])


def _block(settings: Mapping[str, Any]) -> str:
    return "\n".join(assignment(name, value) for name, value in settings.items())


def _changes(data: _Data, base: Config, path: Path) -> list[str]:
    """The parts of the file behind the variables."""
    recipe, model, told = _recipe(data, base, path)
    changes = data.changes(base)
    scaled = scale(recipe, data.images, loader_batch_size(base.train_dataloader))
    optimizer = scaled.settings.get("optim_wrapper", {}).get("optimizer", {})
    if recipe is not base:
        optimizer["weight_decay"] = recipe.optim_wrapper.optimizer.weight_decay
    changes["train_dataloader"] = {"batch_size": scaled.batch, **changes["train_dataloader"]}
    tested = {
        f"test_{part}": Code(f"val_{part}")
        for part in ("dataloader", "evaluator")
        if f"val_{part}" in changes
    }
    about_model = f"{comment(told)}\n" if told else ""
    classes = _with_classes(base.model, len(data.classes), "_base_.model", None)
    return [
        about_model + _block(_with_weights_variable({**model, **classes})),
        _block(changes | tested),
        f"{comment(scaled.reasons)}\n{_block(scaled.settings)}",
    ]


def _recipe(data: _Data, base: Config, path: Path) -> tuple[Config, dict[str, Any], str]:
    """The config whose schedule is scaled, what its model needs besides, and the words for it.

    ImageNet's recipes are for a million images, a thousand of them in a step, and most for weights
    that start at random: they stand for their model, which learns as own images do.
    """
    if not isinstance(data, Classification):
        return base, {}, ""
    start = base.get("load_from") or base.model.backbone.get("init_cfg")
    weights = None if start else published_weights(path)
    if not start and not weights:
        return base, {}, "No weights are published for it: it starts at random, by its own recipe."
    if base.train_dataloader.dataset.get("data_root") != _IMAGENET:
        return base, {}, ""
    # Mixing images is for long trainings on many of them.
    model: dict[str, Any] = {"train_cfg": None} if base.model.get("train_cfg") else {}
    if weights:
        init_cfg = {"type": "Pretrained", "checkpoint": weights}
        model = {"backbone": {"init_cfg": init_cfg}, **model}
    told = (
        f"It starts from published weights and learns as {_FINE_TUNING} does, not as on ImageNet."
    )
    return load_base(_FINE_TUNING, data.task), model, told


def _with_weights_variable(model: dict[str, Any]) -> dict[str, Any]:
    """Top-level variables, with the long address of weights in one of its own."""
    start = (model.get("backbone") or {}).get("init_cfg")
    if not start:
        return {"model": model}
    weights = start["checkpoint"]
    start["checkpoint"] = Code("weights")
    return {"weights": weights, "model": model}


def _with_classes(node: Mapping[str, Any], classes: int, where: str, old: Any) -> dict[str, Any]:
    """What of a model changes with the number of classes.

    Args:
        node: The model, or a part of it.
        classes: The number.
        where: How a config refers to the node.
        old: The number of classes that the part around the node has.
    """
    old = node.get("num_classes", old)
    changes: dict[str, Any] = {}
    for key, value in node.items():
        if key == "num_classes":
            changes[key] = classes
        elif key == "class_weight" and isinstance(old, int) and _is_list(value, old + 1):
            # One weight for all classes and one for "no object": Mask2Former's.
            changes[key] = Code(f"[{value[0]}] * {classes} + [{value[-1]}]")
        elif isinstance(value, Mapping):
            inner = _with_classes(value, classes, f"{where}.{key}", old)
            changes |= {key: inner} if inner else {}
        elif isinstance(value, (list, tuple)) and _have_classes(value):
            # A cascade's heads: lists are replaced as a whole.
            each = f"dict(head, num_classes={classes}) for head in {where}.{key}"
            changes[key] = Code(f"[{each}]")
    return changes


def _is_list(value: Any, length: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == length


def _have_classes(parts: Any) -> bool:
    return bool(parts) and all(isinstance(p, Mapping) and "num_classes" in p for p in parts)


def _dataset(base: Config, loader: str, data: dict[str, Any]) -> dict[str, Any]:
    """What differs from a dataset of the base, or all of it if that is of another kind."""
    dataset = base[f"{loader}_dataloader"].dataset
    if type_name(dataset) == data["type"] and "metainfo" not in dataset:
        return {
            key: value
            for key, value in data.items()
            if isinstance(value, Code) or dataset.get(key) != value
        }
    kept = {key: dataset.to_dict()[key] for key in _KEPT if key in dataset}
    pipeline = Code(f"_base_.{loader}_dataloader.dataset.pipeline")
    return {"_delete_": True, **data, **kept, "pipeline": pipeline}


def _reads_as_stored(base: Config, loader: str) -> bool:
    """Whether images are not turned as their EXIF data ask for, which ImageNet's recipes do."""
    first = base[f"{loader}_dataloader"].dataset.pipeline[0]
    return first.get("color_type") == "color_ignore_orientation"


def _with_label_zero(node: Any) -> Any:
    """A pipeline in which label 0 is a class, too; ADE20K's is not."""
    if isinstance(node, dict):
        changed = {key: _with_label_zero(value) for key, value in node.items()}
        return {**changed, "reduce_zero_label": False} if "reduce_zero_label" in node else changed
    if isinstance(node, (list, tuple)):
        return type(node)(_with_label_zero(part) for part in node)
    return node
