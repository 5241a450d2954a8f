"""Export a trained model: ``mmvan export CONFIG CHECKPOINT --format onnx``."""

import argparse
import sys
from pathlib import Path

from mmvan.checkpoint.trust import trust_pickles
from mmvan.cli.infer_exported import add_provider
from mmvan.deploy.detectors import open_export
from mmvan.deploy.export import DifferenceError, Request
from mmvan.deploy.formats import FORMATS, PRECISIONS
from mmvan.deploy.graphs import PARTS
from mmvan.engine.options import add_cfg_options

DESCRIPTION = (
    "Write a model for a runtime, load it again and compare it with PyTorch on "
    "images. The file takes uint8 RGB images; docs/deploy.md describes it. Ends with "
    "status 1, and leaves no file, if the two differ by more than the precision explains."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("config", help="config file")
    add("checkpoint", help="file or address (https://, hf://owner/name) of the weights")
    add("--format", required=True, choices=FORMATS, help="kind of file")
    add("--out", type=Path, metavar="PATH", help="default: named as the config, in this folder")
    add(
        "--part",
        choices=PARTS,
        help="whole: logits, of detectors boxes, labels and masks; features: maps of "
        "backbone and neck; backbone: four maps (default: whole, of detectors features)",
    )
    add("--fold", action="store_true", help="fold the normalisations into the convolutions")
    add("--dynamic", action="store_true", help="any number of images of any size")
    add("--shape", type=int, nargs=2, metavar=("H", "W"), help="default: as the config tests")
    add("--batch", type=int, default=1, help="images per call, without --dynamic (default: 1)")
    add("--precision", choices=PRECISIONS, default="fp32", help="(default: fp32)")
    add("--calibrate", type=Path, metavar="DIR", help="images that set the ranges of int8")
    add(
        "--weight-bits",
        type=int,
        choices=(7, 8),
        default=7,
        help="of int8: 7 is right on every processor, 8 only on those with VNNI (default: 7)",
    )
    add("--images", type=Path, metavar="DIR", help="images to compare on (default: drawn ones)")
    add(
        "--evaluate",
        type=int,
        default=500,
        metavar="N",
        help="images of the config's test set, on which int8 is evaluated (default: 500)",
    )
    add("--threads", type=int, help="of the runtime (default: its own choice)")
    add_provider(parser)
    add("--verify-only", action="store_true", help="write nothing: compare the file --out")
    add_cfg_options(parser)
    add("--unsafe", action="store_true", help="read CHECKPOINT even if it can execute code")


def run(args: argparse.Namespace) -> None:
    """Export, and say how the file compares."""
    if args.unsafe:
        trust_pickles()
    export = open_export(request_of(args))
    out = export.request.out
    try:
        print(*([export.verify(out)] if args.verify_only else export.write()), sep="\n")
    except DifferenceError as error:
        print(f"{error}. {'' if args.verify_only else 'Not written.'}", file=sys.stderr)
        raise SystemExit(1) from None


def request_of(args: argparse.Namespace) -> Request:
    """The options as the package takes them."""
    name = Path(args.config).stem
    return Request(
        config=args.config,
        checkpoint=args.checkpoint,
        format=args.format,
        out=args.out or Path(name).with_suffix(FORMATS[args.format].ending),
        overrides=args.cfg_options,
        part=args.part,
        precision=args.precision,
        folded=args.fold,
        dynamic=args.dynamic,
        shape=tuple(args.shape) if args.shape else None,
        batch=args.batch,
        images=args.images,
        calibrate=args.calibrate,
        evaluate=args.evaluate,
        weight_bits=args.weight_bits,
        threads=args.threads,
        provider=args.provider,
    )
