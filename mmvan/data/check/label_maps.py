"""Looks into label maps for semantic segmentation: their mode, size and labels."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from mmvan.data.check.problems import Problem, listed
from mmvan.data.check.sources import Source
from mmvan.data.orientation import upright_size

__all__ = [
    "Labels",
    "label_values",
    "labels_of",
    "map_problems",
    "never_occurring",
    "value_problems",
]

# mmseg's LoadAnnotations reads one channel of 8 bits; of more bits it keeps the lowest 8.
_MODES = ("1", "L", "P", "I", "I;16", "I;16B")
_MAX_LABEL = 255
_MAX_THREADS = 8


@dataclass(frozen=True)
class Labels:
    """The labels that the maps of a dataset may hold.

    Args:
        names: Names of its classes, or numbers where they have none.
        reduced: Whether label 0 is no class and label i + 1 is class i (``reduce_zero_label``).
        ignored: The label that losses and metrics leave out.
    """

    names: tuple[str, ...]
    reduced: bool = False
    ignored: int = 255

    @property
    def largest(self) -> int:
        """The label of the last class."""
        return len(self.names) - 1 + self.reduced

    def label(self, index: int) -> int:
        """The label of a class."""
        return index + self.reduced

    def unknown(self, values: Iterable[int]) -> list[int]:
        """Those of some labels that stand for nothing."""
        # Where 0 is reduced, mmseg turns 255 to itself whatever is ignored.
        kept = {self.ignored, _MAX_LABEL} if self.reduced else {self.ignored}
        return sorted(value for value in values if value > self.largest and value not in kept)

    def __str__(self) -> str:
        zero = "0 for no class, 1" if self.reduced else "0"
        return f"{zero} to {self.largest}, or {self.ignored} to ignore"


@dataclass(frozen=True)
class _Seen:
    fault: str
    values: frozenset[int] = frozenset()


def labels_of(source: Source, heads: int) -> Labels | None:
    """The labels that a dataset of mmseg expects in its files; None if nothing says how many.

    Args:
        source: The dataset.
        heads: How many classes the decode head has, for a dataset without names; 0 for unknown.
    """
    # Where a config names other classes than the dataset's own, mmseg maps labels of the latter.
    own = getattr(source.dataset_type, "METAINFO", {}).get("classes")
    names = own or source.classes or tuple(map(str, range(heads)))
    ignored = source.option("ignore_index")
    reduced = bool(source.option("reduce_zero_label"))
    return Labels(tuple(names), reduced, 255 if ignored is None else ignored) if names else None


def map_problems(
    source: Source, stems: Sequence[str], labels: Labels, max_decoded: int
) -> list[Problem]:
    """Looks into label maps of a dataset whose files exist.

    Args:
        source: The dataset.
        stems: Names of its images without their ending.
        labels: What the maps may hold.
        max_decoded: How many are decoded at most, evenly spaced in the order of their names.
    """
    ordered = sorted(stems)
    places = np.linspace(0, len(ordered) - 1, min(max_decoded, len(ordered))).astype(int)
    chosen = [ordered[place] for place in places]
    if not chosen:
        return []
    folder = source.prefixes.get("seg_map_path", source.root)
    images = source.prefixes.get("img_path") or source.root or os.curdir
    endings = source.option("img_suffix"), source.option("seg_map_suffix")
    pairs = [(Path(folder, stem + endings[1]), Path(images, stem + endings[0])) for stem in chosen]
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        seen = list(pool.map(partial(_look, labels), *zip(*pairs, strict=True)))
    key = f"{source.key}.data_prefix.seg_map_path"
    names = [stem + endings[1] for stem in chosen]
    faulty = {name: one.fault for name, one in zip(names, seen, strict=True) if one.fault}
    values = [one.values for one in seen]
    if faulty:
        return [_faulty(key, folder, faulty, labels, values)]
    whole = len(chosen) == len(ordered)
    problems = list(value_problems(key, folder, labels, values, whole))
    if source.loader == "train" and not problems and whole:
        _warn_never_occurring(key, labels, values)
    return problems


def label_values(paths: Iterable[Path], workers: int) -> list[frozenset[int]]:
    """The labels in each of some maps; none of one that cannot be read.

    Args:
        paths: Label maps.
        workers: Threads that decode.
    """
    with ThreadPoolExecutor(min(_MAX_THREADS, max(1, workers))) as pool:
        return list(pool.map(_values_or_none, paths))


def value_problems(
    key: str, folder: str, labels: Labels, values: Sequence[frozenset[int]], whole: bool = True
) -> Iterator[Problem]:
    """Finds labels that are possible one by one, and cannot be meant in all maps together.

    Args:
        key: Where the config names the folder of the maps.
        folder: The folder.
        labels: What the maps may hold.
        values: The labels of each map.
        whole: Whether these are all maps of the dataset, and not some of them.
    """
    found = frozenset().union(*values)
    count = len(labels.names)
    if found and found <= {0, 255} and 255 in found and count > 1:
        told = f"nothing but 0 and 255 in {len(values)} label maps"
        fix = f"write 1 where 255 stands for a class: as it is, {labels.names[0]} alone is learnt"
        if labels.reduced:
            fix = "write class labels from 1: 0 (reduce_zero_label=True) and 255 are both ignored"
        yield Problem(key, folder, told, str(labels), fix)
    elif whole and labels.reduced and found - {255} == set(range(count)):
        told = f"labels 0 to {count - 1} in {len(values)} label maps, and {count} in none"
        expected = f"labels 1 to {count} for {count} classes, because of reduce_zero_label=True"
        fix = (
            "if 0 is a class, set reduce_zero_label=False in the dataset and in LoadAnnotations; "
            f"if it is not, take {labels.names[-1]}, which never occurs, out of the classes"
        )
        yield Problem(key, folder, told, expected, fix)


def never_occurring(labels: Labels, values: Sequence[frozenset[int]]) -> list[str]:
    """Names of classes, with their labels, that no map has a pixel of."""
    found = frozenset().union(*values)
    return [
        f"{name} ({labels.label(index)})"
        for index, name in enumerate(labels.names)
        if labels.label(index) not in found
    ]


def _warn_never_occurring(key: str, labels: Labels, values: Sequence[frozenset[int]]) -> None:
    absent = never_occurring(labels, values)
    if absent:
        message = f"{key}: no pixel of {listed(absent)} in {len(values)} label maps"
        print_log(f"{message}; such classes are never learnt", "current", logging.WARNING)


def _faulty(
    key: str,
    folder: str,
    faulty: dict[str, str],
    labels: Labels,
    values: Sequence[frozenset[int]],
) -> Problem:
    found = f"{len(faulty)} of {len(values)} decoded label maps cannot be right"
    expected = f"one channel of the size of the image with the labels {labels}"
    fix = _fix(labels, labels.unknown(frozenset().union(*values)))
    items = tuple(f"{name}: {fault}" for name, fault in faulty.items())
    return Problem(key, folder, found, expected, fix, items)


def _fix(labels: Labels, unknown: list[int]) -> str:
    if unknown == [len(labels.names)] and not labels.reduced:
        return (
            f"name all {unknown[0] + 1} classes in metainfo.classes and num_classes, or, if label "
            "0 is no class, set reduce_zero_label=True in the dataset and in LoadAnnotations"
        )
    return (
        "correct these files, or the classes of the dataset; tools/prepare_dataset.py custom "
        "--masks looks at all files"
    )


def _look(labels: Labels, path: Path, image: Path) -> _Seen:
    try:
        mode, size, values = _read(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return _Seen(f"cannot be decoded: {error}")
    if mode not in _MODES:
        return _Seen(f"of mode {mode}; expected one channel of class indices")
    expected = _upright_size(image)
    if expected and size != expected:
        return _Seen(
            f"{size[0]} x {size[1]} pixels, but {image.name} {expected[0]} x {expected[1]}"
        )
    unknown = labels.unknown(values)
    if unknown:
        return _Seen(f"labels {listed(unknown)}; expected {labels}", values)
    return _Seen("", values)


def _read(path: Path) -> tuple[str, tuple[int, int], frozenset[int]]:
    """Mode, width and height, and labels of a map; no labels if it has several channels."""
    with Image.open(path) as image:
        if image.mode not in _MODES:
            return image.mode, image.size, frozenset()
        pixels = np.asarray(image)
        values = (
            np.flatnonzero(np.bincount(pixels.ravel()))
            if pixels.itemsize == 1
            else np.unique(pixels)
        )
        return image.mode, image.size, frozenset(values.tolist())


def _values_or_none(path: Path) -> frozenset[int]:
    try:
        return _read(path)[2]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return frozenset()


def _upright_size(path: Path) -> tuple[int, int] | None:
    """Width and height of an image as it is seen; None if it cannot be read."""
    try:
        with Image.open(path) as image:
            return upright_size(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
