"""How a map is divided, so that what a program keeps fits into shared memory.

The numbers follow from registers and shared memory as the compiler reports them; no GPU has
measured them.
"""

from collections.abc import Iterator
from typing import NamedTuple

WIDEST = (64, 128)  # Columns of a tile of maps that are wider than the first.
NUMBERS = 1024  # Of a tile, at most: 8 per thread, for each row that is computed at a time.
ROWS_1 = 8  # Rows of the first convolution that are computed at a time, at most.
ROWS_2 = (4, 5, 3)  # Those of the second one; the others for maps of few rows, if they fit better.
CHANNELS = 4  # Of a tile, at least: one access of a thread, and a channel for each warp.
RING_BYTES = 78 * 1024  # Two programs on a multiprocessor of 164 KiB; any has 99 for one.


class Plan(NamedTuple):
    """What a program does at a time.

    Args:
        columns: Pixels of a tile.
        channels: Channels of a tile.
        rows_1: Rows of the first convolution; divides those of a group.
        rows_2: Rows of the second convolution, a dilation apart.
        group: Output rows that are computed between two waits: the dilation times ``rows_2``.
        column_blocks: Into how many blocks a row is divided.
    """

    columns: int
    channels: int
    rows_1: int
    rows_2: int
    group: int
    column_blocks: int


def plan(
    height: int, width: int, channels: int, kernel: int, dilation: int, itemsize: int
) -> Plan | None:
    """Divide a map.

    Args:
        height: Of the map.
        width: Of the map.
        channels: Of the map.
        kernel: Size of the second kernel.
        dilation: Of the second kernel.
        itemsize: Bytes of a number.

    Returns:
        The plan; None if no ring of rows fits into shared memory.
    """
    halo = dilation * (kernel // 2)
    offers = ROWS_2 if height <= 3 * dilation * ROWS_2[0] else ROWS_2[:1]
    rows_2 = min(offers, key=lambda rows: _ceil(height, dilation * rows) * rows)
    group = dilation * rows_2
    rows_1 = max(rows for rows in range(1, ROWS_1 + 1) if group % rows == 0)
    ring = _ceil(2 * halo, rows_1) * rows_1 + group
    for columns, blocks in _column_blocks(width, halo):
        pixels = ring * (columns + halo) + halo
        size = max(min(NUMBERS // columns, _power_of_2(channels)), CHANNELS)
        while size > CHANNELS and pixels * size * itemsize > RING_BYTES:
            size //= 2
        if pixels * size * itemsize <= RING_BYTES:
            return Plan(columns, size, rows_1, rows_2, group, blocks)
    return None


def _column_blocks(width: int, halo: int) -> Iterator[tuple[int, int]]:
    """Columns of a tile and their blocks, those that compute the fewest columns first."""
    if width <= WIDEST[0]:
        yield max(_power_of_2(width), CHANNELS), 1
        return
    found = [
        (columns, _ceil(max(width - columns, 0), columns - 2 * halo) + 1)
        for columns in WIDEST
        if columns > 2 * halo
    ]
    yield from sorted(found, key=lambda item: item[0] * item[1])


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


def _power_of_2(number: int) -> int:
    """The least power of two that is not below a number."""
    return 1 << (number - 1).bit_length()
