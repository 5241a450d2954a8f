"""Shapes, textures and sprites."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from mmvan.data.sample.catalog import KINDS, Kind
from mmvan.data.sample.drawing import draw_clutter, draw_object, hsv, noise


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_object_fills_its_circle_and_stays_in_its_sprite(kind: Kind) -> None:
    for seed in range(3):
        sprite = draw_object(np.random.default_rng(seed), kind, (50.5, 40.25), 20.0)
        assert sprite.colour.shape == (*sprite.alpha.shape, 3)
        assert sprite.colour.min() >= 0
        assert sprite.colour.max() <= 1
        border = np.concatenate([sprite.alpha[[0, -1]].ravel(), sprite.alpha[:, [0, -1]].ravel()])
        assert not border.any()
        rows, columns = np.nonzero(sprite.alpha > 0)
        reach = np.hypot(columns + 0.5 + sprite.left - 50.5, rows + 0.5 + sprite.top - 40.25)
        assert 14 < reach.max() <= 21.5
        assert 0.1 < sprite.alpha.sum() / (np.pi * 20**2) <= 1.01
        assert ((sprite.alpha > 0.1) & (sprite.alpha < 0.9)).any()


def test_disc_has_the_area_of_its_polygon() -> None:
    sprite = draw_object(np.random.default_rng(0), KINDS[0], (30.0, 30.0), 25.0)
    axis = np.linalg.det(np.cov(np.argwhere(sprite.alpha > 0.5).T)) ** 0.5 * 4
    assert sprite.alpha.sum() == pytest.approx(np.pi * axis, rel=0.03)


def test_clutter_varies_in_shape_and_colour() -> None:
    sprites = [draw_clutter(np.random.default_rng(s), (20.0, 20.0), 10.0) for s in range(8)]
    assert len({round(float(sprite.alpha.sum())) for sprite in sprites}) >= 6
    assert len({tuple(sprite.colour.mean((0, 1)).round(1)) for sprite in sprites}) >= 6


def test_noise_is_in_range_and_smooth_over_its_cells() -> None:
    fine = noise(np.random.default_rng(0), 40, 60, (2, 2))
    coarse = noise(np.random.default_rng(0), 40, 60, (20, 20))
    assert fine.shape == coarse.shape == (40, 60)
    assert fine.min() >= 0
    assert fine.max() <= 1
    assert np.abs(np.diff(coarse)).mean() < np.abs(np.diff(fine)).mean() / 4


def test_hues_go_around_the_circle() -> None:
    np.testing.assert_allclose(hsv(1.3, 0.5, 0.7), colorsys.hsv_to_rgb(0.3, 0.5, 0.7), atol=1e-6)
