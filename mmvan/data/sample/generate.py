"""Generates the sample datasets: once, whole, and never over a directory of somebody else."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import track

from mmvan.data.sample.ade20k import write_ade20k
from mmvan.data.sample.catalog import (
    CATEGORY_IDS,
    CLASS_FOLDERS,
    GROUND_IDS,
    GROUND_PALETTE,
    GROUNDS,
    SAMPLE_CATEGORIES,
    SAMPLE_CATEGORY_PALETTE,
    SAMPLE_CLASSES,
    SAMPLE_SEGMENT_PALETTE,
    SAMPLE_SEGMENTS,
)
from mmvan.data.sample.coco import write_coco
from mmvan.data.sample.imagenet import write_imagenet
from mmvan.errors import DataError

__all__ = ["MANIFEST", "SAMPLE_TASKS", "SampleTask", "prepare"]

MANIFEST = "manifest.json"
GENERATOR = "mmvan sample data"
# To be raised whenever the same seed gives other files than before.
VERSION = 3


@dataclass(frozen=True)
class SampleTask:
    """One of the sample datasets.

    Args:
        folder: Its directory's name.
        write: Writes one split from (root, seed, split, count); yields each image's path.
        counts: Images of ``train`` and ``val``, of each class where `per_class`.
        classes: Class names in the order of their labels.
        details: What else a reader may want to know: colours, ids, folder names.
        groups: Number of groups that `counts` holds for.
    """

    folder: str
    write: Callable[[Path, int, str, int], Iterator[Path]]
    counts: tuple[int, int]
    classes: tuple[str, ...]
    details: dict[str, Any]
    groups: int = 1


SAMPLE_TASKS = {
    "cls": SampleTask(
        "imagenet",
        write_imagenet,
        (200, 20),
        SAMPLE_CLASSES,
        {"folders": CLASS_FOLDERS},
        len(CLASS_FOLDERS),
    ),
    "det": SampleTask(
        "coco",
        write_coco,
        (450, 60),
        SAMPLE_CATEGORIES,
        {
            "category_ids": CATEGORY_IDS,
            "palette": SAMPLE_CATEGORY_PALETTE,
            "stuff": GROUNDS,
            "stuff_ids": GROUND_IDS,
            "stuff_palette": GROUND_PALETTE,
        },
    ),
    "seg": SampleTask(
        "ade20k",
        write_ade20k,
        (480, 48),
        SAMPLE_SEGMENTS,
        {"palette": SAMPLE_SEGMENT_PALETTE},
    ),
}


def _request(task: SampleTask, seed: int, counts: tuple[int, int]) -> dict[str, Any]:
    """Returns all that decides which files are written, in JSON's own types."""
    request = {
        "generator": GENERATOR,
        "version": VERSION,
        "seed": seed,
        "train": counts[0],
        "val": counts[1],
        "classes": task.classes,
        **task.details,
    }
    return json.loads(json.dumps(request))


def _digest(root: Path) -> str:
    """Hashes the names and contents of all files of a dataset except its manifest."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != MANIFEST)
    summary = hashlib.sha256()
    for path in files:
        summary.update(path.relative_to(root).as_posix().encode())
        summary.update(hashlib.sha256(path.read_bytes()).digest())
    return summary.hexdigest()


def _read_manifest(target: Path) -> dict[str, Any]:
    """Reads the manifest of a dataset that is already there.

    Raises:
        DataError: If the directory was not made by this generator.
    """
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("generator") != GENERATOR:
        raise DataError(
            f"{target} exists but was not made by the sample data generator (it has no "
            f"{MANIFEST} of it), so it is left alone. Choose another output directory, or move "
            f"{target} away."
        )
    return manifest


def _generate(root: Path, task: SampleTask, request: dict[str, Any]) -> None:
    for split in ("train", "val"):
        images = task.write(root, request["seed"], split, request[split])
        total = request[split] * task.groups
        for _ in track(images, f"{task.folder} {split}", total):
            pass
    manifest = request | {"digest": _digest(root)}
    (root / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _publish(made: Path, target: Path) -> None:
    """Renames a finished dataset to its place; an older one is removed only after that."""
    old = made.with_name("replaced")
    if target.exists():
        target.replace(old)
    made.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def _check_counts(name: str, counts: tuple[int, int]) -> None:
    for split, count in zip(("train", "val"), counts, strict=True):
        if count < 1:
            raise DataError(f"{name}: {count} {split} images asked for, but at least 1 is needed")


def prepare(
    out: Path,
    name: str,
    seed: int = 0,
    counts: tuple[int, int] | None = None,
    force: bool = False,
) -> bool:
    """Makes one sample dataset unless it is there already.

    The files appear under their final name only when all of them are written, so that an
    interrupted run leaves nothing behind that looks complete.

    Args:
        out: Directory of the sample datasets; the dataset becomes a directory in it.
        name: A key of :data:`SAMPLE_TASKS`: ``cls``, ``det`` or ``seg``.
        seed: Seed of the images; not negative.
        counts: Images of ``train`` and ``val``, for ``cls`` of each class; by default the task's.
        force: Whether to make it again even if it is complete.

    Returns:
        Whether it was made; False if it was complete already.

    Raises:
        DataError: If the seed is negative, a count is less than 1, or there is a directory in its
            place that this generator did not make.
    """
    task = SAMPLE_TASKS[name]
    counts = task.counts if counts is None else counts
    _check_counts(name, counts)
    if seed < 0:
        raise DataError(f"seed {seed} is negative; choose 0 or more")
    request, target = _request(task, seed, counts), out / task.folder
    if target.exists():
        manifest = _read_manifest(target)
        if not force and manifest == request | {"digest": _digest(target)}:
            return False
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{task.folder}-", dir=out) as scratch:
        made = Path(scratch) / task.folder
        made.mkdir()
        _generate(made, task, request)
        _publish(made, target)
    return True
