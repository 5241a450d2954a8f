"""A custom dataset for detection: images with annotations in COCO's format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mmvan.data.check.coco_entries import Faults
from mmvan.data.check.detection import CocoFiles, read_form
from mmvan.data.check.problems import Problem, listed
from mmvan.data.prepare.base_config import load_base
from mmvan.data.prepare.coco_repair import read_any_unicode, repair
from mmvan.data.prepare.config import Detection
from mmvan.data.prepare.custom import (
    MEND,
    Choice,
    assign,
    drop_dead_links,
    finish,
    tell_left_out,
    write_once,
)
from mmvan.data.prepare.dataset import Options, decoding_problems
from mmvan.data.prepare.images import Annotated
from mmvan.data.prepare.placing import Place, place
from mmvan.errors import DataError

__all__ = ["prepare_coco"]

FOLDER = "images"


def prepare_coco(
    options: Options, annotations: Sequence[Path], choice: Choice, *, repaired: bool = False
) -> str:
    """Lays images out in ``images`` with two annotation files, and writes a config.

    Args:
        options: What the user asked for; the sources hold the images.
        annotations: A COCO annotation file, or one to train on and one to validate on.
        choice: Which images to validate on if there is one file.
        repaired: Whether to repair, in the copies that are written, what has one meaning only.

    Returns:
        What was done and what to do next.

    Raises:
        DataError: An annotation file cannot be used, or anything is wrong with the files.
        ConfigError: The config that was asked for does not fit the annotations.
    """
    repairs: list[str] = []
    contents = [_load(path, repairs if repaired else None) for path in annotations]
    classes = _classes(contents, annotations)
    splits = contents if len(contents) == 2 else _divide(contents[0], choice)
    # Images without an object are not trained on.
    annotated = {entry["image_id"] for entry in splits[0]["annotations"]}
    data = Detection(
        classes, len(annotated), all(map(_has_masks, contents)), partial=options.partial
    )
    load_base(options.config or data.default, data.task, masks=data.masks)
    names = [str(image["file_name"]) for content in splits for image in content["images"]]
    wanted = set(names)
    drop_dead_links(options.target, (FOLDER,))
    placed = place(options.sources, lambda name: _place(name, wanted), options.target, options.link)
    (options.target / FOLDER).mkdir(exist_ok=True)
    for split, content in zip(("train", "val"), splits, strict=True):
        file = options.target / "annotations" / f"instances_{split}.json"
        write_once(file, json.dumps(content))

    def look() -> list[Problem]:
        folder = options.target / FOLDER
        entries = [task for content in splits for task in _tasks(folder, content)]
        faults = decoding_problems(folder, entries, options, MEND)
        return placed.problems(options.target) + faults

    train, val = (len(content["images"]) for content in splits)
    left_out = tell_left_out(options.sources, options.target, lambda name: _reason(name, wanted))
    next_step = finish(data, options, look)
    told = "".join(f"{line}\n" for line in repairs)
    return f"{told}{train} images to train on, {val} to validate; {next_step}{left_out}"


def _tasks(folder: Path, content: dict[str, Any]) -> list[Annotated]:
    """The images that are there, with what the annotations say of them."""
    boxes: dict[Any, list[tuple[Any, ...]]] = {}
    for entry in content["annotations"]:
        boxes.setdefault(entry["image_id"], []).append(tuple(entry["bbox"]))
    return [
        Annotated(path, (image["width"], image["height"]), tuple(boxes.get(image["id"], ())))
        for image in content["images"]
        if (path := folder / str(image["file_name"])).is_file()
    ]


def _load(path: Path, repairs: list[str] | None) -> dict[str, Any]:
    """Reads an annotation file that the check of its form accepts.

    Args:
        path: The file.
        repairs: Where to say what was repaired; None to repair nothing.
    """
    if not path.is_file():
        raise DataError(f"--annotations {path}: no such file")
    try:
        if repairs is None:
            form = CocoFiles().read(str(path))
            content = json.loads(path.read_bytes())
        else:
            content, done = read_any_unicode(path)
            done += repair(content)
            repairs.append(f"{path}: repaired: {_counts(done)}")
            form = read_form(content)
    except Faults as faults:
        advice = ". --repair corrects in a copy what is unambiguous" if repairs is None else ""
        raise DataError(f"--annotations {path}: {faults}{advice}") from faults
    except DataError as error:
        raise DataError(f"--annotations {path}: {error}") from error
    if not form.annotated or len(form.images) < 2:
        raise DataError(f"--annotations {path}: expected annotations, and two images or more")
    return content


def _counts(done: Counter[str]) -> str:
    kinds = (f"{kind}: {number}" for kind, number in done.most_common())
    return "; ".join(kinds) or "nothing"


def _classes(contents: Sequence[dict[str, Any]], paths: Sequence[Path]) -> tuple[str, ...]:
    tables = [tuple(str(entry["name"]) for entry in content["categories"]) for content in contents]
    ids = [tuple(entry["id"] for entry in content["categories"]) for content in contents]
    if len(set(tables)) > 1 or len(set(ids)) > 1:
        raise DataError(
            f"--annotations {paths[0]} and {paths[1]} have different categories: "
            f"{listed(tables[0], 20)}; {listed(tables[1], 20)}. Expected the same names and ids "
            "in the same order."
        )
    return tables[0]


def _divide(content: dict[str, Any], choice: Choice) -> list[dict[str, Any]]:
    """Two annotation files out of one; each annotation goes with its image."""
    splits = assign((str(image["file_name"]) for image in content["images"]), choice)
    return [
        _part(content, [i for i in content["images"] if splits[str(i["file_name"])] == split])
        for split in ("train", "val")
    ]


def _part(content: dict[str, Any], images: list[dict[str, Any]]) -> dict[str, Any]:
    ids = {image["id"] for image in images}
    kept = [entry for entry in content["annotations"] if entry["image_id"] in ids]
    return {**content, "images": images, "annotations": kept}


def _place(name: str, wanted: Iterable[str]) -> Place | None:
    """The place of an image that an annotation file names by the end of its path."""
    parts = PurePosixPath(name).parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((Place(f"{FOLDER}/{end}") for end in ends if end in wanted), None)


def _reason(name: str, wanted: Iterable[str]) -> str:
    return "" if _place(name, wanted) else "not in --annotations"


def _has_masks(content: dict[str, Any]) -> bool:
    return all(entry.get("segmentation") for entry in content["annotations"])
