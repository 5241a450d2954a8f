"""Repairs of COCO annotation files: what has one meaning only, in a copy."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from itertools import chain, count
from math import isfinite
from pathlib import Path
from typing import Any

from mmvan.data.check.coco_entries import plain_number
from mmvan.errors import DataError

__all__ = ["read_any_unicode", "repair"]

_MIN_COORDINATES = 6  # three points
_REFERENCES = ("id", "image_id", "category_id")
_TRUTH = {"0": 0, "1": 1, "false": 0, "true": 1, "0.0": 0, "1.0": 1}
# The longer marks first.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_any_unicode(path: Path) -> tuple[Any, Counter[str]]:
    """Reads JSON in UTF-8, or in another Unicode encoding that its first bytes name.

    Args:
        path: The file.

    Returns:
        Its content, and what will be different in a plain copy, counted.

    Raises:
        DataError: It is no JSON in Unicode.
    """
    raw = path.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8")
    try:
        content = json.loads(raw.decode(encoding))
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}") from error
    return content, Counter(
        {f"{encoding} written as plain UTF-8": 1} if encoding != "utf-8" else {}
    )


def repair(content: Any) -> Counter[str]:
    """Repairs the content of an annotation file in place, where the right value is beyond doubt.

    Left as they are, for the checks to refuse: references to nothing, images of the same number,
    boxes without a size and without a mask, and masks that cannot be drawn.

    Args:
        content: Images, categories and annotations with boxes; anything else is left as it is.

    Returns:
        How many repairs of each kind were made.
    """
    done: Counter[str] = Counter()
    if not isinstance(content, dict) or _has_segments(content):
        return done
    tables = {name: content.get(name) for name in ("images", "categories", "annotations")}
    for name, table in tables.items():
        if isinstance(table, list):
            content[name] = _without_copies(name, table, done)
            for entry in filter(_is_entry, content[name]):
                _repair_numbers(name, entry, done)
    sizes = _sizes(content.get("images"))
    annotations = content.get("annotations")
    if isinstance(annotations, list):
        entries = list(filter(_is_entry, annotations))
        for entry in entries:
            _repair_annotation(entry, sizes.get(_hashable(entry.get("image_id"))), done)
        _renumber(entries, done)
    return done


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict)


def _has_segments(content: dict[str, Any]) -> bool:
    annotations = content.get("annotations")
    return isinstance(annotations, list) and any(
        isinstance(entry, dict) and "segments_info" in entry for entry in annotations
    )


def _hashable(value: Any) -> Any:
    return value if isinstance(value, (int, str)) else None


def _without_copies(name: str, table: list[Any], done: Counter[str]) -> list[Any]:
    """Leaves out entries that are equal to an earlier one in all fields, number included."""
    seen: set[str] = set()
    kept = []
    for entry in table:
        text = json.dumps(entry, sort_keys=True)
        if _is_entry(entry) and "id" in entry and text in seen:
            done[f"{name}: copies of other entries left out"] += 1
        else:
            kept.append(entry)
        seen.add(text)
    return kept


def _repair_numbers(name: str, entry: dict[str, Any], done: Counter[str]) -> None:
    """Writes numbers that are text, or whole numbers with a point, as what they are."""
    whole = (*_REFERENCES, "height", "width") if name != "categories" else ("id",)
    for field in whole:
        number = _as_number(entry.get(field))
        if number is not None and number == int(number) and type(entry[field]) is not int:
            entry[field] = int(number)
            done[f"{name}: {field} written as a whole number"] += 1
    if name != "annotations":
        return
    area = _as_number(entry.get("area"))
    if area is not None and isinstance(entry["area"], str):
        entry["area"] = area
        done["annotations: area written as a number"] += 1
    box = entry.get("bbox")
    if isinstance(box, list) and any(isinstance(part, str) for part in box):
        numbers = [_as_number(part) for part in box]
        if None not in numbers:
            entry["bbox"] = numbers
            done["annotations: bbox written as numbers"] += 1


def _as_number(value: Any) -> float | None:
    """The number that a value is or spells; None if there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _sizes(images: Any) -> dict[Any, tuple[int, int]]:
    """Width and height of images by their numbers."""
    return {
        image["id"]: (image["width"], image["height"])
        for image in (images if isinstance(images, list) else ())
        if _is_entry(image)
        and isinstance(image.get("id"), (int, str))
        and plain_number(image.get("width"))
        and plain_number(image.get("height"))
    }


def _repair_annotation(
    entry: dict[str, Any], size: tuple[int, int] | None, done: Counter[str]
) -> None:
    _repair_truths(entry, done)
    _repair_polygons(entry, done)
    polygons = _polygons(entry)
    if not _is_box(entry.get("bbox")) and polygons:
        entry["bbox"] = _bounds(polygons)
        done["annotations: bbox computed from the polygons"] += 1
    if size and _is_box(entry.get("bbox")):
        _clip(entry, size, done)
    area = entry.get("area")
    if (not plain_number(area) or area < 0) and _is_box(entry.get("bbox")):  # type: ignore[operator]
        entry["area"] = sum(map(_area, polygons)) or entry["bbox"][2] * entry["bbox"][3]
        done["annotations: area computed"] += 1


def _repair_truths(entry: dict[str, Any], done: Counter[str]) -> None:
    for field in ("iscrowd", "ignore"):
        value = entry.get(field)
        if field == "iscrowd" and value is None:
            entry[field] = 0
            done["annotations: iscrowd set to 0"] += 1
        elif value is not None and type(value) is not int and str(value).lower() in _TRUTH:
            entry[field] = _TRUTH[str(value).lower()]
            done[f"annotations: {field} written as 0 or 1"] += 1


def _repair_polygons(entry: dict[str, Any], done: Counter[str]) -> None:
    shape = entry.get("segmentation")
    if not isinstance(shape, list) or not shape:
        return
    if all(map(plain_number, shape)) and _drawable(shape):
        entry["segmentation"] = [shape]
        done["annotations: a polygon put into a list"] += 1
    elif all(_is_points(part) for part in shape):
        entry["segmentation"] = [list(chain.from_iterable(part)) for part in shape]
        done["annotations: points of polygons put into one list"] += 1
    elif any(map(_drawable, shape)) and all(map(_drawable_or_short, shape)):
        kept = [part for part in shape if _drawable(part)]
        if len(kept) < len(shape):
            entry["segmentation"] = kept
            done["annotations: polygons of less than three points left out"] += len(shape) - len(
                kept
            )


def _is_points(part: Any) -> bool:
    """Whether a polygon is a list of three or more pairs."""
    return (
        isinstance(part, list)
        and len(part) >= _MIN_COORDINATES // 2
        and all(isinstance(p, list) and len(p) == 2 and all(map(plain_number, p)) for p in part)
    )


def _drawable(part: Any) -> bool:
    return (
        isinstance(part, list)
        and len(part) >= _MIN_COORDINATES
        and not len(part) % 2
        and all(map(plain_number, part))
    )


def _drawable_or_short(part: Any) -> bool:
    return _drawable(part) or (isinstance(part, list) and len(part) < _MIN_COORDINATES)


def _polygons(entry: dict[str, Any]) -> list[list[float]]:
    """The polygons of an annotation; none if one of them cannot be drawn."""
    shape = entry.get("segmentation")
    return shape if isinstance(shape, list) and shape and all(map(_drawable, shape)) else []


def _bounds(polygons: list[list[float]]) -> list[float]:
    xs = [x for part in polygons for x in part[::2]]
    ys = [y for part in polygons for y in part[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _area(polygon: list[float]) -> float:
    """The area of a polygon in pixels, by the shoelace formula."""
    xs, ys = polygon[::2], polygon[1::2]
    turns = zip(xs, ys, xs[1:] + xs[:1], ys[1:] + ys[:1], strict=True)
    return abs(sum(x * next_y - next_x * y for x, y, next_x, next_y in turns)) / 2


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(map(plain_number, box))
        and min(box[2:]) >= 0
    )


def _clip(entry: dict[str, Any], size: tuple[int, int], done: Counter[str]) -> None:
    """Cuts what sticks out of the image off a box; one that has no part in it is left."""
    x, y, width, height = entry["bbox"]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, size[0]), min(y + height, size[1])
    clipped = [left, top, right - left, bottom - top]
    # Not for the last digit of a sum.
    moved = max(abs(new - old) for new, old in zip(clipped, entry["bbox"], strict=True)) > 1e-3
    if moved and right > left and bottom > top:
        entry["bbox"] = clipped
        done["annotations: bbox clipped to the image"] += 1


def _renumber(entries: list[dict[str, Any]], done: Counter[str]) -> None:
    """Gives numbers of their own to annotations without one, or with that of another."""
    numbers = {entry["id"] for entry in entries if type(entry.get("id")) is int}
    free = count(max(numbers, default=0) + 1)
    seen: set[int] = set()
    for entry in entries:
        # pycocotools counts a detection that matches the object 0 as unmatched.
        if type(entry.get("id")) is not int or entry["id"] in seen or entry["id"] == 0:
            entry["id"] = next(free)
            done["annotations: new id"] += 1
        seen.add(entry["id"])
