"""A whole detector in ONNX Runtime beside mmdet in PyTorch: what both find, and how fast.

``python benchmarks/detectors.py CONFIG CHECKPOINT IMAGES`` prints a row of the table in
docs/deploy.md. The two take turns on each image, from the file to the detections.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from table import current_conditions

from mmvan.deploy.detections import Agreement, summarise
from mmvan.deploy.detectors import DetectorExport
from mmvan.deploy.export import Request
from mmvan.engine.options import add_cfg_options

COLUMNS = (
    *("detector", "images", "detections of both", "with a counterpart", "boxes, px", "scores"),
    *("masks", "PyTorch, images/s", "ONNX Runtime, images/s", "times as fast"),
)


def measure(request: Request) -> list[Agreement]:
    """Export a detector, and compare it with mmdet's own on each image.

    Args:
        request: A whole detector in ONNX, with images.

    Returns:
        list[Agreement]: Of each image.
    """
    export = DetectorExport(request)
    export.write_unverified(request.out)
    return list(export.compare(request.out))


def row(name: str, found: Sequence[Agreement]) -> tuple[str, ...]:
    """The values of :data:`COLUMNS`; the largest differences and the median times."""
    whole = summarise(found)
    speeds = [1 / statistics.median(one.seconds[i] for one in found) for i in range(2)]
    return (
        *(name, str(len(found)), str(whole.detections)),
        f"{whole.matched / max(whole.detections, 1):.2%}",
        *(f"{whole.box:.2g}", f"{whole.score:.1e}", f"{whole.mask:.2%}" if whole.mask else "-"),
        *(f"{speed:.2f}" for speed in speeds),
        f"{speeds[1] / speeds[0]:.2f}",
    )


def main() -> None:
    """Measure one detector and print its row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="weights that find something on the images")
    parser.add_argument("images", type=Path, help="folder, of which 100 are taken at most")
    parser.add_argument("--threads", type=int, default=1, help="of both (%(default)s)")
    add_cfg_options(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        request = Request(
            config=args.config,
            checkpoint=args.checkpoint,
            format="onnx",
            out=Path(folder, "detector.onnx"),
            overrides=args.cfg_options,
            part="whole",
            folded=True,
            dynamic=True,
            images=args.images,
            threads=args.threads,
        )
        values = row(Path(args.config).stem, measure(request))
    on = current_conditions("cpu", args.threads)
    for line in (COLUMNS, ("---",) * len(COLUMNS), values):
        print(f"| {' | '.join(line)} |")
    print(f"\n{on.machine}, {on.threads} threads, float32, {on.date}, {on.versions}")


if __name__ == "__main__":
    main()
