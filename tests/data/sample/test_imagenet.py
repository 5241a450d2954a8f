"""The ImageNet tree: folders, names, and what mmpretrain reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from mmvan.data.sample.catalog import CLASS_FOLDERS, SAMPLE_CLASSES


def test_tree_has_a_folder_per_class_with_images_of_many_shapes(sample_root: Path) -> None:
    sizes = set()
    for split, count in (("train", 2), ("val", 1)):
        folders = sorted((sample_root / "imagenet" / split).iterdir())
        assert [folder.name for folder in folders] == list(CLASS_FOLDERS)
        for folder in folders:
            files = sorted(path.name for path in folder.iterdir())
            assert files == [f"{folder.name}_{number}.JPEG" for number in range(count)]
            for path in folder.iterdir():
                with Image.open(path) as image:
                    assert image.format == "JPEG"
                    assert image.mode == "RGB"
                    sizes.add(image.size)
    assert len(sizes) > 20
    assert all(112 <= side <= 160 for size in sizes for side in size)


def test_mmpretrain_loads_it(
    sample_root: Path, configs: dict[str, Callable[[Path], Config]]
) -> None:
    cfg = configs["cls"](sample_root)
    with DATASETS.switch_scope_and_registry("mmpretrain") as registry:
        dataset = registry.build(cfg.train_dataloader.dataset)
        labels = [dataset.get_data_info(index)["gt_label"] for index in range(len(dataset))]
    assert dataset.CLASSES == SAMPLE_CLASSES
    assert labels == [label for label in range(10) for _ in range(2)]
