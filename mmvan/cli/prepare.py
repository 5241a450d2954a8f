"""Prepare a dataset: ``mmvan prepare coco --source ~/downloads``."""

import argparse
import os
from pathlib import Path

from mmvan.data.prepare.ade20k import ADE20K
from mmvan.data.prepare.base_config import find_base
from mmvan.data.prepare.camvid import CAMVID
from mmvan.data.prepare.coco import COCO
from mmvan.data.prepare.cub200 import CUB200
from mmvan.data.prepare.custom import Choice
from mmvan.data.prepare.custom_coco import prepare_coco
from mmvan.data.prepare.custom_folders import prepare_folders
from mmvan.data.prepare.custom_masks import prepare_masks
from mmvan.data.prepare.dataset import Options, prepare
from mmvan.data.prepare.imagenet import IMAGENET
from mmvan.data.prepare.placing import LINKS
from mmvan.errors import DataError

DATA_SETS = {
    "imagenet": IMAGENET,
    "coco": COCO,
    "ade20k": ADE20K,
    "cub200": CUB200,
    "camvid": CAMVID,
}
CUSTOM = "custom"
# Those that get a config of their own.
CONFIGURED = ("camvid", CUSTOM)

DESCRIPTION = (
    "Bring a dataset into the layout that the configs expect, look at every file "
    "of it, and write what loaders need. Nothing is downloaded, overwritten or lost; what is "
    "there already is kept, so that an interrupted run can be repeated."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    commands = parser.add_subparsers(dest="data_set", required=True)
    for name, data in DATA_SETS.items():
        command = commands.add_parser(name, help=data.needs, description=data.needs)
        add_shared_options(command, Path(data.target))
        if name in CONFIGURED:
            add_config_option(command)
    description = (
        "Make a dataset and a config from a folder of images per class, from images with "
        "--annotations in COCO's format, or from images with --masks."
    )
    command = commands.add_parser(CUSTOM, help=description, description=description)
    add_shared_options(command, Path("data/custom"))
    add_config_option(command)
    add_custom_options(command)


def add_shared_options(parser: argparse.ArgumentParser, target: Path) -> None:
    """Declare what all datasets share."""
    add = parser.add_argument
    add(
        "--source",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR_OR_ARCHIVE",
        help="what was downloaded: archives, or folders with archives or unpacked files in them; "
        "without it, what is in the target is checked",
    )
    add("--target", type=Path, default=target, help="where to (default: %(default)s)")
    add(
        "--link",
        choices=LINKS,
        default=LINKS[0],
        help="what to do with unpacked files (default: %(default)s); archives are unpacked",
    )
    add(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes that look into images (default: %(default)s); 0 starts none",
    )
    add("--no-decode", action="store_true", help="do not look into images and label maps")
    add("--partial", action="store_true", help="accept a part of the dataset")


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Declare what datasets have that a config is written for."""
    parser.add_argument(
        "--config",
        metavar="NAME",
        help="what the config that is written inherits: a config of mmvan, such as van_t_fpn, or "
        "the path of another (default: the one for VAN-B2)",
    )


def add_custom_options(parser: argparse.ArgumentParser) -> None:
    """Declare what only custom datasets have."""
    add = parser.add_argument
    add(
        "--annotations",
        type=Path,
        nargs="+",
        default=[],
        metavar="JSON",
        help="a COCO annotation file for the images, or one to train on and one to validate on",
    )
    add(
        "--repair",
        action="store_true",
        help="correct, in the copies of --annotations that are written, what has one meaning only: "
        "a missing iscrowd, area or id, numbers as text, boxes that stick out of their image and "
        "the like; each kind is told with its number",
    )
    add(
        "--masks",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR_OR_ARCHIVE",
        help="label maps: PNG files named as their images, label i for the i-th class from 0, "
        "255 for no class",
    )
    add("--classes", type=Path, metavar="FILE", help="class names for --masks, one on each line")
    add(
        "--maps-as-stored",
        action="store_true",
        help="label maps were drawn on the stored pixels of images that EXIF turns: turn them, too",
    )
    add(
        "--val-ratio",
        type=float,
        default=Choice.ratio,
        help="share of the images to validate on where it is not given (default: %(default)s)",
    )
    add("--seed", type=int, default=Choice.seed, help="choose other ones (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Prepare, and say what was done and what comes next."""
    if args.workers < 0:
        raise DataError(f"--workers {args.workers}: expected 0 or more")
    options = Options(
        target=args.target,
        sources=tuple(args.source),
        link=args.link,
        workers=args.workers,
        decode=not args.no_decode,
        partial=args.partial,
        config=getattr(args, "config", None),
    )
    if options.config:
        # Before any file is placed.
        find_base(options.config, task_of(args))
    if args.data_set == CUSTOM:
        print(prepare_custom(options, args))
    else:
        print(prepare(DATA_SETS[args.data_set], options))


def task_of(args: argparse.Namespace) -> str:
    """The task of a dataset that a config is written for."""
    if args.data_set == CUSTOM and not args.masks:
        return "detection" if args.annotations else "classification"
    return "segmentation"


def prepare_custom(options: Options, args: argparse.Namespace) -> str:
    """Prepare a custom dataset, in the form that the options name."""
    choice = Choice(args.val_ratio, args.seed)
    if not options.sources:
        raise DataError("custom: --source is missing. Name the folders or archives of the images")
    if args.annotations and args.masks:
        raise DataError("custom: --annotations and --masks exclude each other")
    if args.repair and not args.annotations:
        raise DataError("custom: --repair is for --annotations, which are missing")
    if len(args.annotations) > 2:
        raise DataError(f"--annotations: {len(args.annotations)} files, expected one or two")
    if args.annotations:
        return prepare_coco(options, args.annotations, choice, repaired=args.repair)
    if args.masks:
        classes = read_classes(args.classes)
        return prepare_masks(options, args.masks, classes, choice, args.maps_as_stored)
    return prepare_folders(options, choice)


def read_classes(file: Path | None) -> tuple[str, ...]:
    """Class names from a file with one on each line."""
    if file is None or not file.is_file():
        found = "missing" if file is None else f"{file}: no such file"
        raise DataError(f"--classes {found}. Expected a file with a class name on each line")
    names = tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(f"--classes {file}: expected two or more different names, found {names}")
    return names
