"""The kernels: depthwise convolutions of stride 1 and their gradients, in any memory layout.

A tile is ``COLUMNS`` neighbouring pixels of a row by ``CHANNELS`` channels. Which of the two lies
along the lanes of a warp follows from the strides, so one text serves contiguous maps and
channels_last. Sums are kept in ``ACC``: float32, or float64 for float64.

A depthwise convolution does little arithmetic per byte, and what limits it on a GPU is the number
of loads. Each loaded pixel is therefore used for all the rows that it meets, in registers: the
forward pass computes ``ROWS`` output rows at a time, which lie a dilation apart, so that row k of
the input serves as tap a of row k - a of the output; the weight gradient keeps the last K rows of
the output's gradient and meets each row of the input once.
"""

# Triton's language is not Python's: arguments have annotations only where they are constants, and
# tuples of tiles grow by + alone.
# ruff: noqa: ANN001, ANN201, ANN202, N803, RUF005
# mypy: disable-error-code="no-untyped-def, assignment"

import triton
import triton.language as tl

NO_EPILOGUE = tl.constexpr(0)
GELU = tl.constexpr(1)
GELU_BACKWARD = tl.constexpr(2)


@triton.jit
def _output_rows(
    plane, weight, bias, row, columns, height, width, row_stride, column_stride,
    c, channels,
    K: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """The rows ``row``, ``row + D``, ... of a convolution, as a tuple of ``ROWS`` tiles.

    ``weight`` has shape (K * K, channels), so that neighbouring lanes read neighbouring numbers.
    """
    in_channels = c < channels
    start = tl.zeros((COLUMNS, CHANNELS), ACC)
    if bias is not None:
        start += tl.load(bias + c, in_channels, other=0).to(ACC)
    sums = (start,) * ROWS
    top = row - D * (K // 2)
    in_rows = ()
    for k in tl.static_range(ROWS + K - 1):
        in_rows = in_rows + ((top + k * D >= 0) & (top + k * D < height),)
    for b in range(K):
        taps = ()
        for a in tl.static_range(K):
            tap = tl.load(weight + (a * K + b) * channels + c, in_channels, other=0)
            taps = taps + (tap.to(ACC),)
        shifted = columns + D * (b - K // 2)
        inside = (shifted >= 0) & (shifted < width) & in_channels
        pointers = plane + top * row_stride + shifted * column_stride
        for k in tl.static_range(ROWS + K - 1):
            pixels = tl.load(pointers, inside & in_rows[k], other=0).to(ACC)
            pointers += D * row_stride
            for i in tl.static_range(ROWS):
                if k - i >= 0 and k - i < K:
                    sums = sums[:i] + (sums[i] + taps[k - i] * pixels,) + sums[i + 1 :]
    return sums


@triton.jit
def _gelu(u):
    return 0.5 * u * (1 + tl.erf(u * 0.7071067811865476))


@triton.jit
def _gelu_slope(u):
    """Derivative of GELU: the normal distribution's integral, plus u times its density."""
    density = tl.exp(-0.5 * u * u) * 0.3989422804014327
    return 0.5 * (1 + tl.erf(u * 0.7071067811865476)) + u * density


@triton.jit
def depthwise_kernel(
    x, weight, bias, grad, out, height, width, channels,
    image_stride, row_stride, column_stride, channel_stride,
    K: tl.constexpr, D: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, EPILOGUE: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """``out = conv(x)``, ``gelu(conv(x))`` or ``grad * gelu'(conv(x))``, in one layout.

    A program computes ``ROWS`` rows of one phase (rows i mod D) for a block of columns and of
    channels. Blocks of channels are neighbours, then those of columns: what runs at the same time
    then shares the pixels in the cache.
    """
    channel_blocks = tl.cdiv(channels, CHANNELS)
    column_blocks = tl.cdiv(width, COLUMNS)
    row_blocks = tl.cdiv(height, D * ROWS) * D
    block = tl.program_id(0)
    c = (block % channel_blocks * CHANNELS + tl.arange(0, CHANNELS))[None, :]
    block = block // channel_blocks
    columns = (block % column_blocks * COLUMNS + tl.arange(0, COLUMNS))[:, None]
    block = block // column_blocks
    row = block % row_blocks // D * (D * ROWS) + block % D
    image = (block // row_blocks).to(tl.int64)
    plane = image * image_stride + c * channel_stride
    sums = _output_rows(
        x + plane, weight, bias, row, columns, height, width, row_stride, column_stride,
        c, channels, K, D, ROWS, COLUMNS, CHANNELS, ACC,
    )  # fmt: skip
    for i in tl.static_range(ROWS):
        offset = plane + (row + i * D) * row_stride + columns * column_stride
        inside = (row + i * D < height) & (columns < width) & (c < channels)
        value = sums[i]
        if EPILOGUE == GELU:
            value = _gelu(value)
        if EPILOGUE == GELU_BACKWARD:
            value = tl.load(grad + offset, inside, other=0).to(ACC) * _gelu_slope(value)
        tl.store(out + offset, value, inside)


@triton.jit
def pair_kernel(
    x, weight_1, bias_1, weight_2, bias_2, scratch, out, height, width, channels,
    image_stride, row_stride, column_stride, channel_stride,
    scratch_stride, scratch_row_stride, scratch_column_stride, scratch_channel_stride,
    K1: tl.constexpr, K2: tl.constexpr, D: tl.constexpr, STRIP: tl.constexpr, ROWS: tl.constexpr,
    COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Two convolutions in a row, the second one dilated by D.

    A program owns a strip of ``STRIP`` whole output rows of a block of channels. It computes the
    rows of the first convolution that the strip needs into its own scratch, which is small enough
    to stay in the cache, waits for all its threads, and reads them back at the taps of the second.
    """
    channel_blocks = tl.cdiv(channels, CHANNELS)
    strips = tl.cdiv(height, STRIP)
    block = tl.program_id(0)
    c = (block % channel_blocks * CHANNELS + tl.arange(0, CHANNELS))[None, :]
    first = block // channel_blocks % strips * STRIP
    image = (block // channel_blocks // strips).to(tl.int64)
    plane = image * image_stride + c * channel_stride
    last = tl.minimum(first + STRIP, height)
    top = tl.maximum(first - D * (K2 // 2), 0)
    bottom = tl.minimum(last + D * (K2 // 2), height)
    local = scratch + block.to(tl.int64) * scratch_stride
    local += (c % CHANNELS) * scratch_channel_stride

    for row in range(top, bottom, ROWS):
        for column in range(0, width, COLUMNS):
            columns = (column + tl.arange(0, COLUMNS))[:, None]
            sums = _output_rows(
                x + plane, weight_1, bias_1, row, columns, height, width, row_stride,
                column_stride, c, channels, K1, 1, ROWS, COLUMNS, CHANNELS, ACC,
            )  # fmt: skip
            for i in tl.static_range(ROWS):
                inside = (row + i < bottom) & (columns < width) & (c < channels)
                to = (row + i - top) * scratch_row_stride + columns * scratch_column_stride
                tl.store(local + to, sums[i], inside)

    tl.debug_barrier()  # Makes what any thread of the program wrote visible to all of them.

    for group in range(first, last, D * ROWS):
        for phase in range(D):
            for column in range(0, width, COLUMNS):
                row = group + phase
                columns = (column + tl.arange(0, COLUMNS))[:, None]
                # Rows that the scratch lacks are rows outside the map: zero, as they must be.
                sums = _output_rows(
                    local, weight_2, bias_2, row - top, columns, bottom - top, width,
                    scratch_row_stride, scratch_column_stride,
                    c, channels, K2, D, ROWS, COLUMNS, CHANNELS, ACC,
                )  # fmt: skip
                for i in tl.static_range(ROWS):
                    inside = (row + i * D < last) & (columns < width) & (c < channels)
                    to = (row + i * D) * row_stride + columns * column_stride
                    tl.store(out + plane + to, sums[i], inside)


@triton.jit
def weight_gradient_kernel(
    x, grad, partial, images, height, width, channels,
    image_stride, row_stride, column_stride, channel_stride,
    K: tl.constexpr, D: tl.constexpr, LENGTH: tl.constexpr,
    COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, ACC: tl.constexpr,
):  # fmt: skip
    """Sums of the gradients of weight and bias, one row of ``partial`` per program.

    ``partial`` has shape (programs, K * K + 1, channels). A program goes through the runs of
    ``LENGTH`` rows of one phase that fall to it, down the rows of each. All K * K sums, one per
    tap, stay in registers, without a sum over the columns until the end.
    """
    c = (tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS))[None, :]
    in_channels = c < channels
    phase_height = tl.cdiv(height, D)
    runs = tl.cdiv(phase_height, LENGTH)
    column_blocks = tl.cdiv(width, COLUMNS)
    zeros = tl.zeros((COLUMNS, CHANNELS), ACC)
    sums = (zeros,) * (K * K)
    bias_sum = zeros
    for item in range(tl.program_id(0), images * D * runs * column_blocks, tl.num_programs(0)):
        columns = (item % column_blocks * COLUMNS + tl.arange(0, COLUMNS))[:, None]
        first = item // column_blocks % runs * LENGTH
        phase = item // (column_blocks * runs) % D
        image = (item // (column_blocks * runs * D)).to(tl.int64)
        plane = image * image_stride + c * channel_stride
        last = tl.minimum(first + LENGTH, phase_height)
        inside = ()
        for b in tl.static_range(K):
            shifted = columns + D * (b - K // 2)
            inside = inside + ((shifted >= 0) & (shifted < width) & in_channels,)
        recent = (zeros,) * K  # Gradients of the output at rows k - K // 2 to k + K // 2.
        for k in range(first - K // 2, last + K // 2):
            newest = (k + K // 2) * D + phase
            in_run = (k + K // 2 < last) & (newest < height)  # What follows is another run's.
            pointers = plane + newest * row_stride + columns * column_stride
            latest = tl.load(grad + pointers, inside[K // 2] & in_run, other=0).to(ACC)
            bias_sum += latest
            recent = recent[1:] + (latest,)
            row = k * D + phase
            in_row = (row >= 0) & (row < height)
            pointers += (row - newest) * row_stride - D * (K // 2) * column_stride
            pixels = ()
            for b in tl.static_range(K):
                pixel = tl.load(x + pointers, inside[b] & in_row, other=0).to(ACC)
                pixels = pixels + (pixel,)
                pointers += D * column_stride
            added = ()
            for t in tl.static_range(K * K):
                added = added + (sums[t] + recent[K - 1 - t // K] * pixels[t % K],)
            sums = added
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    to = partial + tl.program_id(0) * (K * K + 1) * channels + c
    for t in tl.static_range(K * K):
        tl.store(to + t * channels, tl.sum(sums[t], axis=0), c < channels)
    tl.store(to + K * K * channels, tl.sum(bias_sum, axis=0), c < channels)
