"""Checks COCO annotation files, and the images that they list."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.data.check.panoptic import MAX_DECODED, Segmented, form_problem, segment_problems
from mmvan.data.check.problems import Problem, listed, similar
from mmvan.data.check.sources import Source, advice, list_files
from mmvan.errors import DataError

__all__ = ["COCO_LAYOUT", "CocoFile", "CocoFiles", "coco_problems", "untrained_problems"]

# mmdet's class that reads COCO files.
COCO_LAYOUT = "CocoDataset"
# What mmdet's CocoDataset and, of `segments_info`, CocoPanopticDataset read from the entries of
# each table.
FIELDS = {
    "images": ("id", "file_name", "height", "width"),
    "categories": ("id", "name"),
    "annotations": ("image_id", "category_id", "bbox", "area"),
    "segments_info": ("id", "category_id", "bbox", "area"),
}
HEAD_BYTES = 40
# Key of a config that is meant to train on categories without any object, as on a part of COCO.
ALLOW_EMPTY = "allow_empty_categories"


@dataclass(frozen=True)
class CocoFile:
    """What the checks need to know of an annotation file.

    Args:
        images: File names of its images.
        categories: Names of its categories, in its order.
        trainable: Names of the categories that have an object to train on in some image.
        annotated: Whether it has a table of annotations.
        stray: Annotations that point to an image or a category that is not in its tables, each
            described.
        segmented: The images with their segments in a panoptic file; None in another.
    """

    images: list[str]
    categories: list[str]
    trainable: set[str]
    annotated: bool
    stray: tuple[str, ...] = ()
    segmented: tuple[Segmented, ...] | None = None


def _load(path: str) -> Any:
    content = Path(path).read_bytes()
    start = repr(content[:HEAD_BYTES])[1:]
    if not content.strip():
        raise DataError("an empty file")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise DataError(f"not JSON: {error.msg} ({place}); it begins with {start}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"not JSON: bytes that are no text; it begins with {start}") from error


def _table(content: dict[str, Any], name: str, place: str = "") -> list[dict[str, Any]]:
    """Returns one table, which stands at a place of the file, after a look at all its entries.

    Raises:
        DataError: If it is not a list, or an entry lacks a field.
    """
    entries = content[name]
    table = f"{place}{name}"
    if not isinstance(entries, list):
        raise DataError(f"{table} is of type {type(entries).__name__}, not a list")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"{table}[{index}] is of type {type(entry).__name__}, not an object")
        lacking = [field for field in FIELDS[name] if field not in entry]
        if lacking:
            raise DataError(f"{table}[{index}] has no {' and no '.join(lacking)}")
    return entries


def _is_panoptic(content: dict[str, Any]) -> bool:
    entries = content.get("annotations")
    return isinstance(entries, list) and any(
        isinstance(entry, dict) and "segments_info" in entry for entry in entries
    )


def _segments(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the segments of a panoptic file with their places and the image of their image.

    Raises:
        DataError: If an entry lacks a field.
    """
    for index, entry in enumerate(content["annotations"]):
        place = f"annotations[{index}]"
        lacking = [field for field in ("image_id", "segments_info") if field not in entry]
        if lacking:
            raise DataError(f"{place} has no {' and no '.join(lacking)}")
        for number, segment in enumerate(_table(entry, "segments_info", f"{place}.")):
            yield f"{place}.segments_info[{number}]", {**segment, "image_id": entry["image_id"]}


def _segmented(content: dict[str, Any]) -> tuple[Segmented, ...]:
    """Returns the images of a sound panoptic file that have an image, with their segments."""
    images = {entry["id"]: entry for entry in content["images"]}
    return tuple(
        Segmented(
            str(image["file_name"]),
            (image["height"], image["width"]),
            tuple(segment["id"] for segment in entry["segments_info"]),
        )
        for entry in content["annotations"]
        if (image := images.get(entry["image_id"]))
    )


def _annotations(content: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Returns objects or segments with their places in the file."""
    if _is_panoptic(content):
        lacking = [c["name"] for c in content["categories"] if "isthing" not in c]
        if lacking:
            raise DataError(f"categories without isthing in a panoptic file: {listed(lacking)}")
        return list(_segments(content))
    entries = _table(content, "annotations")
    return [(f"annotations[{index}]", entry) for index, entry in enumerate(entries)]


def _trainable(annotation: dict[str, Any]) -> bool:
    """Whether mmdet trains on an annotation: it drops crowds, ignored and empty ones."""
    _, _, width, height = annotation["bbox"]
    dropped = annotation.get("iscrowd") or annotation.get("ignore") or annotation["area"] <= 0
    return not dropped and width >= 1 and height >= 1


def _stray(
    annotations: Iterable[tuple[str, Mapping[str, Any]]],
    images: Container[Any],
    categories: Container[Any],
) -> Iterator[str]:
    for place, entry in annotations:
        for field, known in (("image_id", images), ("category_id", categories)):
            if entry[field] not in known:
                yield f"{place} with {field} {entry[field]}"


def _read(path: str) -> CocoFile:
    content = _load(path)
    if not isinstance(content, dict):
        raise DataError(f"JSON of type {type(content).__name__}, not an object")
    lacking = [name for name in ("images", "categories") if name not in content]
    if lacking:
        keys = listed(content) or "none"
        raise DataError(f"no {' and no '.join(lacking)} among its keys: {keys}")
    annotated = "annotations" in content
    names = {entry["id"]: str(entry["name"]) for entry in _table(content, "categories")}
    images = {entry["id"]: str(entry["file_name"]) for entry in _table(content, "images")}
    annotations = _annotations(content) if annotated else []
    trainable = {
        names[entry["category_id"]]
        for _, entry in annotations
        if entry["category_id"] in names and entry["image_id"] in images and _trainable(entry)
    }
    return CocoFile(
        images=list(images.values()),
        categories=list(names.values()),
        trainable=trainable,
        annotated=annotated,
        stray=tuple(_stray(annotations, images, names)),
        segmented=_segmented(content) if _is_panoptic(content) else None,
    )


class CocoFiles:
    """Annotation files, each read once however many loaders and metrics name it.

    Args:
        max_decoded: How many panoptic PNGs of each dataset are decoded at most.
    """

    def __init__(self, max_decoded: int = MAX_DECODED) -> None:
        self.max_decoded = max_decoded
        self._read: dict[str, CocoFile | DataError] = {}

    def read(self, path: str) -> CocoFile:
        """Reads a file.

        Raises:
            DataError: If it is no COCO annotation file; the message says what was found.
        """
        if path not in self._read:
            try:
                self._read[path] = _read(path)
            except DataError as error:
                self._read[path] = error
        result = self._read[path]
        if isinstance(result, DataError):
            raise result
        return result

    def problem(self, key: str, path: str, annotated: bool) -> Problem | None:
        """Says what is wrong with the form of a file, if anything.

        Args:
            key: Where the config names it.
            path: The file.
            annotated: Whether annotations are needed.
        """
        expected = "a COCO annotation file: JSON with images, annotations and categories"
        fix = "unpack or download it again, or correct the path"
        try:
            content = self.read(path)
        except DataError as error:
            return Problem(key, path, str(error), expected, fix)
        if annotated and not content.annotated:
            found = "no annotations among its keys, as in a test set without answers"
            return Problem(key, path, found, expected, "name a file with annotations")
        if not content.images:
            return Problem(key, path, "no images in it", expected, fix)
        return None


def _class_problem(source: Source, content: CocoFile) -> Problem | None:
    """Compares the classes of the config with the categories of the file.

    mmdet leaves out a class that the file does not have and numbers the others in the file's order,
    without a word in both cases, so that labels and names come apart.
    """
    classes = source.classes or ()
    key = f"{source.key}.metainfo.classes"
    missing = [name for name in classes if name not in content.categories]
    has = f"the categories of {source.ann_file} are {listed(content.categories)}"
    if missing:
        close = "; ".join(f"for {n!r}: {similar(n, content.categories)}" for n in missing[:5])
        expected = "a category of that name for each class; a class without one is never learnt"
        fix = f"set metainfo.classes to names of the file ({close})"
        return Problem(key, f"{listed(missing)} not in the file", has, expected, fix)
    order = [name for name in content.categories if name in classes]
    if order != list(classes):
        expected = "the same order in both: labels are numbered in the file's order"
        fix = "order metainfo.classes as in the file"
        return Problem(key, listed(classes), has, expected, fix)
    return None


def _missing_images(source: Source, content: CocoFile) -> Problem | None:
    folder = source.prefixes.get("img", source.root)
    present = set(list_files(folder))
    absent = [name for name in content.images if name not in present]
    # A name such as ./a.jpg is not listed in these words, but may be there.
    absent = [name for name in absent if not Path(folder, name).exists()]
    if not absent:
        return None
    found = f"{len(absent)} of {len(content.images)} images missing"
    expected = f"every image that {source.ann_file} lists"
    key = f"{source.key}.data_prefix.img"
    return Problem(key, folder, found, expected, advice(source.root), tuple(absent))


def _stray_annotations(source: Source, content: CocoFile) -> Problem | None:
    if not content.stray:
        return None
    found = f"{len(content.stray)} annotations of images or categories that the file lacks"
    expected = "an image_id and a category_id of the file's own tables in every annotation"
    fix = "add the images or categories, or take the annotations out: they are never trained on"
    key = f"{source.key}.ann_file"
    return Problem(key, source.ann_file, found, expected, fix, content.stray)


def coco_problems(source: Source, files: CocoFiles) -> list[Problem]:
    """Checks one COCO dataset whose files and directories exist.

    Args:
        source: The dataset.
        files: The annotation files read so far.
    """
    key = f"{source.key}.ann_file"
    if not source.ann_file:
        expected, fix = "a COCO annotation file", f"set {key}"
        return [Problem(key, "not set", "no annotation file", expected, fix)]
    broken = files.problem(key, source.ann_file, annotated=source.loader != "test")
    if broken:
        return [broken]
    content = files.read(source.ann_file)
    other_form = form_problem(source, content.segmented) if content.annotated else None
    if other_form:
        return [other_form]
    problems = (
        _class_problem(source, content),
        _missing_images(source, content),
        _stray_annotations(source, content),
    )
    segments = (
        segment_problems(source, content.segmented, files.max_decoded) if content.segmented else []
    )
    return [*(problem for problem in problems if problem), *segments]


def untrained_problems(cfg: Config, sources: list[Source], files: CocoFiles) -> list[Problem]:
    """Finds classes that no training set has an object of.

    Args:
        cfg: The whole config; with ``allow_empty_categories=True`` nothing is found.
        sources: All sound COCO datasets of the training loader.
        files: The annotation files read so far.
    """
    if cfg.get(ALLOW_EMPTY):
        return []
    trainable = {name for source in sources for name in files.read(source.ann_file).trainable}
    problems = []
    for source in sources:
        categories = files.read(source.ann_file).categories
        empty = [c for c in source.classes or () if c in categories and c not in trainable]
        if empty:
            found = f"categories without any image: {listed(empty)}"
            expected = "an object to train on (no crowd, not empty) for every class of the config"
            fix = (
                "annotate some, or take the names out of metainfo.classes and num_classes; for a "
                f"part of a dataset: --cfg-options {ALLOW_EMPTY}=True"
            )
            problems.append(
                Problem(f"{source.key}.ann_file", source.ann_file, found, expected, fix)
            )
    return problems
