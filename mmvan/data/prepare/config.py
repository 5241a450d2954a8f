"""Writes a config for a custom dataset, as changes of the reference config of its task."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.location import config_dir

__all__ = ["Classification", "Detection", "Segmentation", "write_config"]

# Stands for a variable of the config that is written, where its value would be repeated.
_VARIABLE = re.compile(r"'<(\w+)>'")
# What the base configs, too, test with.
_TEST_AS_VAL = "test_{0} = val_{0}\n"


@dataclass(frozen=True)
class Classification:
    """Images in ``train/<class>`` and ``val/<class>``.

    Args:
        classes: Class names: the sorted names of the folders.
        extensions: How names of images end, where mmpretrain would not take all of them.
    """

    classes: tuple[str, ...]
    extensions: tuple[str, ...] = ()
    base = "classification/van_b_custom.py"

    def variables(self, base: Config) -> dict[str, Any]:
        """What the changes refer to."""
        return {"metainfo": {"classes": self.classes}}

    def changes(self, root: str) -> dict[str, Any]:
        """What differs from the base config."""
        number = {"num_classes": len(self.classes)}
        data: dict[str, Any] = {"data_root": root, "metainfo": "<metainfo>"}
        if self.extensions:
            data["extensions"] = list(self.extensions)
        return {
            "model": {"data_preprocessor": number, "head": number},
            "train_dataloader": {"dataset": data},
            "val_dataloader": {"dataset": data},
        }


@dataclass(frozen=True)
class Detection:
    """Images in ``images`` and COCO annotations in ``annotations/instances_{train,val}.json``.

    Args:
        classes: Class names in the order of the annotation files.
        masks: Whether every object has a mask; else boxes alone are learnt.
        partial: Whether categories without an object are accepted.
    """

    classes: tuple[str, ...]
    masks: bool
    partial: bool

    @property
    def base(self) -> str:
        """The config to start from."""
        return f"detection/van_b_{'maskrcnn' if self.masks else 'retinanet'}.py"

    def variables(self, base: Config) -> dict[str, Any]:
        """What the changes refer to."""
        return {"metainfo": {"classes": self.classes}}

    def changes(self, root: str) -> dict[str, Any]:
        """What differs from the base config."""
        number = {"num_classes": len(self.classes)}
        heads = {"bbox_head": number}
        changes = {
            "model": {"roi_head": {**heads, "mask_head": number}} if self.masks else heads,
            "train_dataloader": {"dataset": _coco_dataset(root, "train")},
            "val_dataloader": {"dataset": _coco_dataset(root, "val")},
            "val_evaluator": {"ann_file": f"{root}/annotations/instances_val.json"},
        }
        return changes | ({"allow_empty_categories": True} if self.partial else {})


@dataclass(frozen=True)
class Segmentation:
    """Images in ``images/{train,val}`` and label maps in ``annotations/{train,val}``.

    Args:
        classes: Class names; label i is the i-th of them, from 0.
        palette: A colour for each; None for the library's.
        image_suffix: How names of images end.
        map_suffix: How names of label maps end.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] | None
    image_suffix: str
    map_suffix: str
    base = "segmentation/van_b_fpn.py"

    def variables(self, base: Config) -> dict[str, Any]:
        """What the changes refer to."""
        palette = {"palette": list(self.palette)} if self.palette else {}
        return {
            "metainfo": {"classes": self.classes, **palette},
            "train_pipeline": _with_label_zero(base.train_pipeline),
            "test_pipeline": _with_label_zero(base.test_pipeline),
            "tta_pipeline": _with_label_zero(base.tta_pipeline),
        }

    def changes(self, root: str) -> dict[str, Any]:
        """What differs from the base config."""
        return {
            "model": {"decode_head": {"num_classes": len(self.classes)}},
            "train_dataloader": {"dataset": self._dataset(root, "train", "<train_pipeline>")},
            "val_dataloader": {"dataset": self._dataset(root, "val", "<test_pipeline>")},
        }

    def _dataset(self, root: str, split: str, pipeline: str) -> dict[str, Any]:
        return {
            "type": "BaseSegDataset",
            "data_root": root,
            "data_prefix": {
                "img_path": f"images/{split}",
                "seg_map_path": f"annotations/{split}",
            },
            "metainfo": "<metainfo>",
            "img_suffix": self.image_suffix,
            "seg_map_suffix": self.map_suffix,
            "reduce_zero_label": False,
            "pipeline": pipeline,
        }


def write_config(data: Classification | Detection | Segmentation, target: Path) -> Path:
    """Writes ``van_b_<name of the folder>.py`` beside the data, unless it is there already.

    Args:
        data: What the dataset is like.
        target: Its folder.

    Returns:
        The config file.
    """
    file = target / f"van_b_{target.resolve().name}.py"
    if file.exists():
        return file
    path = config_dir() / data.base
    base = Config.fromfile(path)
    relative = Path(os.path.relpath(path.resolve(), target.resolve())).as_posix()
    changes = Config(data.changes(target.as_posix())).pretty_text
    changes = _VARIABLE.sub(r"\1", changes)
    tested = (n for n in ("dataloader", "evaluator") if f"val_{n} =" in changes)
    text = (
        f"# tools/dist_train.sh {file.as_posix()} 1\n"
        f"# VAN-B2 on {target.as_posix()}: what differs from {data.base}.\n"
        f'_base_ = "{relative}"\n\n'
        f"{Config(data.variables(base)).pretty_text}\n"
        f"{changes}{''.join(map(_TEST_AS_VAL.format, tested))}"
    )
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    return unfinished.replace(file)


def _coco_dataset(root: str, split: str) -> dict[str, Any]:
    return {
        "data_root": root,
        "ann_file": f"annotations/instances_{split}.json",
        "data_prefix": {"img": "images/"},
        "metainfo": "<metainfo>",
    }


def _with_label_zero(node: Any) -> Any:
    """A pipeline in which label 0 is a class, too; ADE20K's is not."""
    if isinstance(node, dict):
        changed = {key: _with_label_zero(value) for key, value in node.items()}
        return {**changed, "reduce_zero_label": False} if "reduce_zero_label" in node else changed
    if isinstance(node, (list, tuple)):
        return type(node)(_with_label_zero(part) for part in node)
    return node
