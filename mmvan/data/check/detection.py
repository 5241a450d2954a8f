"""Checks COCO annotation files, and the images that they list."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.data.check.coco_entries import (
    Faults,
    Needed,
    check_annotations,
    check_categories,
    check_images,
)
from mmvan.data.check.panoptic import MAX_DECODED, Segmented, form_problem, segment_problems
from mmvan.data.check.problems import Problem, listed, similar
from mmvan.data.check.sources import Source, advice, list_files
from mmvan.errors import DataError

__all__ = [
    "COCO_LAYOUT",
    "CocoFile",
    "CocoFiles",
    "coco_problems",
    "read_form",
    "untrained_problems",
]

# mmdet's class that reads COCO files.
COCO_LAYOUT = "CocoDataset"
HEAD_BYTES = 40
# Marks at the beginning of files, the longer first, and what they are the marks of.
_MARKS = {
    codecs.BOM_UTF8: "UTF-8 with a byte order mark",
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
# An entry with what tells its place in the file; most are never told.
Placed = tuple[Callable[[], str], Any]
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
        faults: What datasets with masks and metrics cannot read; others can.
    """

    images: list[str]
    categories: list[str]
    trainable: set[str]
    annotated: bool
    stray: tuple[str, ...] = ()
    segmented: tuple[Segmented, ...] | None = None
    faults: Faults = field(default_factory=Faults)


def _load(path: str) -> Any:
    content = Path(path).read_bytes()
    start = repr(content[:HEAD_BYTES])[1:]
    if not content.strip():
        raise DataError("an empty file")
    for mark, encoding in _MARKS.items():
        # pycocotools reads the text as it is, with the mark.
        if content.startswith(mark):
            raise DataError(f"not plain UTF-8 but {encoding}; it begins with {start}")
    try:
        return json.loads(content.decode("utf-8"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise DataError(f"not JSON: {error.msg} ({place}); it begins with {start}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"not JSON: bytes that are no text; it begins with {start}") from error


def _table(content: dict[str, Any], name: str) -> list[Any]:
    """Returns one table.

    Raises:
        DataError: If it is not a list.
    """
    entries = content[name]
    if not isinstance(entries, list):
        raise DataError(f"{name} is of type {type(entries).__name__}, not a list")
    return entries


def _is_panoptic(content: dict[str, Any]) -> bool:
    entries = content.get("annotations")
    return isinstance(entries, list) and any(
        isinstance(entry, dict) and "segments_info" in entry for entry in entries
    )


def _segments(entries: list[Any], faults: Faults) -> Iterator[Placed]:
    """Yields the segments of a panoptic file with their places and the image of their image."""
    for index, entry in enumerate(entries):
        place = f"annotations[{index}]"
        if not isinstance(entry, dict):
            faults.add(place, entry, "entry", "an object", "always")
        elif type(entry.get("image_id")) not in (int, str):
            faults.add(place, entry, "image_id", "an id of the table of images", "always")
        elif not isinstance(entry.get("segments_info"), list):
            faults.add(place, entry, "segments_info", "a list of segments", "always")
        else:
            for number, segment in enumerate(entry["segments_info"]):
                spot = partial("{}.segments_info[{}]".format, place, number)
                whole = isinstance(segment, dict)
                yield spot, {**segment, "image_id": entry.get("image_id")} if whole else segment


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


def _annotations(content: dict[str, Any], faults: Faults) -> list[Placed]:
    """Returns objects or segments with what tells their places in the file."""
    entries = _table(content, "annotations")
    if _is_panoptic(content):
        return list(_segments(entries, faults))
    return [
        (partial("annotations[{}]".format, index), entry) for index, entry in enumerate(entries)
    ]


def _trainable(annotation: dict[str, Any]) -> bool:
    """Whether mmdet trains on an annotation: it drops crowds, ignored and empty ones."""
    _, _, width, height = annotation["bbox"]
    dropped = annotation.get("iscrowd") or annotation.get("ignore") or annotation["area"] <= 0
    return not dropped and width >= 1 and height >= 1


def _stray(
    annotations: Iterable[Placed],
    images: Container[Any],
    categories: Container[Any],
) -> Iterator[str]:
    for place, entry in annotations:
        for name, known in (("image_id", images), ("category_id", categories)):
            if entry[name] not in known:
                yield f"{place()} with {name} {entry[name]}"


def read_form(content: Any) -> CocoFile:
    """Reads what the checks need from the content of an annotation file.

    Raises:
        DataError: It is no COCO annotation file.
        Faults: Entries have values that no dataset can read.
    """
    if not isinstance(content, dict):
        raise DataError(f"JSON of type {type(content).__name__}, not an object")
    lacking = [name for name in ("images", "categories") if name not in content]
    if lacking:
        keys = listed(content) or "none"
        raise DataError(f"no {' and no '.join(lacking)} among its keys: {keys}")
    annotated = "annotations" in content
    panoptic = _is_panoptic(content)
    faults = Faults()
    categories, photos = _table(content, "categories"), _table(content, "images")
    check_categories(categories, faults, panoptic)
    check_images(photos, faults)
    annotations = _annotations(content, faults) if annotated else []
    if broken := faults.needed_by("always"):
        raise broken
    sizes = {entry["id"]: [entry["height"], entry["width"]] for entry in photos}
    check_annotations(annotations, sizes, faults, panoptic)
    if broken := faults.needed_by("always"):
        raise broken
    names = {entry["id"]: entry["name"] for entry in categories}
    images = {entry["id"]: entry["file_name"] for entry in photos}
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
        segmented=_segmented(content) if panoptic else None,
        faults=faults,
    )


class CocoFiles:
    """Annotation files, each read once however many loaders and metrics name it.

    Args:
        max_decoded: How many panoptic PNGs or label maps of each dataset are decoded at most.
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
                self._read[path] = read_form(_load(path))
            except DataError as error:
                self._read[path] = error
        result = self._read[path]
        if isinstance(result, DataError):
            raise result
        return result

    def problem(
        self, key: str, path: str, annotated: bool, *, masks: bool = False, metric: bool = False
    ) -> Problem | None:
        """Says what is wrong with the form of a file, if anything.

        Args:
            key: Where the config names it.
            path: The file.
            annotated: Whether annotations are needed.
            masks: Whether their masks are read.
            metric: Whether pycocotools evaluates with the file.
        """
        expected = "a COCO annotation file: JSON with images, annotations and categories"
        fix = "unpack or download it again, or correct the path"
        try:
            content = self.read(path)
        except Faults as faults:
            return _faulty(key, path, faults)
        except DataError as error:
            return Problem(key, path, str(error), expected, fix)
        if annotated and not content.annotated:
            found = "no annotations among its keys, as in a test set without answers"
            return Problem(key, path, found, expected, "name a file with annotations")
        if not content.images:
            return Problem(key, path, "no images in it", expected, fix)
        asked: dict[Needed, bool] = {"masks": masks, "metric": metric}
        readers = [reader for reader, wanted in asked.items() if wanted]
        unreadable = content.faults.needed_by(*readers)
        return _faulty(key, path, unreadable) if annotated and unreadable else None


def _faulty(key: str, path: str, faults: Faults) -> Problem:
    expected = "values that the dataset, the losses and the metric can read in every entry"
    fix = (
        "correct the file; of objects, python tools/prepare_dataset.py custom --annotations FILE "
        "--repair corrects in a copy what is unambiguous"
    )
    return Problem(key, path, faults.summary(), expected, fix, faults.items)


def _reads_masks(options: Any) -> bool:
    """Whether the pipeline of a dataset loads masks."""
    if isinstance(options, Mapping):
        return bool(options.get("with_mask")) or any(map(_reads_masks, options.values()))
    return isinstance(options, (list, tuple)) and any(map(_reads_masks, options))


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
    absent = [name for name in absent if not os.path.isfile(os.path.join(folder, name))]  # noqa: PTH113, PTH118
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
    masks = _reads_masks(source.options.get("pipeline"))
    annotated = source.loader != "test"
    broken = files.problem(key, source.ann_file, annotated, masks=masks)
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
                f"part of a dataset: --cfg-options {ALLOW_EMPTY}=True, or mmvan prepare with "
                "--partial"
            )
            problems.append(
                Problem(f"{source.key}.ann_file", source.ann_file, found, expected, fix)
            )
    return problems
