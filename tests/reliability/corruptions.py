"""Broken files and annotations, made at random from whole ones with a seed."""

from __future__ import annotations

import copy
import functools
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_masks

WIDTH, HEIGHT = 64, 48
CLASSES = ("a", "b", "c")
_ORIGINALS = 16
_MAX_FLIPS = 8

Random = np.random.Generator


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image file's bytes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _photo(seed: int) -> Image.Image:
    """Colours that change smoothly, with some noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
    smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(int)
    noise = rng.integers(-8, 9, smooth.shape)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def _saved(kind: str, **options: Any) -> Callable[[int], bytes]:
    return lambda number: encode(_photo(number), kind, **options)


FORMATS: dict[str, Callable[[int], bytes]] = {
    "JPEG": _saved("JPEG"),
    "JPEG progressive": _saved("JPEG", progressive=True, quality=90),
    "PNG": _saved("PNG"),
    "WebP": _saved("WEBP"),
    "WebP lossless": _saved("WEBP", lossless=True),
    "BMP": _saved("BMP"),
    "PPM": _saved("PPM"),
    "TIFF": _saved("TIFF"),
    "TIFF LZW": _saved("TIFF", compression="tiff_lzw"),
    "TIFF deflate": _saved("TIFF", compression="tiff_adobe_deflate"),
    "GIF": _saved("GIF"),
}


@functools.cache
def original(kind: str, number: int) -> bytes:
    """One of the whole files of a format."""
    return FORMATS[kind](number)


@dataclass(frozen=True)
class File:
    """A file that may be broken.

    Args:
        kind: Its format.
        change: What was done to it; ``whole`` if nothing was.
        number: Of the original.
        content: Its bytes.
    """

    kind: str
    change: str
    number: int
    content: bytes


def _cut(content: bytes, rng: Random) -> bytes:
    return content[: rng.integers(0, len(content))]


def _flip(content: bytes, rng: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, _MAX_FLIPS + 1)):
        place = rng.integers(0, len(content))
        changed[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def _overwrite(content: bytes, rng: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, _MAX_FLIPS + 1)):
        changed[rng.integers(0, len(content))] = int(rng.integers(0, 256))
    return bytes(changed)


def _zero(content: bytes, rng: Random) -> bytes:
    start = int(rng.integers(0, len(content)))
    length = int(rng.integers(1, max(2, len(content) // 4)))
    return content[:start] + bytes(len(content[start : start + length])) + content[start + length :]


CHANGES = {"cut": _cut, "bits flipped": _flip, "bytes changed": _overwrite, "zeros": _zero}


def corrupted(content: bytes, change: str, rng: Random) -> bytes:
    """A content changed in one of ``CHANGES``, which is never what it was."""
    changed = content
    while changed == content:
        changed = CHANGES[change](content, rng)
    return changed


def files(count: int, whole: int, seed: int) -> list[File]:
    """So many corrupted image files, each format and each change alike, and whole ones."""
    rng = np.random.default_rng(seed)
    kinds, changes = list(FORMATS), list(CHANGES)
    found = []
    for index in range(count + whole):
        kind = kinds[index % len(kinds)]
        change = changes[index // len(kinds) % len(changes)] if index < count else "whole"
        number = int(rng.integers(0, _ORIGINALS))
        content = original(kind, number)
        if change != "whole":
            content = corrupted(content, change, rng)
        found.append(File(kind, change, number, content))
    return found


def label_map(number: int) -> Image.Image:
    """A whole label map with all classes and pixels of none."""
    coarse = np.random.default_rng(number).choice([0, 1, 2, 255], (6, 8)).astype(np.uint8)
    return Image.fromarray(np.kron(coarse, np.ones((8, 8), np.uint8)))


def _mapped(change: str, rng: Random, number: int) -> bytes:
    plain = label_map(number)
    labels = np.array(plain)
    if change in CHANGES:
        return corrupted(encode(plain, "PNG"), change, rng)
    if change == "value":
        labels[rng.integers(0, HEIGHT), rng.integers(0, WIDTH)] = rng.integers(0, 256)
    elif change == "wide":
        return encode(Image.fromarray(labels.astype(np.uint16) * int(rng.integers(1, 4))), "PNG")
    elif change == "size":
        size = (int(rng.integers(1, 2 * WIDTH)), int(rng.integers(1, 2 * HEIGHT)))
        return encode(plain.resize(size, 0), "PNG")
    elif change == "mode":
        return encode(plain.convert(str(rng.choice(["RGB", "RGBA", "LA", "P", "1"]))), "PNG")
    return encode(Image.fromarray(labels), "PNG")


MAP_CHANGES = (*CHANGES, "value", "wide", "size", "mode")


def label_maps(count: int, whole: int, seed: int) -> list[File]:
    """So many label maps that may be broken, and whole ones."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count + whole):
        change = MAP_CHANGES[index % len(MAP_CHANGES)] if index < count else "whole"
        number = int(rng.integers(0, _ORIGINALS))
        found.append(File("label map", change, number, _mapped(change, rng, number)))
    return found


@dataclass(frozen=True)
class Entry:
    """An image's entry of a COCO file and its two objects; the first may be broken.

    Args:
        change: What was done to it; ``whole`` if nothing was.
        image: The entry.
        objects: The objects.
    """

    change: str
    image: dict[str, Any]
    objects: list[dict[str, Any]]


_WRONG = (None, "7", "", [], {}, [1], True, float("nan"), float("inf"), -1, 1e300, 10**30)
_POLYGON = [4.0, 4.0, 50.0, 4.0, 50.0, 40.0, 4.0, 40.0]


def _run_lengths(rng: Random) -> dict[str, Any]:
    """Run lengths of blocks at random, as pycocotools writes them: as text."""
    coarse = rng.integers(0, 2, (HEIGHT // 4, WIDTH // 4)).astype(np.uint8)
    mask = np.asfortranarray(np.kron(coarse, np.ones((4, 4), np.uint8)))
    encoded = coco_masks.encode(mask)
    return {"size": [HEIGHT, WIDTH], "counts": encoded["counts"].decode()}


def _listed(rng: Random) -> dict[str, Any]:
    cuts = np.sort(rng.integers(0, WIDTH * HEIGHT + 1, int(rng.integers(1, 12))))
    lengths = np.diff(cuts, prepend=0, append=WIDTH * HEIGHT)
    return {"size": [HEIGHT, WIDTH], "counts": lengths.tolist()}


def _any_of(values: Any, rng: Random) -> Any:
    return values[int(rng.integers(0, len(values)))]


def _remove(image: dict[str, Any], thing: dict[str, Any], rng: Random) -> None:
    owner = _any_of((image, thing, thing, thing), rng)
    del owner[_any_of(sorted(owner), rng)]


def _retype(image: dict[str, Any], thing: dict[str, Any], rng: Random) -> None:
    owner = _any_of((image, thing, thing, thing), rng)
    # Ids that happen to be those of other entries would change what these are.
    owner[_any_of(sorted({*owner} - {"id", "image_id"}), rng)] = _any_of(_WRONG, rng)


def _box(image: dict[str, Any], thing: dict[str, Any], rng: Random) -> None:
    thing["bbox"] = rng.integers(-100, 150, 4).tolist()
    if rng.random() < 0.5:
        thing["bbox"][int(rng.integers(0, 4))] = _any_of(_WRONG, rng)
    if rng.random() < 0.2:
        thing["bbox"].pop()


def _polygon(image: dict[str, Any], thing: dict[str, Any], rng: Random) -> None:
    polygon: list[Any] = list(_POLYGON)
    way = int(rng.integers(0, 4))
    if way == 0:
        polygon = polygon[: int(rng.integers(0, len(polygon)))]
    elif way == 1:
        polygon[int(rng.integers(0, len(polygon)))] = _any_of(_WRONG, rng)
    elif way == 2:
        polygon[int(rng.integers(0, len(polygon)))] *= float(10.0 ** rng.integers(-2, 12))
    else:
        thing["segmentation"] = polygon  # not in a list of polygons
        return
    parts = [polygon, list(_POLYGON)] if rng.random() < 0.5 else [list(_POLYGON), polygon]
    thing["segmentation"] = parts


def _list_of_runs(image: dict[str, Any], thing: dict[str, Any], rng: Random) -> None:
    mask = _listed(rng)
    way, counts = int(rng.integers(0, 4)), mask["counts"]
    if way == 0:
        counts[int(rng.integers(0, len(counts)))] += int(rng.integers(-50, 50))
    elif way == 1:
        counts[int(rng.integers(0, len(counts)))] = _any_of(_WRONG, rng)
    elif way == 2:
        mask["size"] = _any_of(([WIDTH, HEIGHT], [HEIGHT], None, "ab", [0, 0], [HEIGHT, -1]), rng)
    thing["segmentation"] = mask


def _text_of_runs(image: dict[str, Any], thing: dict[str, Any], rng: Random) -> None:
    mask = _run_lengths(rng)
    text = mask["counts"]
    way, place = int(rng.integers(0, 5)), int(rng.integers(0, len(text)))
    if way == 0:
        text = text[:place]
    elif way == 1:
        text = text[:place] + chr(int(rng.integers(1, 256))) + text[place + 1 :]
    elif way == 2:
        text += _any_of(("o", "P", "0", "oooooooo", "\0"), rng)
    elif way == 3:
        text = "".join(map(chr, rng.integers(48, 112, int(rng.integers(0, 20)))))
    thing["segmentation"] = {**mask, "counts": text}


def _sizes(image: dict[str, Any], thing: dict[str, Any], rng: Random) -> None:
    image["width"], image["height"] = _any_of(
        ((HEIGHT, WIDTH), (WIDTH + 1, HEIGHT), (2 * WIDTH, 2 * HEIGHT), (0, 0), (WIDTH, -1)), rng
    )


ENTRY_CHANGES: dict[str, Callable[[dict[str, Any], dict[str, Any], Random], None]] = {
    "field removed": _remove,
    "wrong type": _retype,
    "box": _box,
    "polygon": _polygon,
    "list of run lengths": _list_of_runs,
    "text of run lengths": _text_of_runs,
    "size of the image": _sizes,
}


def entries(count: int, whole: int, seed: int, file: str) -> list[Entry]:
    """So many entries that may be broken, and whole ones; all of one image file."""
    rng = np.random.default_rng(seed)
    names = list(ENTRY_CHANGES)
    found = []
    for index in range(count + whole):
        change = names[index % len(names)] if index < count else "whole"
        image = {"id": index, "file_name": file, "width": WIDTH, "height": HEIGHT}
        thing = {
            "id": 2 * index,
            "image_id": index,
            "category_id": 1 + index % len(CLASSES),
            "bbox": [4, 4, 46, 36],
            "area": 1656,
            "iscrowd": 0,
            "segmentation": [list(_POLYGON)],
        }
        other = copy.deepcopy({**thing, "id": 2 * index + 1})
        if index % 2:
            other["segmentation"] = _run_lengths(rng)
        if change != "whole":
            ENTRY_CHANGES[change](image, thing, rng)
        found.append(Entry(change, image, [thing, other]))
    return found


def coco_file(found: list[Entry]) -> str:
    """The text of a COCO file of some entries."""
    content = {
        "images": [entry.image for entry in found],
        "annotations": [thing for entry in found for thing in entry.objects],
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASSES, 1)],
    }
    return json.dumps(content)
