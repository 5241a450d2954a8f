"""The configs of docs/use_in_your_config.md: each library's own, with the backbone replaced."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmvan import VAN
from mmvan.engine.processes import use_plain_batch_norm

PAGE = (Path(__file__).parents[1] / "docs" / "use_in_your_config.md").read_text()
SNIPPETS = {
    match["library"]: match[0]
    for match in re.finditer(
        r'^_base_ = "(?P<library>mm\w+)::.*?(?=```)', PAGE, re.DOTALL | re.MULTILINE
    )
}
SIZE = (64, 64)


def samples(library: str) -> list[BaseDataElement]:
    """Ground truth of two images, in the library's own structures."""
    if library == "mmpretrain":
        from mmpretrain.structures import DataSample

        return [DataSample().set_gt_label(label) for label in (0, 1)]
    if library == "mmseg":
        from mmseg.structures import SegDataSample

        maps = [torch.zeros(1, *SIZE, dtype=torch.long), torch.ones(1, *SIZE, dtype=torch.long)]
        return [SegDataSample(gt_sem_seg=PixelData(data=m), metainfo=meta()) for m in maps]
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    box = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    mask = np.zeros((1, *SIZE), dtype=np.uint8)
    mask[:, 8:40, 8:40] = 1
    truth = InstanceData(
        bboxes=box, labels=torch.zeros(1, dtype=torch.long), masks=BitmapMasks(mask, *SIZE)
    )
    return [DetDataSample(gt_instances=truth.clone(), metainfo=meta()) for _ in range(2)]


def meta() -> dict[str, Any]:
    return {
        "img_shape": SIZE,
        "ori_shape": SIZE,
        "pad_shape": SIZE,
        "scale_factor": (1.0, 1.0),
        "img_id": 0,
        "img_path": "none",
    }


def test_readme_has_a_config_for_each_library() -> None:
    assert sorted(SNIPPETS) == ["mmdet", "mmpretrain", "mmseg"]


@pytest.mark.parametrize("library", SNIPPETS)
def test_readme_config_builds_trains_a_step_and_predicts(library: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "van_in_my_config.py"
    path.write_text(SNIPPETS[library])
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    use_plain_batch_norm(cfg)
    if library == "mmseg":
        cfg.model.data_preprocessor.size = SIZE
    model = MODELS.build(cfg.model)
    assert type(model.backbone) is VAN
    model.init_weights()

    images = [torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8) for _ in range(2)]
    batch = {"inputs": images, "data_samples": samples(library)}
    if library == "mmpretrain":
        batch["inputs"] = torch.stack(images)
    losses = model.train().train_step(batch, build_optim_wrapper(model, cfg.optim_wrapper))
    assert losses["loss"].isfinite()
    predictions = model.eval().test_step(
        {"inputs": batch["inputs"], "data_samples": samples(library)}
    )
    field = {"mmpretrain": "pred_label", "mmdet": "pred_instances", "mmseg": "pred_sem_seg"}[
        library
    ]
    assert [field in prediction for prediction in predictions] == [True, True]
