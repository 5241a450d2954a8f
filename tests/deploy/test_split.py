"""A detector whose features a runtime computes predicts what the whole detector predicts."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from mmengine.registry import DefaultScope

from mmvan.data.sample import prepare
from mmvan.deploy.export import Export
from mmvan.deploy.runtimes import open_runtime
from mmvan.deploy.split import use_runtime
from mmvan.errors import DeployError
from tests.deploy.small import request


@pytest.mark.slow
def test_the_split_detector_predicts_the_same(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    asked = request(
        "detection", checkpoints["detection"], "torchscript", tmp_path, dynamic=True, folded=True
    )
    export = Export(asked)
    export.write()
    model: Any = export.model
    model.cfg = export.cfg
    split = use_runtime(model, open_runtime(asked.out, 1))
    prepare(tmp_path, "det", counts=(24, 4))
    images = sorted((tmp_path / "coco" / "val2017").glob("*.jpg"))
    assert len(images) == 4
    found = 0
    for path in images:
        image = np.ascontiguousarray(cv2.imread(str(path)))
        with DefaultScope.overwrite_default_scope("mmdet"):
            ours, whole = (inference_detector(m, image).pred_instances for m in (split, model))
        assert len(ours) == len(whole)
        torch.testing.assert_close(ours.bboxes, whole.bboxes, rtol=1e-3, atol=1e-2)
        torch.testing.assert_close(ours.scores, whole.scores, rtol=1e-3, atol=1e-4)
        assert torch.equal(ours.labels, whole.labels)
        found += len(whole)
    assert found > 0


@pytest.mark.slow
def test_another_kind_of_file_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    asked = request("classification", checkpoints["classification"], "torchscript", tmp_path)
    export = Export(asked)
    export.write()
    with pytest.raises(DeployError, match="holds whole of a classification model; expected feat"):
        use_runtime(export.model, open_runtime(asked.out, 1))
