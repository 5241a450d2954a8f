"""One step of training and one of testing for each config: ``device_steps.py CONFIG...``.

Prints as JSON, by the name of each config, what :func:`run` returns. ``--device gpu`` is pretended.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import mmcv.ops  # noqa: F401  # Its modules have the names of their functions.
import torch
import torchvision  # noqa: F401
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmengine.structures import BaseDataElement
from pretended_device import NAME, PretendedDevice, set_up
from torch import Tensor

from mmvan.engine.bfloat16 import use_torchvision_roi_align


def run(cfg: Config, device: str, amp: bool, left: str | None) -> dict[str, Any]:
    """Train and test on two images each.

    Args:
        cfg: Of any task.
        device: ``cpu`` or the pretended one.
        amp: Whether to train in bfloat16 what autocast does.
        left: A buffer that stays on the CPU, such as ``norm.running_mean``.

    Returns:
        dict: The loss, how many parameters the step changed, and where parameters and predictions
        are.
    """
    init_default_scope(cfg.default_scope)
    if amp:
        use_torchvision_roi_align(cfg.model)
    set_random_seed(0)
    model = MODELS.build(cfg.model)
    kept = model.get_buffer(left) if left else None
    model.to(device)
    if left and kept is not None:
        module, _, name = left.rpartition(".")
        setattr(model.get_submodule(module), name, kept)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    with torch.autocast(NAME, torch.bfloat16) if amp else nullcontext():
        data = model.data_preprocessor(_batch(cfg.train_dataloader), True)
        loss, _ = model.parse_losses(model(**data, mode="loss"))
    wrapper.update_params(loss)
    model.eval()
    with torch.no_grad():
        predictions = model.val_step(_batch(cfg.val_dataloader))
    changed = [not a.equal(b) for a, b in zip(before, model.parameters(), strict=True)]
    return {
        "loss": loss.item(),
        "changed": sum(changed),
        "parameters": _devices(model.parameters()),
        "predictions": _devices(_tensors(predictions)),
    }


def _batch(settings: Any) -> Any:
    """The first two samples of a loader."""
    loader = Runner.build_dataloader({**settings, "num_workers": 0, "persistent_workers": False})
    return loader.collate_fn([loader.dataset[index] for index in range(2)])


def _tensors(samples: Any) -> Iterator[Tensor]:
    """What predictions hold, but not the ground truth beside them."""
    for sample in samples:
        for name, value in sample.all_items():
            if isinstance(value, BaseDataElement) and not name.startswith(("gt", "_gt", "ignored")):
                yield from _tensors([value])
            elif isinstance(value, Tensor) and not name.startswith(("gt", "_gt")):
                yield value


def _devices(tensors: Any) -> list[str]:
    return sorted({str(tensor.device) for tensor in tensors})


def main() -> None:
    """Run all, on one device."""
    parser = argparse.ArgumentParser()
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--device", choices=("cpu", NAME), default="cpu")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--left")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    mode: Any = nullcontext()
    if args.device == NAME:
        set_up([sys.modules["mmcv.ops.nms"], sys.modules["mmcv.ops.roi_align"]])
        # Without compiled operators, torchvision's RoIAlign is one in Python on devices it knows.
        sys.modules["torchvision.ops.roi_align"].__dict__["is_compile_supported"] = lambda _: True
        mode = PretendedDevice()
    with mode:
        results = {
            file.stem: run(Config.fromfile(file), args.device, args.amp, args.left)
            for file in args.configs
        }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
