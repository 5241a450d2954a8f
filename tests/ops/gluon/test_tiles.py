"""How maps are divided for the pair in one pass."""

from itertools import product

import pytest

from mmvan.ops.gluon.tiles import CHANNELS, NUMBERS, RING_BYTES, ROWS_1, Plan, plan

PAPER = (7, 3)  # The second kernel of VAN, and its dilation.


@pytest.mark.parametrize(
    ("size", "expected"),
    (
        ((56, 56, 64), Plan(64, 16, 6, 4, 12, 1)),
        ((28, 28, 128), Plan(32, 16, 5, 5, 15, 1)),
        ((14, 14, 320), Plan(16, 32, 5, 5, 15, 1)),
        ((7, 7, 512), Plan(8, 64, 3, 3, 9, 1)),
        ((128, 128, 64), Plan(128, 8, 6, 4, 12, 1)),  # Not three times 64.
        ((100, 100, 64), Plan(64, 16, 6, 4, 12, 2)),
        ((200, 334, 64), Plan(128, 8, 6, 4, 12, 3)),
    ),
)
def test_the_maps_of_van_in_a_half_type(size: tuple[int, int, int], expected: Plan) -> None:
    assert plan(*size, *PAPER, itemsize=2) == expected


def test_a_plan_covers_the_map_and_fits() -> None:
    seen = 0
    sizes = product((1, 5, 40), (1, 9, 65, 300), (1, 30), (1, 3, 7), (1, 2, 3), (2, 4))
    for height, width, channels, kernel, dilation, itemsize in sizes:
        found = plan(height, width, channels, kernel, dilation, itemsize)
        assert found is not None
        halo = dilation * (kernel // 2)
        assert found.group == dilation * found.rows_2
        assert found.group % found.rows_1 == 0
        assert found.rows_1 <= ROWS_1
        columns, blocks = found.columns, found.column_blocks
        assert columns + (blocks - 1) * (columns - 2 * halo) >= width
        assert CHANNELS <= found.channels <= max(NUMBERS // columns, CHANNELS)
        rows = found.group + 2 * halo
        assert rows * (columns + halo) * found.channels * itemsize <= RING_BYTES
        seen += 1
    assert seen == 3 * 4 * 2 * 3 * 3 * 2


def test_fewer_channels_where_the_ring_would_be_too_large_and_none_in_the_end() -> None:
    assert plan(56, 56, 64, 7, 3, itemsize=4) == Plan(64, 8, 6, 4, 12, 1)
    assert plan(56, 56, 64, 7, 3, itemsize=8) == Plan(64, 4, 6, 4, 12, 1)
    assert plan(56, 56, 64, 7, 9, itemsize=8) is None
    assert plan(56, 200, 64, 7, 22, itemsize=2) is None  # Wider than a tile, which is all seam.
