"""Names, ids and colours fit together."""

from __future__ import annotations

from mmvan.data.sample.catalog import (
    CATEGORY_IDS,
    CLASS_FOLDERS,
    GROUNDS,
    KINDS,
    NUM_CATEGORIES,
    SAMPLE_CATEGORIES,
    SAMPLE_CATEGORY_PALETTE,
    SAMPLE_CLASSES,
    SAMPLE_SEGMENT_PALETTE,
    SAMPLE_SEGMENTS,
)
from mmvan.data.sample.drawing import SHAPES, TEXTURES


def test_every_kind_is_a_known_shape_and_texture_and_texture_does_not_suffice() -> None:
    pairs = {(kind.shape, kind.texture) for kind in KINDS}
    assert len(pairs) == len(KINDS) == 10
    assert {kind.shape for kind in KINDS} == set(SHAPES)
    assert {kind.texture for kind in KINDS} == set(TEXTURES)
    textures = [kind.texture for kind in KINDS]
    assert all(textures.count(texture) == 2 for texture in textures)


def test_folders_sort_in_the_order_of_classes() -> None:
    assert len(SAMPLE_CLASSES) == len(set(SAMPLE_CLASSES)) == len(CLASS_FOLDERS)
    assert list(CLASS_FOLDERS) == sorted(set(CLASS_FOLDERS))


def test_objects_of_all_tasks_are_the_first_classes() -> None:
    assert SAMPLE_CLASSES[:NUM_CATEGORIES] == SAMPLE_CATEGORIES
    assert (*GROUNDS, *SAMPLE_CATEGORIES) == SAMPLE_SEGMENTS


def test_every_class_has_an_id_and_a_colour_of_its_own() -> None:
    assert len(set(CATEGORY_IDS)) == len(SAMPLE_CATEGORIES) == NUM_CATEGORIES
    assert len(set(SAMPLE_CATEGORY_PALETTE)) == len(SAMPLE_CATEGORIES)
    assert len(set(SAMPLE_SEGMENT_PALETTE)) == len(SAMPLE_SEGMENTS)
