"""Where the class of each validation image of ImageNet is written."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from mmvan.data.check.sources import list_files
from mmvan.data.prepare.entries import is_archive, walk
from mmvan.errors import DataError

__all__ = ["find_labels", "image_name"]

# In the devkit of ILSVRC2012: the classes with their ids, and an id for each image in order.
_CLASSES = "meta.mat"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
# Lists that go around; every line of them has an image and a class: the shell script that sorts
# images into folders, two tables, and Kaggle's table (which has boxes, too).
_LISTS = ("valprep.sh", "val_map.txt", "LOC_val_solution.csv")
_LINE = re.compile(r"(ILSVRC2012_val_\d{8})\b.*?\b(n\d{8})\b")


def image_name(number: int) -> str:
    """Name of a validation image, counted from 1, without its ending."""
    return f"ILSVRC2012_val_{number:08d}"


def find_labels(sources: Sequence[Path]) -> dict[str, str]:
    """Finds the class of each validation image.

    Args:
        sources: Folders and archives. Of the archives only those are opened whose names have
            ``devkit`` in them; images are not read.

    Returns:
        WordNet ids by the images' names without ending; empty if no source tells them.

    Raises:
        DataError: The devkit is not whole.
    """
    files = {
        name: content
        for source in sources
        for place in _places(source)
        for name, content in _read(place).items()
    }
    if _CLASSES in files and _TRUTH in files:
        return _from_devkit(files[_CLASSES], files[_TRUTH].decode())
    for name in _LISTS:
        if name in files:
            return dict(_LINE.findall(files[name].decode()))
    return {}


def _places(source: Path) -> list[Path]:
    """The archives and files of a source that may tell the labels."""
    if not source.is_dir():
        return [source] if "devkit" in source.name else []
    wanted = (_CLASSES, _TRUTH, *_LISTS)
    names = (PurePosixPath(name) for name in list_files(str(source)))
    return [
        source / name
        for name in names
        if name.name in wanted or ("devkit" in name.name and is_archive(name.name))
    ]


def _read(place: Path) -> dict[str, bytes]:
    if not is_archive(place.name):
        return {place.name: place.read_bytes()}
    wanted = (_CLASSES, _TRUTH)
    named = ((PurePosixPath(entry.name).name, entry) for entry in walk(place))
    return {name: entry.read() for name, entry in named if name in wanted}


def _from_devkit(classes: bytes, truth: str) -> dict[str, str]:
    ids = [int(line) for line in truth.split()]
    wnids = _wnids(classes)
    unknown = sorted(set(ids) - wnids.keys())
    if unknown:
        raise DataError(
            f"{_TRUTH} has ids that {_CLASSES} does not have as classes: {unknown[:5]}. Both must "
            "be of ILSVRC2012_devkit_t12.tar.gz; get it again."
        )
    return {image_name(number): wnids[index] for number, index in enumerate(ids, 1)}


def _wnids(classes: bytes) -> Mapping[int, str]:
    """WordNet ids by the ids of ILSVRC2012, which follow another order.

    The synsets of ``meta.mat`` are records of id, WordNet id, words, gloss, number of children and
    so on; those without children are the classes.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ModuleNotFoundError as error:
        raise DataError(
            "reading the development kit's meta.mat needs scipy: pip install scipy, or give "
            "val_map.txt or valprep.sh instead of the kit"
        ) from error

    try:
        records = loadmat(io.BytesIO(classes), squeeze_me=True)["synsets"]
        return {int(r["ILSVRC2012_ID"]): str(r["WNID"]) for r in records if not r["num_children"]}
    except (KeyError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataError(
            f"{_CLASSES} cannot be read ({error}). Expected MATLAB's format with the synsets of "
            "ILSVRC2012_devkit_t12.tar.gz; get it again."
        ) from error
