"""Two depthwise convolutions in one pass: what is between them never leaves shared memory.

A tile is ``COLUMNS`` neighbouring pixels of a row by ``CHANNELS`` channels. A program goes down a
strip of a map, for a block of columns and of channels. It keeps the newest rows of the first
convolution in a ring in shared memory, in the map's type, and reads them back at the taps of the
second one. Each pixel that is read, from the map or from the ring, serves all the rows that it
meets, in registers, as in :mod:`mmvan.ops.triton.kernels`.

Neighbouring blocks of columns overlap by what the second convolution needs of the first. So all
tiles are of one size, and a block as wide as the map computes nothing twice. Rows of the ring are
``HALO`` pixels apart, which stay zero: they are the padding on the right of a row and on the left
of the next one.

A descriptor's ``slice`` begins at multiples of its length alone. A tile at any pixel is had by
indexing that pixel, and by having its descriptor describe the tile that begins there.
"""

# Gluon's language is not Python's: arguments have annotations only where they are constants, and
# tuples of tiles grow by + alone.
# ruff: noqa: ANN001, ANN201, ANN202, N803, RUF005
# mypy: disable-error-code="no-untyped-def, assignment"

from triton.experimental import gluon
from triton.experimental.gluon import language as gl


@gluon.jit
def _tile_at(ring, pixel, COLUMNS: gl.constexpr):
    """The pixels ``pixel``, ``pixel + 1``, ... of the ring, as one tile."""
    CHANNELS: gl.constexpr = ring.shape[2]
    return ring.index(pixel)._reinterpret(ring.dtype, [COLUMNS, CHANNELS], ring.layout)


@gluon.jit
def _bias_tile(bias, c, channels, COLUMNS: gl.constexpr, ACC: gl.constexpr, LAYOUT: gl.constexpr):
    start = gl.zeros((COLUMNS, c.shape[1]), ACC, LAYOUT)
    return start + gl.load(bias + c, c < channels, other=0).to(ACC)


@gluon.jit
def _column_of_taps(weight, b, c, channels, K: gl.constexpr, ACC: gl.constexpr):
    """Column b of the kernels; ``weight`` has shape (K * K, channels)."""
    taps = ()
    for a in gl.static_range(K):
        tap = gl.load(weight + (a * K + b) * channels + c, c < channels, other=0)
        taps = taps + (tap.to(ACC),)
    return taps


@gluon.jit
def _add_row(sums, taps, pixels, k: gl.constexpr):
    """Row k of the input is under tap a of row k - a of the output."""
    added = ()
    for i in gl.static_range(len(sums)):
        if k - i >= 0 and k - i < len(taps):
            added = added + (sums[i] + taps[k - i] * pixels,)
        else:
            added = added + (sums[i],)
    return added


@gluon.jit
def _rows_of_map(
    image, weight, bias, row, columns, height, width, row_stride, column_stride, channel_stride,
    c, channels,
    K: gl.constexpr, ROWS: gl.constexpr, ACC: gl.constexpr, LAYOUT: gl.constexpr,
):  # fmt: skip
    """The rows ``row`` to ``row + ROWS - 1`` of a convolution of a map, as a tuple of tiles."""
    sums = (_bias_tile(bias, c, channels, columns.shape[0], ACC, LAYOUT),) * ROWS
    top = row - K // 2
    for b in range(K):
        taps = _column_of_taps(weight, b, c, channels, K, ACC)
        shifted = columns + (b - K // 2)
        inside = (shifted >= 0) & (shifted < width) & (c < channels)
        pointers = image + top * row_stride + (c * channel_stride + shifted * column_stride)
        for k in gl.static_range(ROWS + K - 1):
            in_map = (top + k >= 0) & (top + k < height)
            pixels = gl.load(pointers, inside & in_map, other=0).to(ACC)
            pointers += row_stride
            sums = _add_row(sums, taps, pixels, k)
    return sums


@gluon.jit
def _rows_of_ring(
    ring, weight, bias, position, c, channels,
    K: gl.constexpr, D: gl.constexpr, ROWS: gl.constexpr, RING: gl.constexpr, PITCH: gl.constexpr,
    COLUMNS: gl.constexpr, ACC: gl.constexpr, LAYOUT: gl.constexpr,
):  # fmt: skip
    """``ROWS`` rows, D apart, of a convolution of the ring's rows from ``position`` on."""
    sums = (_bias_tile(bias, c, channels, COLUMNS, ACC, LAYOUT),) * ROWS
    for b in range(K):
        taps = _column_of_taps(weight, b, c, channels, K, ACC)
        for k in gl.static_range(ROWS + K - 1):
            pixel = (position + k * D) % RING * PITCH + b * D
            pixels = _tile_at(ring, pixel, COLUMNS).load(LAYOUT).to(ACC)
            sums = _add_row(sums, taps, pixels, k)
    return sums


@gluon.jit
def pair_kernel(
    x, weight_1, bias_1, weight_2, bias_2, out, height, width, channels, strip, column_blocks,
    image_stride, row_stride, column_stride, channel_stride,
    K1: gl.constexpr, K2: gl.constexpr, D: gl.constexpr,
    ROWS_1: gl.constexpr, ROWS_2: gl.constexpr, COLUMNS: gl.constexpr, CHANNELS: gl.constexpr,
    ACC: gl.constexpr, OF_MAP: gl.constexpr, OF_RING: gl.constexpr, SHARED: gl.constexpr,
):  # fmt: skip
    """Two convolutions in a row, the second one dilated by D, of ``strip`` output rows.

    ``ROWS_1`` divides ``D * ROWS_2``. ``OF_MAP`` says which thread has which number of a tile in
    the map, ``OF_RING`` in the ring.
    """
    HALO: gl.constexpr = D * (K2 // 2)
    PITCH: gl.constexpr = COLUMNS + HALO
    # Rows that are there before those of the first group, whole blocks of them.
    AHEAD: gl.constexpr = (2 * HALO + ROWS_1 - 1) // ROWS_1 * ROWS_1
    RING: gl.constexpr = AHEAD + D * ROWS_2
    PIXELS: gl.constexpr = RING * PITCH + HALO

    channel_blocks = gl.cdiv(channels, CHANNELS)
    strips = gl.cdiv(height, strip)
    block = gl.program_id(0)
    first_channel = block % channel_blocks * CHANNELS
    block = block // channel_blocks
    column_block = block % column_blocks
    block = block // column_blocks
    first = block % strips * strip
    last = gl.minimum(first + strip, height)
    image = (block // strips).to(gl.int64) * image_stride

    c = (first_channel + gl.arange(0, CHANNELS, gl.SliceLayout(0, OF_MAP)))[None, :]
    c_2 = (first_channel + gl.arange(0, CHANNELS, gl.SliceLayout(0, OF_RING)))[None, :]
    left = column_block * (COLUMNS - 2 * HALO)
    columns = (left + gl.arange(0, COLUMNS, gl.SliceLayout(1, OF_MAP)))[:, None]
    in_map = (columns < width) & (c < channels)
    # At the seam of two blocks, each leaves to the other what it has not all taps of.
    begin = gl.where(column_block == 0, 0, left + HALO)
    end = gl.where(column_block == column_blocks - 1, width, left + COLUMNS - HALO)
    in_block = (columns >= begin) & (columns < end) & (c < channels)

    ring = gl.allocate_shared_memory(x.dtype.element_ty, [PIXELS, 1, CHANNELS], SHARED)
    zeros = gl.zeros((COLUMNS, CHANNELS), x.dtype.element_ty, OF_RING)
    for pixel in range(0, PIXELS - COLUMNS, COLUMNS):
        _tile_at(ring, pixel, COLUMNS).store(zeros)
    _tile_at(ring, PIXELS - COLUMNS, COLUMNS).store(zeros)
    gl.barrier()

    top = first + HALO - AHEAD  # The row at position 0, perhaps above the map.
    done = 0
    for group in range(first, last, D * ROWS_2):
        ahead = group - first + RING
        for position in range(done, ahead, ROWS_1):
            row = top + position
            to = position % RING * PITCH + HALO
            if (row + ROWS_1 > 0) & (row < height):
                sums = _rows_of_map(
                    x + image, weight_1, bias_1, row, columns, height, width, row_stride,
                    column_stride, channel_stride, c, channels, K1, ROWS_1, ACC, OF_MAP,
                )  # fmt: skip
                for i in gl.static_range(ROWS_1):
                    inside = in_map & (row + i >= 0) & (row + i < height)
                    value = gl.where(inside, sums[i], 0.0).to(x.dtype.element_ty)
                    _tile_at(ring, to + i * PITCH, COLUMNS).store(value)
            else:
                for i in gl.static_range(ROWS_1):
                    _tile_at(ring, to + i * PITCH, COLUMNS).store(zeros)
        done = ahead
        gl.barrier()

        for phase in range(D):
            row = group + phase
            sums = _rows_of_ring(
                ring, weight_2, bias_2, row - first + (AHEAD - 2 * HALO), c_2, channels,
                K2, D, ROWS_2, RING, PITCH, COLUMNS, ACC, OF_RING,
            )  # fmt: skip
            for i in gl.static_range(ROWS_2):
                value = gl.convert_layout(sums[i].to(x.dtype.element_ty), OF_MAP)
                to = out + image + (row + i * D) * row_stride
                offsets = c * channel_stride + columns * column_stride
                gl.store(to + offsets, value, in_block & (row + i * D < last))
        gl.barrier()
