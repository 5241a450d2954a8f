"""Malformed COCO files and label maps: mutations of sound ones, chosen by a seed."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 48, 40
IMAGES = 4
CLASSES = ("nut", "bolt", "screw")
NAN, INFINITE = float("nan"), float("inf")
Content = dict[str, Any]


@dataclass(frozen=True)
class Malformed:
    """A file, and what must become of it.

    Args:
        name: What was done to it.
        content: Its bytes.
        place: What the message must name; empty where the file is harmless.
    """

    name: str
    content: bytes
    place: str


def sound_coco() -> Content:
    """Two objects in each of the images, one with a polygon and one with run lengths."""
    images = [
        {"id": n + 1, "file_name": f"{n}.png", "width": WIDTH, "height": HEIGHT}
        for n in range(IMAGES)
    ]
    annotations = []
    for number in range(2 * IMAGES):
        x, y, width, height = 4 + number, 6, 20, 16
        polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[y : y + height, x : x + width] = True
        flat = mask.ravel(order="F")
        runs = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]]))
        rle = {"size": [HEIGHT, WIDTH], "counts": runs.tolist()}
        annotations.append(
            {
                "id": number + 1,
                "image_id": number // 2 + 1,
                "category_id": number % len(CLASSES) + 1,
                "bbox": [x, y, width, height],
                "area": width * height,
                "iscrowd": 0,
                "segmentation": rle if number % 2 else [polygon],
            }
        )
    categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


# New values of a field of an annotation; where None is among them, the field is taken away, too.
BAD_VALUES: dict[str, tuple[Any, ...]] = {
    "id": (None, "7", 1.5, True, [1]),
    "image_id": (None, "1", 99, [1]),
    "category_id": (None, "1", 99, 1.0, {}),
    "bbox": (
        None,
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        [1, NAN, 3, 4],
        [1, 2, INFINITE, 4],
        [1, 2, -3, 4],
        ["1", 2, 3, 4],
        {"x": 1},
        10**30,
        [0, 0, 10**30, 4],
    ),
    "area": (None, "64", NAN, -1, [64]),
    "iscrowd": (None, "0", 2, NAN),
    "ignore": ("yes", 3),
    "segmentation": (
        None,
        [],
        [[]],
        [[1, 2, 3, 4]],
        [[1, 2, 30, 2, 30]],
        [1, 2, 30, 2, 30, 30],
        [[[1, 2], [30, 2], [30, 30]]],
        [[1, 2, 30, NAN, 30, 30]],
        [[1, 2, 1e12, 2, 30, 30]],
        [["1", 2, 30, 2, 30, 30]],
        {"size": [HEIGHT, WIDTH]},
        {"size": [WIDTH, HEIGHT], "counts": [10, HEIGHT * WIDTH - 10]},
        {"size": [HEIGHT, WIDTH], "counts": [10, 20]},
        {"size": [HEIGHT, WIDTH], "counts": [-10, HEIGHT * WIDTH + 10]},
        {"size": [HEIGHT, WIDTH], "counts": "PPPP~~"},
        "mask",
    ),
}
IMAGE_VALUES: dict[str, tuple[Any, ...]] = {
    "id": (None, "1", [1], 2.5),
    "file_name": (None, "", 5, "../elsewhere.png", "none.png"),
    "height": (None, "40", 0, -40, 40.5),
    "width": (None, NAN),
}
CATEGORY_VALUES: dict[str, tuple[Any, ...]] = {
    "id": (None, "1", 99),
    "name": (None, 5, "washer", "bolt"),
}
HARMLESS: dict[str, Callable[[Content, int], Any]] = {
    "sound": lambda c, i: None,
    "no info": lambda c, i: c.update(licenses=None),
    "unknown field": lambda c, i: c["annotations"][i].update(note=[1]),
    "box sticks out": lambda c, i: c["annotations"][i].update(bbox=[30, 20, 40, 40]),
    "box without size": lambda c, i: c["annotations"][i].update(bbox=[4, 4, 0, 0]),
    "crowd": lambda c, i: c["annotations"][1].update(iscrowd=1),
    "later polygon of two points": lambda c, i: c["annotations"][0]["segmentation"].append(
        [1, 1, 2, 2]
    ),
    "floats": lambda c, i: c["annotations"][i].update(bbox=[4.5, 6.5, 20.25, 16.0]),
    "image without objects": lambda c, i: c["images"].append(
        {"id": 9, "file_name": "0.png", "width": WIDTH, "height": HEIGHT}
    ),
}


def malformed_coco(seed: int) -> Iterator[Malformed]:
    """Yields mutations of the sound file; the seed chooses the entries."""
    chosen = random.Random(seed)
    tables = {"annotations": BAD_VALUES, "images": IMAGE_VALUES, "categories": CATEGORY_VALUES}
    for table, fields in tables.items():
        for field, values in fields.items():
            for value in (*values, *(["gone"] if None in values else [])):
                content = sound_coco()
                index = chosen.randrange(len(content[table]) if table != "categories" else 1)
                entry = content[table][index]
                if value == "gone":
                    del entry[field]
                else:
                    entry[field] = value
                place = f"{table}[{index}]"
                if field == "file_name" and value in ("../elsewhere.png", "none.png"):
                    place = value
                if (table, field, value) in (
                    ("categories", "id", 99),
                    ("categories", "name", "washer"),
                ):
                    place = "categor"
                if (table, field, value) == ("categories", "name", "bolt"):
                    place = "categories[1]"
                yield Malformed(f"{table}.{field}={value!r}", _json(content), place)
    for name, change in HARMLESS.items():
        content = sound_coco()
        change(content, 2 * chosen.randrange(IMAGES))
        yield Malformed(name, _json(content), "")
    yield from _broken_files(chosen)


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _broken_files(chosen: random.Random) -> Iterator[Malformed]:
    """Whole files of another kind, cut off, or with entries of another kind."""
    sound = json.dumps(sound_coco())
    yield Malformed("empty", b"", "an empty file")
    yield Malformed("cut off", sound.encode()[: chosen.randrange(50, len(sound))], "not JSON")
    yield Malformed("UTF-16", sound.encode("utf-16"), "UTF-16")
    yield Malformed("byte order mark", sound.encode("utf-8-sig"), "byte order mark")
    yield Malformed(
        "Latin-1", sound.replace("nut", "n\xfct").encode("latin-1"), "bytes that are no text"
    )
    yield Malformed("a list", b"[1]", "of type list")
    for table in ("images", "annotations", "categories"):
        without = sound_coco()
        del without[table]
        yield Malformed(f"no {table}", _json(without), f"no {table}")
        yield Malformed(
            f"{table} a dict", _json({**sound_coco(), table: {}}), f"{table} is of type"
        )
        number = _json({**sound_coco(), table: [7]})
        yield Malformed(f"{table} of numbers", number, f"{table}[0]")
        content = sound_coco()
        content[table].append({**content[table][0], "name": "other"})
        place = f"{table}[{len(content[table]) - 1}]"
        yield Malformed(f"double id in {table}", _json(content), place)


def sound_map() -> np.ndarray:
    """Labels 0 to 2, each in some columns; shape (height, width)."""
    return np.tile(np.arange(WIDTH) * len(CLASSES) // WIDTH, (HEIGHT, 1)).astype(np.uint8)


def malformed_maps(seed: int) -> Iterator[Malformed]:
    """Yields files for one of several label maps, by what they are."""
    labels, noise = sound_map(), np.random.default_rng(seed)
    grey = Image.fromarray(labels)
    palette = grey.copy()
    palette.putpalette(list(range(256)) * 3)
    spots = labels.copy()
    spots[noise.integers(0, HEIGHT, 5), noise.integers(0, WIDTH, 5)] = noise.integers(3, 255)
    yield Malformed("sound", _png(grey), "")
    yield Malformed("palette", _png(palette), "")
    yield Malformed("one bit", _png(Image.fromarray(labels > 0)), "")
    yield Malformed(
        "ignored", _png(Image.fromarray(np.where(labels, labels, 255).astype(np.uint8))), ""
    )
    yield Malformed("all ignored", _png(Image.fromarray(np.full_like(labels, 255))), "")
    yield Malformed("narrow 16 bits", _png(Image.fromarray(labels.astype(np.uint16))), "")
    wrong = "0.png: "
    yield Malformed("unknown labels", _png(Image.fromarray(spots)), f"{wrong}labels")
    yield Malformed("labels from 1", _png(Image.fromarray(labels + 1)), f"{wrong}labels 3")
    yield Malformed("shades", _png(Image.fromarray(labels * 127)), f"{wrong}labels 127, 254")
    wide = Image.fromarray(labels.astype(np.uint16) * 256)
    yield Malformed("wide 16 bits", _png(wide), f"{wrong}labels 256, 512")
    for mode in ("RGB", "RGBA", "LA"):
        yield Malformed(mode, _png(grey.convert(mode)), f"{wrong}of mode {mode}")
    yield Malformed("small", _png(grey.resize((24, 20), 0)), f"{wrong}24 x 20 pixels")
    turned = grey.transpose(Image.Transpose.ROTATE_90)
    yield Malformed("turned", _png(turned), f"{wrong}{HEIGHT} x {WIDTH} pixels")
    yield Malformed("cut off", _png(grey)[:60], f"{wrong}cannot be decoded")
    yield Malformed("empty map", b"", f"{wrong}cannot be decoded")
    yield Malformed("text", b"labels", f"{wrong}cannot be decoded")


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
