"""Predict on images and videos: ``mmvan infer CONFIG [CHECKPOINT] INPUT...``."""

import argparse
import sys
from pathlib import Path

from mmvan.engine.device import choose_device
from mmvan.engine.options import add_cfg_options, add_device
from mmvan.errors import ConfigError

FAILED_STATUS = 1

DESCRIPTION = (
    "Predict on images, folders, patterns, videos and cameras, and draw it. The "
    "config decides the task. What cannot be read is listed at the end; the status is then 1."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("config", help="config file, or a name of mmvan.list_models()")
    add(
        "inputs",
        nargs="+",
        metavar="[CHECKPOINT] INPUT",
        help="the weights (a path, https:// or hf://; for a name by default the published ones), "
        "then images, folders, patterns such as 'photos/*.jpg', videos, or the number of a camera",
    )
    add("--out", type=Path, default=Path("outputs"), help="folder of the results (%(default)s)")
    add("--batch-size", type=int, default=1, metavar="N", help="images per call (%(default)s)")
    add_device(parser)
    add(
        "--score-thr",
        type=float,
        default=0.3,
        metavar="SCORE",
        help="boxes of a lower score are neither drawn nor written (%(default)s); 0 for all",
    )
    add("--show", action="store_true", help="show each in a window; q ends")
    add("--max-frames", type=int, metavar="N", help="at most N frames of each video or camera")
    add_cfg_options(parser)


def check_args(args: argparse.Namespace) -> None:
    """Check the options that need no model.

    Raises:
        ConfigError: One of them cannot work.
    """
    from mmvan.inference.run import check_screen

    if args.batch_size < 1:
        raise ConfigError(f"--batch-size {args.batch_size}: expected 1 or more")
    if not 0 <= args.score_thr <= 1:
        raise ConfigError(f"--score-thr {args.score_thr}: expected a score from 0 to 1")
    if args.max_frames is not None and args.max_frames < 1:
        raise ConfigError(f"--max-frames {args.max_frames}: expected 1 or more")
    if args.out.is_file():
        raise ConfigError(f"--out {args.out} is a file; expected a folder")
    if args.show:
        check_screen()


def run(args: argparse.Namespace) -> None:
    """Predict.

    Raises:
        SystemExit: With status 1, after all else was done, if an input could not be read.
    """
    device = choose_device(args.device)
    # Only now, because the frameworks take a GPU when they are imported.
    from mmvan.inference.draw import Drawer
    from mmvan.inference.inputs import find_sources
    from mmvan.inference.model import build_model, find_checkpoint, find_config, split_checkpoint
    from mmvan.inference.predict import Predictor
    from mmvan.inference.results import ResultFiles
    from mmvan.inference.run import Outputs, run

    check_args(args)
    checkpoint, inputs = split_checkpoint(args.inputs)
    if not inputs:
        raise ConfigError("INPUT is missing: give images, folders, patterns, videos or a camera")
    cfg = find_config(args.config, args.cfg_options)
    address = find_checkpoint(args.config, checkpoint)
    sources, failures = find_sources(inputs)
    predictor = Predictor(build_model(cfg, address, device))
    meta = predictor.model.dataset_meta
    drawer = Drawer(cfg, meta, args.score_thr)
    outputs = Outputs(args.out, drawer, ResultFiles(args.out, meta, args.score_thr), args.show)
    outcome = run(predictor, sources, outputs, args.batch_size, args.max_frames)
    end = ", ended by the user" if outcome.stopped else ""
    print(f"{predictor.task}: {outcome.done} images or frames{end}; results in {args.out}")
    failures += outcome.failures
    if failures:
        print(f"{len(failures)} of the inputs could not be used:", file=sys.stderr)
        print(*(f"  {each.name}: {each.reason}" for each in failures), sep="\n", file=sys.stderr)
        raise SystemExit(FAILED_STATUS)
