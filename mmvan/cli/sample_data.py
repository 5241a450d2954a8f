"""Make small datasets to try everything with: ``mmvan sample-data``."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmvan.data.sample import SAMPLE_TASKS, prepare

DESCRIPTION = (
    "Make small datasets in the formats of ImageNet, COCO and ADE20K, to try everything with."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("data/sample"),
        help="directory of the sample datasets (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the images")
    parser.add_argument(
        "--task", choices=["all", *SAMPLE_TASKS], default="all", help="which dataset to make"
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("TRAIN", "VAL"),
        help="number of training and validation images, for classification of each class "
        f"(default: {', '.join(f'{n} {t.counts}' for n, t in SAMPLE_TASKS.items())})",
    )
    parser.add_argument(
        "--force", action="store_true", help="make the datasets again even if they are complete"
    )


def run(args: argparse.Namespace) -> None:
    """Make the datasets that are asked for."""
    names = list(SAMPLE_TASKS) if args.task == "all" else [args.task]
    counts = tuple(args.size) if args.size else None
    for name in names:
        made = prepare(args.out, name, args.seed, counts, args.force)
        target = args.out / SAMPLE_TASKS[name].folder
        print(f"{target}: {'made' if made else 'complete already, nothing to do'}")
