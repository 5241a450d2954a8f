"""Publish a checkpoint: ``python tools/publish_checkpoint.py work_dirs/x/epoch_12.pth van_x``."""

import argparse
from pathlib import Path

from mmvan.checkpoint.publish import publish_checkpoint
from mmvan.checkpoint.reading import read_checkpoint
from mmvan.checkpoint.schemes import locate
from mmvan.checkpoint.trust import trust_pickles
from mmvan.engine.errors import run_command


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Write the weights of a checkpoint without optimizer and logs, under a name "
        "that ends with the first digits of the file's SHA-256."
    )
    add = parser.add_argument
    add("source", metavar="SRC", help="checkpoint: file, https:// or hf://owner/name address")
    add(
        "destination",
        metavar="DST",
        type=Path,
        help="name without hash: van_b.safetensors or van_b.pth; safetensors without an ending",
    )
    add("--unsafe", action="store_true", help="read SRC even if it can execute code")
    return parser.parse_args()


def main() -> None:
    """Publish, and name the file."""
    args = parse_args()
    if args.unsafe:
        trust_pickles()
    file = publish_checkpoint(read_checkpoint(locate(args.source)), args.destination)
    print(f"{file}: {file.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    run_command(main)
