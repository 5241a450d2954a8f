"""What exact resume, crash-safe checkpoints and all guards cost, in seconds of CPU time.

    python tests/reliability/overhead.py [--photos FOLDER]

The first table is of whole training steps, see ``step_cost.py``; the second one of single parts.
Its shares are of one iteration on a GPU that takes 0.3 s, and of an epoch of 7330 of them (Mask
R-CNN on COCO with 8 GPUs x 2 images), since a CPU's own iterations take far longer. What is done
for one sample is a share of all that its training pipeline does, on photographs in COCO's layout.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inspection_cost import inspection_rows
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.config import Config
from mmengine.dataset import BaseDataset, DefaultSampler, InfiniteSampler
from mmengine.registry import DefaultScope
from small_runs import ROOT
from step_cost import OWN, REST, WHOLE, measure, table
from torch.utils.data import BatchSampler

from mmvan.data.positions import NumberedBatches, seed_cpu, seed_everything
from mmvan.engine.storage import archive_fault, write_atomically

_ITERATION = 0.3  # seconds
_EPOCH = 7330 * _ITERATION
_BATCH = 2
_ITERATIONS = 100_000
_COCO, _ADE20K = 118_000, 20_210  # images


class Images(BaseDataset):
    """What samplers see of a detection dataset: records with sizes and seven boxes."""

    def load_data_list(self) -> list[dict[str, Any]]:
        rng = np.random.default_rng(0)
        box = {"bbox": [0.0, 0.0, 1.0, 1.0], "bbox_label": 0, "ignore_flag": 0}
        return [
            {"width": int(width), "height": 480, "img_path": "x.jpg", "instances": [box] * 7}
            for width in rng.integers(300, 640, _COCO)
        ]


def cpu_seconds(work: Callable[[], Any], repeat: int = 1) -> float:
    """CPU time of one of several calls."""
    start = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - start) / repeat


def detector_checkpoint() -> tuple[bytes, str]:
    """A checkpoint as large as one of Mask R-CNN with VAN-B2 and AdamW, and its config's text."""
    cfg = Config.fromfile(ROOT / "configs/detection/van_b_maskrcnn.py")
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        from mmdet.registry import MODELS

        weights = MODELS.build(cfg.model).state_dict()
    moments = {n: {"exp_avg": w.clone(), "exp_avg_sq": w.clone()} for n, w in weights.items()}
    stream = io.BytesIO()
    torch.save({"state_dict": weights, "optimizer": moments}, stream)
    return stream.getvalue(), cfg


def advance(sampler: Any, batches: Any, count: int) -> float:
    """CPU time of going to a batch without loading anything."""
    del sampler
    return cpu_seconds(lambda: NumberedBatches(batches, 0, 0).advance(0, count))


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description="Measure what the care of a run costs.")
    parser.add_argument("--turns", type=int, default=30, help="whole steps (default: %(default)s)")
    parser.add_argument("--photos", type=Path, help="train2017 and annotations of COCO")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        turns = {WHOLE: args.turns, REST: 10 * args.turns, OWN: 10 * args.turns}
        costs = {how.name: measure(Path(folder), count, how) for how, count in turns.items()}
    print(f"{table(costs)}\n", flush=True)
    _print_parts(args.photos)


def _print_parts(photos: Path | None) -> None:
    rows: list[tuple[str, float, float | None]] = []
    if photos:
        with tempfile.TemporaryDirectory() as folder:
            rows += inspection_rows(photos, Path(folder))
    seeds = cpu_seconds(lambda: seed_everything((0, 0, 2**31, 5)), 2000)
    of_sample = cpu_seconds(lambda: seed_cpu((0, 0, 0, 5, 1)), 2000)
    rows.append(("random numbers of one iteration", seeds, _ITERATION))

    rows.append(("random numbers of two samples", 2 * of_sample, _ITERATION))

    images = Images(lazy_init=False)
    for name, size in (("COCO", _COCO), ("ADE20K", _ADE20K)):
        sampler = InfiniteSampler(range(size), seed=0)
        batches = BatchSampler(sampler, _BATCH, False)
        rows.append(
            (
                f"resuming at iteration 100,000, {name}, InfiniteSampler",
                advance(sampler, batches, _ITERATIONS),
                None,
            )
        )
    sampler = DefaultSampler(images, seed=0)
    batches = AspectRatioBatchSampler(sampler, _BATCH)
    rows.append(
        (
            "resuming at the end of an epoch of COCO, one process, by aspect ratio",
            advance(sampler, batches, len(batches) - 1),
            None,
        )
    )
    content, cfg = detector_checkpoint()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "checkpoint.pth")
        megabytes = len(content) / 2**20
        rows.append(
            (
                f"writing {megabytes:.0f} MiB plainly",
                cpu_seconds(lambda: file.write_bytes(content)),
                _EPOCH,
            )
        )
        rows.append(
            (
                f"writing {megabytes:.0f} MiB atomically",
                cpu_seconds(lambda: write_atomically(file, content)),
                _EPOCH,
            )
        )
        rows.append(
            ("checking its checksums on resume", cpu_seconds(lambda: archive_fault(file)), None)
        )
    rows.append(
        (
            "the config's text in each checkpoint (MMEngine's own)",
            cpu_seconds(lambda: cfg.pretty_text),
            _EPOCH,
        )
    )
    print("| what | seconds of CPU time | share |\n|---|---|---|")
    for name, seconds, of in rows:
        share = f"{100 * seconds / of:.3f} %" if of else ""
        print(f"| {name} | {seconds:.2g} | {share} |")


if __name__ == "__main__":
    main()
