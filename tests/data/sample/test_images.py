"""Seeds and files that all writers share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mmvan.data.sample.images import generator, scene_size, write_jpeg


def test_every_key_has_its_own_numbers() -> None:
    keys = [(0, "coco", "train", 1), (0, "coco", "train", 2), (0, "coco", "val", 1), (1, "coco")]
    assert generator(*keys[0]).random() == generator(*keys[0]).random()
    assert len({generator(*key).random() for key in keys}) == len(keys)


def test_scene_sizes_stay_in_their_range() -> None:
    sizes = [scene_size(np.random.default_rng(seed)) for seed in range(200)]
    assert {min(sizes)[0], max(sizes)[0]} == {160, 192}
    assert all(192 <= width <= 224 for _, width in sizes)


def test_jpeg_keeps_the_order_of_colours(tmp_path: Path) -> None:
    image = np.zeros((16, 24, 3), np.uint8)
    image[..., 0] = 200
    path = write_jpeg(tmp_path / "new" / "a.JPEG", image)
    with Image.open(path) as read:
        assert read.size == (24, 16)
        np.testing.assert_allclose(np.asarray(read)[8, 12], [200, 0, 0], atol=3)
