"""Run an exported file on images: ``mmvan infer-exported van.onnx IMAGES``."""

import argparse
from pathlib import Path

from mmvan.deploy.providers import CPU, PROVIDERS
from mmvan.deploy.results import run_folder
from mmvan.deploy.runtimes import open_runtime

DESCRIPTION = (
    "Run a file that tools/export.py wrote, in its own runtime, on all images of "
    "a folder: the five best classes as CSV, masks and coloured images, or maps as .npz."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("model", type=Path, help="the .onnx, .xml, .pt or .pt2; .pt and .pt2 can execute code")
    add("images", type=Path, help="folder, searched with all folders below it")
    add(
        "--out",
        type=Path,
        help="CSV, or folder (default: beside the working folder's files, named as the model)",
    )
    add("--batch", type=int, default=8, help="images per call, where the file allows (default: 8)")
    add("--threads", type=int, help="of the runtime (default: its own choice)")
    add_provider(parser)


def add_provider(parser: argparse.ArgumentParser) -> None:
    """Declare the option of what computes a file."""
    parser.add_argument(
        "--provider",
        default=CPU,
        metavar="NAME[:DEVICE]",
        help=f"what computes: {', '.join(PROVIDERS)}, as in cuda:1 or openvino:GPU; of .xml cpu "
        "or openvino, of .pt and .pt2 cpu (default: cpu)",
    )


def run(args: argparse.Namespace) -> None:
    """Run, and say how fast it was."""
    runtime = open_runtime(args.model, args.threads, args.provider)
    contract = runtime.contract
    table = contract.task == "classification" and contract.part == "whole"
    out = args.out or Path(f"{args.model.stem}_results{'.csv' if table else ''}")
    print(
        f"{args.model}: {contract.task}, {contract.part}, {contract.precision}, outputs "
        f"{', '.join(contract.outputs)}; from {contract.checkpoint}"
    )
    summary = run_folder(runtime, args.images, out, args.batch)
    print(*summary.lines(), f"results: {out}", sep="\n")
