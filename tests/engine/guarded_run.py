"""One process of a guarded run, of which process 1 alone sees a loss that is not finite.

``python guarded_run.py DIRECTORY`` under torchrun writes what each process found, by its rank.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmvan.engine.nan_guard import NaNGuardHook
from mmvan.engine.processes import read_processes, start_gloo, use_cpu_data_parallel
from mmvan.errors import TrainingError

BAD = 5  # image


class Line(BaseModel):
    """Adds NaN to the loss of an image, with gradients that stay finite."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs: Tensor, data_samples: Any, mode: str) -> dict[str, Tensor]:
        assert mode == "loss"
        bad = torch.tensor(torch.nan if data_samples[0].index == BAD else 0.0)
        return {"loss": (inputs.sum() * self.weight - 1).square() + bad}


class Images(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = BaseDataElement(metainfo={"img_path": f"{index}.jpg", "index": index})
        return {"inputs": torch.tensor(0.1 * index), "data_samples": sample}


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: [item[key] for item in items] for key in ("data_samples",)} | {
        "inputs": torch.stack([item["inputs"] for item in items])
    }


def train(action: str, work_dir: Path) -> dict[str, Any]:
    """What one process has at the end of a run."""
    cfg = Config({"env_cfg": {}})
    use_cpu_data_parallel(cfg)
    runner = Runner(
        Line(),
        work_dir=str(work_dir),
        train_dataloader={
            "batch_size": 1,
            "dataset": Images(),
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "collate_fn": collate,
        },
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=[NaNGuardHook(action=action)],
        default_scope="mmengine",
        experiment_name=action,
        launcher="pytorch",
        env_cfg=cfg.env_cfg,
        cfg={"model_wrapper_cfg": cfg.model_wrapper_cfg},
    )
    try:
        runner.train()
        message = ""
    except TrainingError as error:
        message = str(error)
    return {"message": message, "weight": runner.model.module.weight.item(), "iter": runner.iter}


def main() -> None:
    out = Path(sys.argv[1])
    processes = read_processes("pytorch")
    start_gloo(Config(), processes)
    found = {action: train(action, out / action) for action in ("skip", "stop")}
    (out / f"{processes.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
