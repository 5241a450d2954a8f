"""A custom dataset for semantic segmentation: images and label maps of the same names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image

from mmvan.data.check.label_maps import Labels
from mmvan.data.check.left_out import reason_left_out
from mmvan.data.check.problems import Problem, listed
from mmvan.data.orientation import is_turned, turn
from mmvan.data.prepare.config import Segmentation
from mmvan.data.prepare.custom import (
    IMAGES,
    MEND,
    Choice,
    assign,
    common_folder,
    drop_dead_links,
    finish,
    left_over,
    list_images,
    split_of,
    tell_left_out,
)
from mmvan.data.prepare.dataset import Options, decoding_problems
from mmvan.data.prepare.images import LabelMap
from mmvan.data.prepare.labels import occurrence_problems
from mmvan.data.prepare.placing import Place, place
from mmvan.errors import DataError

__all__ = ["prepare_masks"]

MAP_SUFFIX = ".png"
KINDS = ("images", "annotations")


def prepare_masks(
    options: Options,
    masks: Sequence[Path],
    classes: tuple[str, ...],
    choice: Choice,
    as_stored: bool = False,
) -> str:
    """Lays images and label maps out in ``images`` and ``annotations``, with a config.

    Args:
        options: What the user asked for; the sources hold the images.
        masks: Folders and archives of label maps, PNG files named as their images.
        classes: Class names: label i is the i-th of them, from 0.
        choice: Which images to validate on if they are not in ``train`` and ``val``.
        as_stored: Whether label maps belong to the stored pixels of images that EXIF turns, and are
            to be turned likewise.

    Returns:
        What was done and what to do next.

    Raises:
        DataError: Names or suffixes do not fit, or anything is wrong with the files.
    """
    images = _stems(list_images(options.sources))
    suffix = _one_suffix(images.values())
    maps = _stems(list_images(masks, (MAP_SUFFIX,)))
    splits = _splits(sorted(images), choice)
    image_places = _places(images, splits, "images")
    map_places = _places(maps, splits, "annotations")
    drop_dead_links(options.target, KINDS)
    placed = [place(options.sources, image_places.get, options.target, options.link)]
    if as_stored:
        map_places = _turned_places(map_places, suffix, options.target)
    placed.append(place(masks, map_places.get, options.target, options.link))

    def look() -> list[Problem]:
        conflicts = [problem for part in placed for problem in part.problems(options.target)]
        return [
            *conflicts,
            *left_over(
                options.target,
                KINDS,
                (*image_places.values(), *map_places.values()),
            ),
            *_file_problems(options, suffix, len(classes)),
            *occurrence_problems(options, "annotations/train", Labels(classes)),
        ]

    trained = sum(place.startswith("train/") for place in splits.values())
    data = Segmentation(classes, trained, None, suffix, MAP_SUFFIX)
    next_step = finish(data, options, look)
    left_out = tell_left_out(
        [*options.sources, *masks],
        options.target,
        lambda name: "" if name in image_places or name in map_places else _reason(name),
    )
    numbers = f"{trained} images to train on, {len(splits) - trained} to validate"
    return f"{numbers}; {next_step}{left_out}"


def _stems(names: list[str]) -> dict[str, str]:
    """Names by their path in the common folder, without ending."""
    folder = common_folder(names)
    return {str(PurePosixPath(n).relative_to(folder).with_suffix("")): n for n in names}


def _one_suffix(names: Iterable[str]) -> str:
    suffixes = sorted({PurePosixPath(name).suffix for name in names})
    if len(suffixes) > 1:
        raise DataError(
            f"--source: images that end in {listed(suffixes)}. mmseg's datasets know one "
            "ending; convert or rename some."
        )
    return suffixes[0]


def _splits(stems: Sequence[str], choice: Choice) -> dict[str, str]:
    """Places without kind and ending: ``train/a`` of ``a``, or of ``train/a``."""
    if all(split_of(stem) for stem in stems):
        return {stem: f"{split_of(stem)}/{stem.partition('/')[2]}" for stem in stems}
    if len(stems) < 2:
        raise DataError(f"--source: one image, {stems[0]}; two images or more can be divided")
    return {stem: f"{split}/{stem}" for stem, split in assign(stems, choice).items()}


def _places(stems: dict[str, str], splits: dict[str, str], kind: str) -> dict[str, Place]:
    """The place of each name; a label map without an image stays where it is."""
    return {
        name: Place(f"{kind}/{splits[stem]}{PurePosixPath(name).suffix}")
        for stem, name in stems.items()
        if stem in splits
    }


def _turned_places(places: dict[str, Place], suffix: str, target: Path) -> dict[str, Place]:
    """The same places, where label maps are turned as their images, which are there already."""
    turned = dict(places)
    for name, chosen in places.items():
        path = PurePosixPath("images", *PurePosixPath(chosen.path).parts[1:]).with_suffix(suffix)
        if (target / path).is_file():
            with Image.open(target / path) as image:
                if is_turned(image):
                    turned[name] = Place(chosen.path, partial(turn, image=image))
    return turned


def _reason(name: str) -> str:
    return reason_left_out(name, IMAGES) or "no image and label map of the same name"


def _file_problems(options: Options, suffix: str, labels: int) -> list[Problem]:
    problems: list[Problem] = []
    for split in ("train", "val"):
        images, maps = (options.target / kind / split for kind in KINDS)
        files = sorted(images.rglob(f"*{suffix}"))
        problems += decoding_problems(images, files, options, MEND)
        paths = [(maps / path.relative_to(images)).with_suffix(MAP_SUFFIX) for path in files]
        pairs = zip(paths, files, strict=True)
        tasks = [LabelMap(path, image, labels) for path, image in pairs if path.is_file()]
        problems += decoding_problems(maps, tasks, options, MEND)
    return problems
