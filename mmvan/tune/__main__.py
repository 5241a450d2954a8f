"""The command line: ``python -m mmvan.tune --arch b0 --batch 8 --size 224 224``."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from mmvan import tune
from mmvan.arch import get_arch
from mmvan.engine.device import choose_device
from mmvan.engine.errors import run_command
from mmvan.engine.options import add_device
from mmvan.ops.choice import Choice
from mmvan.tune.cache import cache_file, keep
from mmvan.tune.measure import TOLERANCES, Finding
from mmvan.tune.search import search
from mmvan.tune.workload import Workload

DESCRIPTION = (tune.__doc__ or "").partition("\n")[0]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--arch", default="b0", help="network (default: %(default)s)")
    add("--batch", type=int, default=8, help="images at a time (default: %(default)s)")
    add(
        "--size",
        type=int,
        nargs=2,
        default=(224, 224),
        metavar=("HEIGHT", "WIDTH"),
        help="of the images (default: 224 224)",
    )
    modes = ("training", "inference", "both")
    add("--mode", choices=modes, default="both", help="(default: %(default)s)")
    add("--dtype", choices=tuple(TOLERANCES), default="float32", help="of autocast")
    add_device(parser)
    add("--seconds", type=float, default=60.0, help="at most, for each mode (default: %(default)s)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line of ``python -m mmvan.tune`` and run it."""
    parser = argparse.ArgumentParser(prog="python -m mmvan.tune", description=DESCRIPTION)
    add_options(parser)
    run(parser.parse_args(arguments))


def run(args: argparse.Namespace) -> None:
    """Measure, keep and print what was found."""
    device, arch = choose_device(args.device), get_arch(args.arch)
    for mode in ("training", "inference") if args.mode == "both" else (args.mode,):
        workload = Workload(
            **asdict(arch),
            batch=args.batch,
            height=args.size[0],
            width=args.size[1],
            mode=mode,
            device=device,
            dtype=args.dtype,
        )
        print(f"{mode} on {device}:", flush=True)
        outcome = search(workload, args.seconds, _print_finding)
        keep(workload, outcome)
        print(f"  chosen: {outcome.choice} ({outcome.gain:.2f} x plain PyTorch)", flush=True)
    print(f"kept in {cache_file()}")


def _print_finding(candidate: Choice, finding: Finding) -> None:
    print(f"  {candidate}: {finding}", flush=True)


if __name__ == "__main__":
    run_command(main)
