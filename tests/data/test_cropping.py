"""Random crops that are mmpretrain's."""

import numpy as np
import pytest
from mmpretrain.datasets.transforms import RandomResizedCrop as Theirs

from mmvan.data.cropping import RandomResizedCrop


@pytest.mark.parametrize("interpolation", ("bilinear", "bicubic"))
@pytest.mark.parametrize("backend", ("pillow", "cv2"))
def test_crops_are_mmpretrains(backend: str, interpolation: str) -> None:
    settings = {"scale": (24, 32), "backend": backend, "interpolation": interpolation}
    ours, theirs = RandomResizedCrop(**settings), Theirs(**settings)
    image = np.random.default_rng(0).integers(0, 256, (75, 100, 3), np.uint8)
    seen = set()
    for seed in range(40):
        found, expected = [], []
        for results, step in ((found, ours), (expected, theirs)):
            np.random.seed(seed)
            # The view that a reversed order of the channels is, as mmcv reads it with Pillow.
            results.append(step({"img": image[..., ::-1], "gt_label": 3}))
        assert np.array_equal(found[0].pop("img"), expected[0]["img"]), seed
        seen.add(expected[0].pop("img").tobytes())
        assert found == expected
        assert found[0]["img_shape"] == (24, 32, 3)
    assert len(seen) == 40


def test_it_is_shown_with_its_settings() -> None:
    shown = repr(RandomResizedCrop(scale=24, backend="pillow"))
    assert shown == repr(Theirs(scale=24, backend="pillow"))
    assert "scale=(24, 24)" in shown
