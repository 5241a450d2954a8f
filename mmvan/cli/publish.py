"""Publish a checkpoint: ``mmvan publish work_dirs/x/epoch_12.pth van_x``."""

import argparse
from pathlib import Path

from mmvan.checkpoint.publish import publish_checkpoint
from mmvan.checkpoint.reading import read_checkpoint
from mmvan.checkpoint.schemes import locate
from mmvan.checkpoint.trust import trust_pickles

DESCRIPTION = (
    "Write the weights of a checkpoint without optimizer and logs, under a name "
    "that ends with the first digits of the file's SHA-256."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("source", metavar="SRC", help="checkpoint: file, https:// or hf://owner/name address")
    add(
        "destination",
        metavar="DST",
        type=Path,
        help="name without hash: van_b.safetensors or van_b.pth; safetensors without an ending",
    )
    add("--unsafe", action="store_true", help="read SRC even if it can execute code")


def run(args: argparse.Namespace) -> None:
    """Publish, and name the file."""
    if args.unsafe:
        trust_pickles()
    file = publish_checkpoint(read_checkpoint(locate(args.source)), args.destination)
    print(f"{file}: {file.stat().st_size / 2**20:.1f} MiB")
