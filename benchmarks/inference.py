"""Inference of whole classifiers on a CPU: ours, folded and not, beside mmpretrain's VAN.

    python benchmarks/inference.py --out benchmarks/inference_cpu.csv

Run it on otherwise idle cores. All forms have the same weights and see the same images; how far
their logits are from mmpretrain's is in the table too.
"""

import argparse
import itertools
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from timing import medians, write_csv
from torch import nn

from mmvan.arch import ARCHS
from mmvan.deploy import fold
from mmvan.leaderboard.output import cpu_name

CASES = (("b0", 8), ("b2", 1), ("b2", 8))  # Arch and images per batch.
SIZE = 224
PEER = "mmpretrain"
# Each port's own eps would be a difference of the networks, not of their speed.
NORM = {"type": "LN", "eps": 1e-6}
HEAD = {"type": "LinearClsHead", "num_classes": 1000}


def build(backbone: dict[str, Any], channels: int) -> nn.Module:
    """A classifier of mmpretrain around a backbone."""
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model: nn.Module = MODELS.build(
            {
                "type": "ImageClassifier",
                "backbone": backbone,
                "neck": {"type": "GlobalAveragePooling"},
                "head": {**HEAD, "in_channels": channels},
            }
        )
    return model.eval()


def forms_of(arch: str) -> dict[str, nn.Module]:
    """The VAN of mmpretrain and ours in all its forms, with the same random weights."""
    torch.manual_seed(0)
    sizes = {key: list(value) for key, value in vars(ARCHS[arch]).items()}
    channels = ARCHS[arch].embed_dims[-1]
    peer = build({"type": "VAN", "arch": sizes, "norm_cfg": NORM}, channels)
    forms = {PEER: peer}
    for name, channels_last in (("ours", False), ("ours channels_last", True)):
        options = {"out_indices": (3,), "out_norm_cfg": NORM, "channels_last": channels_last}
        model = build({"type": "mmvan.VAN", "arch": arch, **options}, channels)
        model.load_state_dict(peer.state_dict())
        forms |= {name: model, name.replace("ours", "folded"): fold(model)}
    return forms


def measure(arch: str, batch: int, repeats: int) -> list[dict[str, object]]:
    """One row per form."""
    forms = forms_of(arch)
    images = torch.randn(batch, 3, SIZE, SIZE)
    with torch.inference_mode():
        logits = {name: model(images, mode="tensor") for name, model in forms.items()}
        steps = {
            name: lambda model=model: model(images, mode="tensor") for name, model in forms.items()
        }
        times = medians(steps, repeats)
    scale = logits[PEER].abs().max()
    return [
        {
            "arch": arch,
            "batch": batch,
            "form": name,
            "ms": f"{time:.2f}",
            "images_per_s": f"{1e3 * batch / time:.1f}",
            "ratio": f"{times[PEER] / time:.2f}",
            "difference": f"{float((logits[name] - logits[PEER]).abs().max() / scale):.1e}",
        }
        for name, time in times.items()
    ]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = {
        "dtype": "float32",
        "cpu": cpu_name(),
        "threads": args.threads,
        "torch": torch.__version__,
    }
    measured = itertools.chain.from_iterable(measure(*case, args.repeats) for case in CASES)
    rows = [row | machine for row in measured]
    for row in rows:
        print(row)
    if args.out:
        write_csv(rows, args.out)


if __name__ == "__main__":
    main()
