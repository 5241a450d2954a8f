"""Writes a config for a data set of one's own, as changes of the reference config of its task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.zoo.location import config_dir

__all__ = ["Classification", "Detection", "Segmentation", "write_config"]

LOADERS = ("train", "val", "test")


@dataclass(frozen=True)
class Classification:
    """Pictures in ``train/<class>`` and ``val/<class>``.

    Args:
        classes: Class names: the sorted names of the folders.
        pictures: Number of training pictures.
    """

    classes: tuple[str, ...]
    pictures: int
    base = "classification/van_b_custom.py"

    def changes(self, base: Config, root: str) -> dict[str, Any]:
        """What differs from the base config."""
        number = len(self.classes)
        data = {"data_root": root, "metainfo": {"classes": self.classes}}
        loaders = {loader: {"dataset": data} for loader in LOADERS}
        # The last, incomplete batch is left out: a larger batch than all pictures trains on none.
        batch = min(base.train_dataloader.batch_size, _even(self.pictures))
        metric = {"topk": tuple(k for k in base.val_evaluator.topk if k <= number)}
        return {
            "model": {
                "data_preprocessor": {"num_classes": number},
                "head": {"num_classes": number},
            },
            **_loaders({**loaders, "train": {"batch_size": batch, "dataset": data}}),
            "val_evaluator": metric,
            "test_evaluator": metric,
        }


@dataclass(frozen=True)
class Detection:
    """Pictures in ``images`` and COCO annotations in ``annotations/instances_{train,val}.json``.

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

    def changes(self, base: Config, root: str) -> dict[str, Any]:
        """What differs from the base config."""
        number = {"num_classes": len(self.classes)}
        heads = {"bbox_head": number}
        metric = {"ann_file": f"{root}/annotations/instances_val.json"}
        changes = {
            "model": {"roi_head": {**heads, "mask_head": number}} if self.masks else heads,
            **_loaders({loader: {"dataset": self._dataset(root, loader)} for loader in LOADERS}),
            "val_evaluator": metric,
            "test_evaluator": metric,
        }
        return changes | ({"allow_empty_categories": True} if self.partial else {})

    def _dataset(self, root: str, loader: str) -> dict[str, Any]:
        split = "train" if loader == "train" else "val"
        return {
            "data_root": root,
            "ann_file": f"annotations/instances_{split}.json",
            "data_prefix": {"img": "images/"},
            "metainfo": {"classes": self.classes},
        }


@dataclass(frozen=True)
class Segmentation:
    """Pictures in ``images/{train,val}`` and label maps in ``annotations/{train,val}``.

    Args:
        classes: Class names; label i is the i-th of them, from 0.
        palette: A colour for each; None for the library's.
        image_suffix: How names of pictures end.
        map_suffix: How names of label maps end.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] | None
    image_suffix: str
    map_suffix: str
    base = "segmentation/van_b_fpn.py"

    def changes(self, base: Config, root: str) -> dict[str, Any]:
        """What differs from the base config."""
        train, test = (
            _with_label_zero(base[f"{loader}_dataloader"].dataset.pipeline.copy())
            for loader in ("train", "val")
        )
        return {
            "model": {"decode_head": {"num_classes": len(self.classes)}},
            "tta_pipeline": _with_label_zero(base.tta_pipeline),
            **_loaders(
                {
                    "train": {"dataset": self._dataset(root, "train", train)},
                    "val": {"dataset": self._dataset(root, "val", test)},
                    "test": {"dataset": self._dataset(root, "val", test)},
                }
            ),
        }

    def _dataset(self, root: str, split: str, pipeline: Sequence[Any]) -> dict[str, Any]:
        palette = {"palette": list(self.palette)} if self.palette else {}
        return {
            "type": "BaseSegDataset",
            "data_root": root,
            "data_prefix": {
                "img_path": f"images/{split}",
                "seg_map_path": f"annotations/{split}",
            },
            "metainfo": {"classes": self.classes, **palette},
            "img_suffix": self.image_suffix,
            "seg_map_suffix": self.map_suffix,
            "reduce_zero_label": False,
            "pipeline": pipeline,
        }


def write_config(data: Classification | Detection | Segmentation, target: Path, name: str) -> Path:
    """Writes ``van_b_<name>.py`` beside the data, unless it is there already.

    Args:
        data: What the data set is like.
        target: Its folder.
        name: What to call it.

    Returns:
        The config file.
    """
    file = target / f"van_b_{name}.py"
    if file.exists():
        return file
    base = config_dir() / data.base
    changes = data.changes(Config.fromfile(base), target.as_posix())
    relative = Path(os.path.relpath(base.resolve(), file.parent.resolve())).as_posix()
    header = (
        f"# tools/dist_train.sh {file.as_posix()} 1\n"
        f"# VAN-B2 on {target.as_posix()}: what differs from {data.base}.\n"
        f'_base_ = "{relative}"\n\n'
    )
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_text(header + Config(changes).pretty_text, encoding="utf-8")
    unfinished.replace(file)
    return file


def _loaders(loaders: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {f"{name}_dataloader": loader for name, loader in loaders.items()}


def _even(number: int) -> int:
    """The largest even number that is not above `number`: MixUp pairs the pictures of a batch."""
    return max(2, number // 2 * 2)


def _with_label_zero(node: Any) -> Any:
    """A pipeline in which label 0 is a class, too; ADE20K's is not."""
    if isinstance(node, dict):
        changed = {key: _with_label_zero(value) for key, value in node.items()}
        return {**changed, "reduce_zero_label": False} if "reduce_zero_label" in node else changed
    return [_with_label_zero(part) for part in node] if isinstance(node, (list, tuple)) else node
