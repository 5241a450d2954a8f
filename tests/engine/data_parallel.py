"""Trains a small model of each task for two steps, alone or as one of several processes.

``python data_parallel.py FILE`` writes all weights into FILE; under torchrun, each process takes
its share of the same images.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from torch import nn

from mmvan.engine.processes import Processes, read_processes, start_gloo, use_plain_batch_norm

CONFIGS = Path(__file__).parents[2] / "configs"
WIDTHS = [8, 16, 24, 32]
IMAGES, SIDE, STEPS = 4, 64, 2
# The losses of ATSS are normalised over all processes. Those of mmdet's two-stage detectors are
# normalised by the samples of each process, so that they differ from one process by design.
METHODS = {
    "classification": "classification/van_t_in1k.py",
    "detection": "detection/van_b_atss_3x.py",
    "segmentation": "segmentation/van_t_fpn.py",
}


def build(task: str) -> nn.Module:
    """A small model without BatchNorm's batch statistics and without dropout."""
    cfg = Config.fromfile(CONFIGS / METHODS[task])
    init_default_scope(cfg.default_scope)
    use_plain_batch_norm(cfg)
    arch = {"embed_dims": WIDTHS, "depths": [1] * 4, "ffn_ratios": [2] * 4}
    cfg.model.backbone.update(arch=arch, init_cfg=None, drop_path_rate=0.0, norm_eval=True)
    cfg.model.train_cfg = cfg.model.get("train_cfg") if task == "detection" else None
    if task == "classification":
        cfg.model.head.in_channels = WIDTHS[-1]
        cfg.model.head.loss = {"type": "CrossEntropyLoss"}
    else:
        cfg.model.neck.in_channels = WIDTHS
    if task == "segmentation":
        cfg.model.data_preprocessor.size = (SIDE, SIDE)
        cfg.model.decode_head.update(dropout_ratio=0.0, norm_cfg={"type": "GN", "num_groups": 8})
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.train()


def make_sample(task: str, generator: torch.Generator) -> Any:
    shape = {"img_shape": (SIDE, SIDE), "ori_shape": (SIDE, SIDE), "scale_factor": (1.0, 1.0)}
    if task == "classification":
        from mmpretrain.structures import DataSample

        return DataSample().set_gt_label(int(torch.randint(10, (1,), generator=generator)))
    if task == "segmentation":
        from mmseg.structures import SegDataSample

        labels = torch.randint(5, (1, SIDE, SIDE), generator=generator)
        return SegDataSample(metainfo=shape, gt_sem_seg=PixelData(data=labels))
    from mmdet.structures import DetDataSample

    corner = torch.randint(SIDE // 2, (1, 2), generator=generator).float()
    boxes = torch.cat([corner, corner + SIDE // 3], dim=1)
    instances = InstanceData(bboxes=boxes, labels=torch.tensor([3]))
    empty = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    sample = DetDataSample(metainfo={**shape, "pad_shape": (SIDE, SIDE)})
    sample.gt_instances, sample.ignored_instances = instances, empty
    return sample


def batches(task: str, processes: Processes) -> Iterator[dict[str, Any]]:
    """This process's share of every step's images."""
    generator = torch.Generator().manual_seed(1)
    share = IMAGES // processes.world_size
    own = slice(processes.rank * share, (processes.rank + 1) * share)
    for _ in range(STEPS):
        images = torch.randint(256, (IMAGES, 3, SIDE, SIDE), generator=generator).float()
        samples = [make_sample(task, generator) for _ in range(IMAGES)]
        inputs: Any = images[own]
        yield {
            "inputs": inputs if task == "classification" else list(inputs),
            "data_samples": samples[own],
        }


def train(task: str, processes: Processes) -> dict[str, torch.Tensor]:
    """The weights after two steps of SGD."""
    model = build(task)
    settings = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}}
    wrapper = build_optim_wrapper(model, settings)
    wrapped: Any = model
    if processes.distributed:
        wrapped = MMDistributedDataParallel(model, device_ids=None)
    for batch in batches(task, processes):
        wrapped.train_step(batch, wrapper)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def train_all(processes: Processes) -> dict[str, dict[str, torch.Tensor]]:
    """Every task's weights."""
    return {task: train(task, processes) for task in METHODS}


def main() -> None:
    processes = read_processes("pytorch" if "RANK" in os.environ else "none")
    if processes.distributed:
        start_gloo(Config(), processes)
    weights = train_all(processes)
    if processes.rank == 0:
        torch.save(weights, sys.argv[1])


if __name__ == "__main__":
    main()
