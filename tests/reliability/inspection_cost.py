"""What it costs a loader to look at samples for bad data, as a share of loading them."""

from __future__ import annotations

import random
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from pycocotools.coco import COCO
from small_runs import ROOT

from mmvan.data.inspection import STEPS
from mmvan.data.structure import structure_fault
from mmvan.data.tolerant import TolerantDataset

CONFIGS = {
    "classification": "classification/van_b_in1k.py",
    "detection": "detection/van_b_maskrcnn.py",
    "segmentation": "segmentation/van_b_upernet.py",
}
_REPEATS = 5


def inspection_rows(photos: Path, folder: Path) -> list[tuple[str, float, float]]:
    """What was measured, the seconds of CPU time of the inspection, and those of a whole sample.

    In the first epoch all is looked at, in later ones no objects that were good.

    Args:
        photos: COCO's layout: ``train2017`` and ``annotations/instances_train2017.json``.
        folder: An empty one, for label maps that are made of the objects.
    """
    annotations = COCO(str(photos / "annotations" / "instances_train2017.json"))
    rows = []
    for task, config in CONFIGS.items():
        cfg = Config.fromfile(ROOT / "configs" / config)
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            options = _dataset(task, cfg.train_dataloader.dataset, photos, folder, annotations)
            datasets = [TolerantDataset(DATASETS.build(options)) for _ in range(_REPEATS)]
            for epoch in ("first epoch", "later epochs"):
                seconds = [_seconds(dataset) for dataset in datasets]
                inspected, every = map(statistics.median, zip(*seconds, strict=True))
                rows.append((f"inspecting a sample, {config}, {epoch}", inspected, every))
    return rows


def _dataset(task: str, options: Any, photos: Path, folder: Path, coco: COCO) -> dict[str, Any]:
    """The training set of a config, with the photographs for its data."""
    pipeline, images = options.pipeline, photos / "train2017"
    names = sorted(file.name for file in images.glob("*.jpg"))
    if task == "detection":
        file = str(photos / "annotations" / "instances_train2017.json")
        prefix = {"img": str(images)}
        return {
            "type": "CocoDataset",
            "ann_file": file,
            "data_prefix": prefix,
            "pipeline": pipeline,
        }
    listed = folder / f"{task}.txt"
    if task == "classification":
        listed.write_text("\n".join(f"{name} {n % 1000}" for n, name in enumerate(names)))
        return {
            "type": "CustomDataset",
            "ann_file": str(listed),
            "data_prefix": str(images),
            "metainfo": {"classes": [str(number) for number in range(1000)]},
            "pipeline": pipeline,
        }
    listed.write_text("\n".join(Path(name).stem for name in names))
    for entry in coco.dataset["images"]:
        labels = np.zeros((entry["height"], entry["width"]), np.uint8)
        for thing in coco.loadAnns(coco.getAnnIds(entry["id"])):
            labels[coco.annToMask(thing) > 0] = thing["category_id"]
        Image.fromarray(labels).save(folder / f"{Path(entry['file_name']).stem}.png")
    return {
        "type": "ADE20KDataset",
        "ann_file": str(listed),
        "data_prefix": {"img_path": str(images), "seg_map_path": str(folder)},
        "pipeline": pipeline,
    }


def _seconds(dataset: TolerantDataset) -> tuple[float, float]:
    """CPU time per sample of the inspection, and of all steps."""
    random.seed(0)
    np.random.seed(0)
    inspected = every = 0.0
    for index in range(len(dataset)):
        data: Any = dataset.get_data_info(index)
        for step in dataset.pipeline.transforms:
            start = time.process_time()
            data = step(data)
            taken = time.process_time() - start
            every += taken
            inspected += taken * isinstance(step, STEPS)
            if type(step).__name__ == "LoadImage":  # which looks at the file by itself
                inspected += _looked_at(data["img_path"])
    return inspected / len(dataset), every / len(dataset)


def _looked_at(path: str) -> float:
    content = Path(path).read_bytes()
    with Image.open(path) as header:
        start = time.process_time()
        structure_fault(header, content)
        return time.process_time() - start
