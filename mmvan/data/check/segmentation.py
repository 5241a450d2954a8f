"""Checks directories of images and label maps for semantic segmentation."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from mmengine.logging import print_log

from mmvan.data.check.label_maps import labels_of, map_problems
from mmvan.data.check.left_out import describe, files_left_out
from mmvan.data.check.problems import Problem, listed
from mmvan.data.check.sources import Source, advice, list_files

__all__ = ["PAIR_LAYOUT", "pair_problems"]

# mmseg's class that pairs images with label maps by their names.
PAIR_LAYOUT = "BaseSegDataset"


def _stems(paths: Iterable[str], suffix: str) -> set[str]:
    return {path.removesuffix(suffix) for path in paths if path.endswith(suffix)}


def _names(source: Source, images: set[str]) -> set[str]:
    """Returns the stems that the dataset will read."""
    if not source.ann_file or Path(source.ann_file).is_dir():
        return images
    lines = Path(source.ann_file).read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines}


def _absent(
    source: Source, prefix: str, suffix: str, stems: set[str], expected: str
) -> list[Problem]:
    if not stems:
        return []
    names = tuple(sorted(stem + suffix for stem in stems))
    found = f"{len(names)} files missing"
    key = f"{source.key}.data_prefix.{prefix}"
    folder = source.prefixes.get(prefix, source.root)
    return [Problem(key, folder, found, expected, advice(source.root), names)]


def _no_images(source: Source, folder: str, suffix: str) -> Problem:
    others = sorted(list_files(folder))
    has = f"; there are {listed(others)}" if others else "; it is empty"
    found = f"no file that ends in {suffix!r}{has}"
    key = f"{source.key}.data_prefix.img_path"
    expected = f"images whose names end in img_suffix={suffix!r}"
    return Problem(key, folder, found, expected, f"set img_suffix, or: {advice(source.root)}")


def _tell_left_out(source: Source, folder: str, suffix: str) -> None:
    left_out = files_left_out(folder, (suffix,), any_case=False)
    if left_out:
        message = f"{source.key}.img_suffix: {folder}: {describe(left_out, (suffix,))}"
        print_log(message, "current", logging.WARNING)


def pair_problems(source: Source, heads: int = 0, max_decoded: int = 0) -> list[Problem]:
    """Checks that every image has its label map and every label map its image.

    Args:
        source: A dataset whose directories exist.
        heads: How many classes the decode head has, for a dataset without names; 0 for unknown.
        max_decoded: How many label maps are looked into at most, evenly spaced.
    """
    folder = source.prefixes.get("img_path") or source.root or os.curdir
    suffix = source.option("img_suffix")
    images = _stems(list_files(folder), suffix)
    names = _names(source, images)
    if names is images:
        _tell_left_out(source, folder, suffix)
    if not names or not images:
        return [_no_images(source, folder, suffix)]
    expected = f"every image that {source.ann_file} lists"
    problems = _absent(source, "img_path", suffix, names - images, expected)
    mask_folder = source.prefixes.get("seg_map_path")
    if not mask_folder:
        return problems
    mask_suffix = source.option("seg_map_suffix")
    masks = _stems(list_files(mask_folder), mask_suffix)
    expected = f"a label map for each image in {folder}"
    problems += _absent(source, "seg_map_path", mask_suffix, names - masks, expected)
    if names is images:
        expected = f"an image for each label map in {mask_folder}"
        problems += _absent(source, "img_path", suffix, masks - images, expected)
    labels = labels_of(source, heads)
    if problems or not labels:
        return problems
    return map_problems(source, sorted(names), labels, max_decoded)
