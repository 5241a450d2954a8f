"""BatchNorm over one value is found before the first step, and nothing else is."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

import mmvan.models  # noqa: F401, because it registers the backbone
from mmvan.errors import ConfigError

NUMBERS = itertools.count()
DIMS = [8, 16, 24, 32]
ARCH = {"embed_dims": DIMS, "depths": [1, 1, 1, 1], "ffn_ratios": [1, 1, 1, 1]}
NORM = {"type": "BN"}


class Images:
    """Segmentation samples of one size."""

    def __init__(self, count: int, side: int) -> None:
        self.count, self.side = count, side
        self.metainfo = {"classes": ("a", "b")}

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        labels = torch.randint(0, 2, (1, self.side, self.side))
        sample = SegDataSample(metainfo={"img_shape": (self.side, self.side)})
        sample.gt_sem_seg = PixelData(data=labels)
        return {"inputs": torch.rand(3, self.side, self.side), "data_samples": sample}


class Broken(Images):
    """Images that are no samples of the library."""

    def __getitem__(self, index: int) -> Any:
        return torch.rand(3), index


def segmentor(head: str, norm: dict[str, Any], side: int) -> Any:
    init_default_scope("mmseg")
    settings = {
        "UPerHead": {"in_channels": DIMS, "in_index": [0, 1, 2, 3], "pool_scales": (1, 2)},
        "FCNHead": {"in_channels": DIMS[-1], "in_index": 3, "num_convs": 1},
    }[head]
    return MODELS.build(
        {
            "type": "EncoderDecoder",
            "data_preprocessor": {"type": "SegDataPreProcessor", "size": (side, side)},
            "backbone": {"type": "mmvan.VAN", "arch": ARCH, "norm_cfg": norm},
            "decode_head": {
                "type": head,
                "channels": 8,
                "num_classes": 2,
                "norm_cfg": norm,
                **settings,
            },
        }
    )


def start(
    folder: Path,
    count: int,
    side: int,
    batch: int,
    head: str = "FCNHead",
    norm: dict[str, Any] = NORM,
    train_cfg: dict[str, Any] | None = None,
    data: Any = None,
    **loader: Any,
) -> Runner:
    """Begin a training, of which nothing but the hook's part is done."""
    runner = Runner(
        segmentor(head, norm, side),
        str(folder),
        train_dataloader={
            "dataset": data or Images(count, side),
            "batch_size": batch,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            **loader,
        },
        train_cfg=train_cfg or {"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        custom_hooks=[{"type": "mmvan.BatchNormCheckHook"}],
        experiment_name=f"batch_norm_{next(NUMBERS)}",
        cfg=Config(),
    )
    runner.train_loop  # noqa: B018, which is built
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == "BatchNormCheckHook")
    hook.before_train(runner)
    return runner


@pytest.mark.parametrize(
    ("options", "named"),
    (
        (
            {"count": 4, "side": 32, "batch": 1},
            "batches have 1 image of 32 x 32",
        ),
        ({"count": 5, "side": 32, "batch": 2}, "the last batch of an epoch has 1 image of 32 x 32"),
        (
            {"count": 4, "side": 64, "batch": 1, "head": "UPerHead"},
            r"BatchNorm in decode_head.psp_modules.0.1.bn would see 1 value.*batch_size=2",
        ),
    ),
)
def test_one_value_is_named(options: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=named):
        start(tmp_path, **options)


@pytest.mark.parametrize(
    "options",
    (
        {"count": 4, "side": 64, "batch": 1},
        {"count": 4, "side": 32, "batch": 2},
        {"count": 5, "side": 32, "batch": 2, "drop_last": True},
        {"count": 4, "side": 32, "batch": 1, "norm": {"type": "GN", "num_groups": 4}},
    ),
)
def test_what_can_be_trained_is_not_touched(options: dict[str, Any], tmp_path: Path) -> None:
    runner = start(tmp_path, **options)
    assert runner.model.training
    assert not any(module._forward_pre_hooks for module in runner.model.modules())


ODD = {"count": 5, "side": 64, "batch": 2, "head": "UPerHead"}


@pytest.mark.parametrize(
    "options",
    (
        {
            "sampler": {"type": "InfiniteSampler"},
            "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 9},
        },
        {"train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 2}},
        {"data": Broken(5, 64)},
    ),
    ids=("no_end", "not_reached", "unknown_samples"),
)
def test_batches_that_never_come_are_no_reason(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the last batch of an epoch"):
        start(tmp_path, **ODD)
    assert start(tmp_path, **{**ODD, **options}).model.training
