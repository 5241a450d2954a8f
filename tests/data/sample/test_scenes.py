"""Images: what hides what, how much of everything is seen, and how they are lit."""

from __future__ import annotations

import numpy as np
import pytest

from mmvan.data.sample.catalog import GROUNDS, KINDS
from mmvan.data.sample.drawing import Sprite
from mmvan.data.sample.scenes import (
    MIN_SEEN,
    Scene,
    Thing,
    draw_ground,
    draw_portrait,
    draw_scene,
)


def square(side: int, left: int, top: int, value: float = 1.0) -> Sprite:
    return Sprite(
        np.full((side, side, 3), value, np.float32), np.ones((side, side), np.float32), left, top
    )


def empty(height: int = 20, width: int = 30) -> Scene:
    return Scene(np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.uint8))


def test_the_front_hides_the_back() -> None:
    scene = empty()
    assert scene.add(Thing(0), [square(10, 0, 0, 0.5)])
    assert scene.add(Thing(1), [square(10, 5, 0)])
    assert scene.visible(0).sum() == 50
    assert scene.visible(1).sum() == 100
    assert scene.image[0, 4, 0] == 0.5
    assert scene.image[0, 5, 0] == 1


def test_what_would_be_hidden_too_much_is_not_painted() -> None:
    scene = empty()
    assert scene.add(Thing(0), [square(10, 0, 0, 0.5)])
    before = scene.image.copy()
    assert not scene.add(Thing(1), [square(10, 3, 0)])
    assert not scene.add(Thing(1), [square(10, -7, 12)])
    assert not scene.add(Thing(1), [square(10, 40, 40)])
    np.testing.assert_array_equal(scene.image, before)
    assert scene.things == [Thing(0)]


def test_clutter_may_vanish_but_must_not_hide_objects() -> None:
    scene = empty()
    assert scene.add(Thing(-1), [square(6, 2, 2)])
    assert scene.add(Thing(0), [square(10, 0, 0, 0.5)])
    assert not scene.visible(0).any()
    assert not scene.add(Thing(-1), [square(9, 0, 0)])
    assert scene.visible(1).sum() == 100


def test_soft_pixels_mix_both_colours() -> None:
    scene = empty()
    soft = Sprite(np.ones((2, 2, 3), np.float32), np.full((2, 2), 0.75, np.float32), 1, 1)
    assert scene.add(Thing(0), [soft])
    assert scene.image[1, 1, 0] == 0.75
    assert scene.image[0, 0, 0] == 0


def test_ground_has_all_labels_and_up_to_three_bands() -> None:
    labels = [np.unique(draw_ground(np.random.default_rng(s), 64, 64).ground) for s in range(40)]
    assert {len(found) for found in labels} == {1, 2, 3}
    assert set(np.concatenate(labels)) == set(range(len(GROUNDS) + 1))


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_portraits_are_images_of_any_shape(kind: int) -> None:
    wide = draw_portrait(np.random.default_rng(kind), kind, 80, 120)
    tall = draw_portrait(np.random.default_rng(kind), kind, 120, 80)
    assert wide.shape == (80, 120, 3)
    assert tall.shape == (120, 80, 3)
    assert wide.dtype == np.uint8
    assert wide.std() > 8


def test_scenes_vary_in_number_scale_and_occlusion() -> None:
    counts, areas, crowds, covered = set(), [], 0, 0
    for seed in range(40):
        image, scene = draw_scene(np.random.default_rng(seed), 160, 192, crowd_share=0.3)
        assert image.shape == (160, 192, 3)
        seen = [scene.visible(index).sum() for index in range(len(scene.things))]
        assert all(s >= MIN_SEEN * size for s, size in zip(seen, scene.sizes, strict=True))
        assert all(
            size > 0 for size, t in zip(scene.sizes, scene.things, strict=True) if t.kind >= 0
        )
        objects = [i for i, t in enumerate(scene.things) if t.kind >= 0 and not t.crowd]
        counts.add(len(objects))
        areas += [seen[i] for i in objects]
        crowds += sum(thing.crowd for thing in scene.things)
        covered += sum(seen[i] < 0.9 * scene.sizes[i] for i in objects)
    assert {2, 3, 4, 5} <= counts
    assert max(areas) > 25 * min(areas)
    assert 4 <= crowds <= 25
    assert covered > 20
