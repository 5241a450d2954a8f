"""Makes small datasets in the formats of ImageNet, COCO and ADE20K, to try everything with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmvan.data.sample import SAMPLE_TASKS, prepare
from mmvan.errors import DataError


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; see ``--help``."""
    parser = argparse.ArgumentParser(description=__doc__)
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
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Makes the datasets asked for.

    Returns:
        0, or 2 if the request or what is in the output directory does not allow it.
    """
    args = parse_args(argv)
    names = list(SAMPLE_TASKS) if args.task == "all" else [args.task]
    counts = tuple(args.size) if args.size else None
    for name in names:
        try:
            made = prepare(args.out, name, args.seed, counts, args.force)
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        target = args.out / SAMPLE_TASKS[name].folder
        print(f"{target}: {'made' if made else 'complete already, nothing to do'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
