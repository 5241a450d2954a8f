"""Segmentations are judged as pycocotools would read them, without letting it."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from mmvan.data.masks import is_polygons, is_rle

SIZE = (37, 53)


def encoded(seed: int, share: float) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return coco_masks.encode(np.asfortranarray((rng.random(SIZE) < share).astype(np.uint8)))


@pytest.mark.parametrize("share", (0, 0.001, 0.1, 0.5, 0.999, 1))
def test_what_pycocotools_writes_is_run_lengths(share: float) -> None:
    for seed in range(20):
        value = encoded(seed, share)
        text = value["counts"].decode()
        assert is_rle(value, SIZE)  # of bytes
        assert is_rle({**value, "counts": text}, list(SIZE))
        assert not is_rle({**value, "counts": text}, SIZE[::-1])
        assert not is_rle({**value, "counts": text + "1"}, SIZE)
        assert not is_rle({**value, "counts": text[:-1]}, SIZE)


@pytest.mark.parametrize(
    "counts",
    (
        "",
        "o",  # says that it goes on
        "PPPP~~",
        "\0",
        "1 2",
        "é",
        "o" * 200 + "0",  # a number of a thousand bits
        "O" + "0" * 3,
        [10, 20],
        [37 * 53 + 1, -1],
        [37.0 * 53],
        ["1961"],
        [True] * 1961,
        1961,
        None,
    ),
)
def test_others_are_not(counts: Any) -> None:
    assert not is_rle({"size": list(SIZE), "counts": counts}, SIZE)


def test_a_list_that_fills_the_mask_is() -> None:
    assert is_rle({"size": list(SIZE), "counts": [1, 2, 37 * 53 - 3]}, SIZE)
    assert not is_rle({"counts": [37 * 53]}, SIZE)
    assert not is_rle({"size": None, "counts": [37 * 53]}, SIZE)
    assert not is_rle([1, 2], SIZE)


@pytest.mark.parametrize(
    ("value", "expected"),
    (
        ([[1, 1, 9, 1, 9, 9]], True),
        ([(1, 1, 9, 1, 9, 9), np.arange(8)], True),
        ([[1, 1, 9, 1, 9, 9], [1, 1, 2, 2]], True),  # the later one is left out by libraries
        ([[1, 1, 9, 9]], False),
        ([[1, 1, 9, 1, 9]], False),
        ([[1, 1, 9, 1, 9, float("nan")]], False),
        ([[1, 1, 9, 1, 9, 1e5]], False),
        ([[1, 1, 9, 1, 9, "9"]], False),
        ([[1, 1, 9, 1, 9, None]], False),
        ([[1e308, 1e308, 1e308, 1, 9, 9]], False),
        ([1, 1, 9, 1, 9, 9], False),
        ([], False),
        ("text", False),
        (5, False),
        (None, False),
    ),
)
def test_polygons(value: Any, expected: bool) -> None:
    assert is_polygons(value, SIZE) is expected
