"""Datasets of the three tasks with good samples, and with every kind of bad ones among them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from tests.data.bad_files import HEIGHT, WIDTH, Odd, encode, odd_files, photo

SIDE = 32
GOOD = 6
CLASSES = ("a", "b", "c")
SCOPES = {"classification": "mmpretrain", "detection": "mmdet", "segmentation": "mmseg"}
POLYGON = [4, 4, 30, 4, 30, 24, 4, 24]
NAN = float("nan")


@dataclass(frozen=True)
class Corpus:
    """A dataset, and what must become of its samples.

    Args:
        options: Its config.
        kinds: The kind of fault of each sample; empty strings for good ones.
    """

    options: dict[str, Any]
    kinds: list[str]

    def build(self, task: str) -> Any:
        """The dataset, in its library's scope."""
        init_default_scope(SCOPES[task])
        return DATASETS.build(self.options)


def corpus(task: str, root: Path, good: int = GOOD) -> Corpus:
    """Good samples, then every odd file as an image, then every odd annotation.

    Args:
        task: ``classification``, ``detection`` or ``segmentation``.
        root: An empty folder.
        good: The number of good samples.
    """
    odd = odd_files()
    images = root / "images"
    images.mkdir(parents=True)
    for number in range(good):
        (images / f"good_{number}.jpg").write_bytes(encode(photo(number), "JPEG"))
    for file in odd:
        file.make(images / file.name)
    names = [f"good_{number}.jpg" for number in range(good)] + [file.name for file in odd]
    kinds = [""] * good + [file.expected(task != "classification") for file in odd]
    make: Callable[..., Corpus] = {
        "classification": _classification,
        "detection": _detection,
        "segmentation": _segmentation,
    }[task]
    return make(root, names, kinds, odd)


def _classification(root: Path, names: list[str], kinds: list[str], odd: list[Odd]) -> Corpus:
    lines = [f"{name} {number % len(CLASSES)}" for number, name in enumerate(names)]
    (root / "list.txt").write_text("\n".join(lines))
    pipeline = [
        {"type": "mmvan.LoadImage"},
        {"type": "Resize", "scale": (SIDE, SIDE)},
        {"type": "PackInputs"},
    ]
    options = {
        "type": "CustomDataset",
        "ann_file": str(root / "list.txt"),
        "data_prefix": str(root / "images"),
        "metainfo": {"classes": CLASSES},
        "pipeline": pipeline,
    }
    return Corpus(options, kinds)


def odd_annotations() -> list[tuple[dict[str, Any], dict[str, Any], str]]:
    """Changes of an image's and of its object's entry, and the kind of fault that they make."""
    rle = {"size": [HEIGHT, WIDTH], "counts": [10, 20, HEIGHT * WIDTH - 30]}
    return [
        ({"width": HEIGHT, "height": WIDTH}, {}, "orientation"),
        ({"width": 640, "height": 480}, {}, "size"),
        ({}, {"segmentation": [POLYGON[:-1]]}, "mask"),
        ({}, {"segmentation": [POLYGON[:4]]}, "mask"),
        ({}, {"segmentation": [[NAN, *POLYGON[1:]]]}, "mask"),
        ({}, {"segmentation": [POLYGON, []]}, "mask"),
        ({}, {"segmentation": {**rle, "size": [10, 10]}}, "mask"),
        ({}, {"segmentation": {**rle, "counts": [10, 20]}}, "mask"),
        ({}, {"segmentation": {**rle, "counts": "PPPP~~"}}, "mask"),
        ({}, {"segmentation": [[1e12, *POLYGON[1:]]]}, "mask"),
        ({}, {"bbox": [4, 4, float("inf"), 10]}, "box"),
        ({}, {"bbox": [NAN, 4, 10, 10]}, ""),
        # mmdet leaves out the objects of these, or clips them.
        ({}, {"bbox": [100, 4, 10, 10]}, ""),
        ({}, {"bbox": [4, 4, 0, 0]}, ""),
        ({}, {"segmentation": rle}, ""),
        ({}, {"bbox": [30, 20, 40, 40]}, ""),
    ]


def _detection(root: Path, names: list[str], kinds: list[str], odd: list[Odd]) -> Corpus:
    images, annotations = [], []
    changes = [({}, {}, kind) for kind in kinds] + odd_annotations()
    names = names + ["good_0.jpg"] * len(odd_annotations())
    for number, (name, (image, entry, _)) in enumerate(zip(names, changes, strict=True)):
        size = {"width": WIDTH, "height": HEIGHT}
        if name == "few_rows.png":
            size = {"width": 20, "height": 20}
        images.append({"id": number, "file_name": name, **size, **image})
        box = [4, 4, 26, 20] if name != "few_rows.png" else [4, 4, 8, 8]
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1 + number % len(CLASSES),
                "bbox": box,
                "area": 520,
                "iscrowd": 0,
                "segmentation": [POLYGON],
                **entry,
            }
        )
    categories = [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
        {"type": "Resize", "scale": (SIDE, SIDE), "keep_ratio": False},
        {"type": "PackDetInputs"},
    ]
    options = {
        "type": "CocoDataset",
        "ann_file": str(root / "instances.json"),
        "data_prefix": {"img": str(root / "images")},
        "metainfo": {"classes": CLASSES},
        "pipeline": pipeline,
    }
    return Corpus(options, [kind for _, _, kind in changes])


def odd_maps() -> dict[str, tuple[bytes, str]]:
    """Label maps by names, and the kind of fault that they have."""
    labels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % len(CLASSES)
    plain = Image.fromarray(labels.astype(np.uint8))
    palette = plain.copy()
    palette.putpalette(list(range(256)) * 3)
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "plain": (encode(plain, "PNG"), ""),
        "ignored": (
            encode(Image.fromarray(np.where(labels, labels, 255).astype(np.uint8)), "PNG"),
            "",
        ),
        "palette": (encode(palette, "PNG"), ""),
        "one_bit": (encode(Image.fromarray(labels > 0), "PNG"), ""),
        "narrow_16_bit": (encode(Image.fromarray(labels.astype(np.uint16)), "PNG"), ""),
        "exif": (encode(plain, "PNG", exif=turned), ""),  # means nothing for a label map
        "wide_16_bit": (
            encode(Image.fromarray(labels.astype(np.uint16) * 256), "PNG"),
            "label map",
        ),
        "colours": (encode(plain.convert("RGB"), "PNG"), "label map"),
        "alpha": (encode(plain.convert("RGBA"), "PNG"), "label map"),
        "grey_alpha": (encode(plain.convert("LA"), "PNG"), "label map"),
        "floats": (encode(Image.fromarray(labels.astype(np.float32)), "TIFF"), "label map"),
        "values": (encode(Image.fromarray(labels.astype(np.uint8) * 127), "PNG"), "label map"),
        "size": (encode(plain.resize((20, 20), 0), "PNG"), "size"),
        "turned": (encode(plain.transpose(Image.Transpose.ROTATE_90), "PNG"), "size"),
        "jpeg": (encode(plain.resize((20, 20), 0), "JPEG"), "size"),
        "truncated": (encode(plain, "PNG")[:60], "truncated"),
        "empty": (b"", "empty"),
        "text": (b"labels", "not an image"),
    }


def _segmentation(root: Path, names: list[str], kinds: list[str], odd: list[Odd]) -> Corpus:
    maps = root / "maps"
    maps.mkdir()
    plain = odd_maps()["plain"][0]
    small = encode(Image.new("L", (20, 20)), "PNG")
    for name in names:
        (maps / f"{name}.png").write_bytes(small if name == "few_rows.png" else plain)
    for name, (content, _) in odd_maps().items():
        (root / "images" / f"map_{name}").write_bytes(encode(photo(1), "JPEG"))
        (maps / f"map_{name}.png").write_bytes(content)
    (root / "images" / "map_missing").write_bytes(encode(photo(1), "JPEG"))
    names = [*names, *(f"map_{name}" for name in odd_maps()), "map_missing"]
    (root / "list.txt").write_text("\n".join(names))
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "Resize", "scale": (SIDE, SIDE), "keep_ratio": False},
        {"type": "PackSegInputs"},
    ]
    options = {
        "type": "BaseSegDataset",
        "ann_file": str(root / "list.txt"),
        "data_prefix": {"img_path": str(root / "images"), "seg_map_path": str(maps)},
        "img_suffix": "",
        "seg_map_suffix": ".png",
        "reduce_zero_label": False,
        "metainfo": {"classes": CLASSES, "palette": [[0, 0, 0], [1, 1, 1], [2, 2, 2]]},
        "pipeline": pipeline,
    }
    found = [*kinds, *(kind for _, kind in odd_maps().values()), "missing"]
    return Corpus(options, found)
