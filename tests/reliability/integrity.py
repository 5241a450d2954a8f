"""What the formats themselves say of whether a file or an annotation is whole.

Nothing here comes from the package or from a decoder that it uses: lengths, markers and checksums
are read as the formats define them. JPEG, BMP, PPM, TIFF and GIF have no checksum, WebP none over
its pixels: what is wrong inside them only a decoder may notice, and need not.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FAR = 10  # times the longer side: the package's own limit of where a polygon may reach


def structure_fault(content: bytes) -> str:
    """Says what is missing of an image file; an empty string if nothing is."""
    for start, check in _CHECKS.items():
        if content.startswith(start):
            try:
                return check(content)
            except (struct.error, IndexError, ValueError):
                return "a header that is cut off"
    return "the beginning of no known format"


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and bodies of a PNG's chunks.

    Raises:
        ValueError: One is cut off, has a wrong checksum, or the last is missing.
    """
    place = 8
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        name, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        (told,) = struct.unpack_from(">I", content, place + 8 + length)
        if told != zlib.crc32(name + body):
            raise ValueError(f"the checksum of {name!r}")
        yield name, body
        if name == b"IEND":
            return
        place += 12 + length
    raise ValueError("no IEND")


def png_numbers(content: bytes) -> NDArray[np.uint16]:
    """What a PNG of one channel holds (height, width), of palettes the indices.

    Raises:
        ValueError: It is broken, or has more channels.
    """
    chunks = list(png_chunks(content))
    width, height, bits, kind = struct.unpack_from(">IIBB", dict(chunks)[b"IHDR"])
    if kind not in (0, 3):
        raise ValueError(f"colour type {kind}")
    stream = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    step, stride = max(1, bits // 8), (width * bits + 7) // 8
    rows, above = [], bytearray(stride)
    for row in range(height):
        place = row * (stride + 1)
        above = _unfiltered(stream[place], stream[place + 1 : place + 1 + stride], above, step)
        rows.append(bytes(above))
    raw = np.frombuffer(b"".join(rows), np.uint8).reshape(height, stride)
    if bits == 16:
        return raw.view(">u2").astype(np.uint16)
    places = np.unpackbits(raw, axis=1).reshape(height, -1, bits)
    values = places @ (1 << np.arange(bits - 1, -1, -1))
    return values[:, :width].astype(np.uint16)


def _unfiltered(kind: int, line: bytes, above: bytearray, step: int) -> bytearray:
    found = bytearray(line)
    for i, value in enumerate(line):
        left, up = found[i - step] if i >= step else 0, above[i]
        corner = above[i - step] if i >= step else 0
        guess = left + up - corner
        nearest = min((left, up, corner), key=lambda x: abs(guess - x))
        found[i] = (value + (0, left, up, (left + up) // 2, nearest)[kind]) & 0xFF
    return found


def _png(content: bytes) -> str:
    try:
        list(png_chunks(content))
    except ValueError as error:
        return str(error)
    return ""


def _jpeg(content: bytes) -> str:
    """Goes over segments by their lengths, and over coded data to the next marker.

    In coded data a byte of ones is followed by zero, a restart, or what may stand between scans.
    Bytes between segments are passed over, as libjpeg does.
    """
    place, allowed = 2, range(1, 256)
    while match := _MARKER.search(content, place):
        marker, place = content[match.start() + 1], match.start()
        if marker == 0xD9:
            return ""
        if marker not in allowed:
            return f"marker {marker:x} in coded data"
        if marker == 0xDA:
            allowed = (0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE)  # type: ignore[assignment]
        place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    return "no end of the image"


def _webp(content: bytes) -> str:
    (size,) = struct.unpack_from("<I", content, 4)
    return "" if size + 8 <= len(content) else "fewer bytes than RIFF tells"


def _bmp(content: bytes) -> str:
    start, _, width, height, _, bits = struct.unpack_from("<IIiiHH", content, 10)
    needed = start + (abs(width) * bits + 31) // 32 * 4 * abs(height)
    return "" if needed <= len(content) else "fewer rows than told"


def _ppm(content: bytes) -> str:
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+(\d+)\s", content)
    if header is None:
        return "no sizes"
    width, height, most = map(int, header.groups())
    size = width * height * 3 * (2 if most > 255 else 1)
    return "" if header.end() + size <= len(content) else "fewer rows than told"


def _tiff(content: bytes) -> str:
    """Whether the strips are in the file."""
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    tags = {}
    for entry in range(count):
        tag, kind, number, value = struct.unpack_from("<HHII", content, start + 2 + 12 * entry)
        tags[tag] = (kind, number, value & 0xFFFF if kind == 3 and number == 1 else value)
    strips = [_tiff_values(content, *tags.get(tag, (0, 0, 0))) for tag in (273, 279)]
    if not strips[0]:
        return "no strips"
    ends = (offset + length for offset, length in zip(*strips, strict=False))
    return "" if all(end <= len(content) for end in ends) else "strips behind the end"


def _tiff_values(content: bytes, kind: int, number: int, value: int) -> list[int]:
    size = {3: 2, 4: 4}.get(kind, 0)
    if number <= 1 or not size:
        return [value] * number
    return list(struct.unpack_from(f"<{number}{'H' if size == 2 else 'I'}", content, value))


def _gif(content: bytes) -> str:
    """Whether the blocks of the first image end."""

    def table(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    place = 13 + table(content[10])
    while (mark := content[place]) != 0x2C:
        if mark != 0x21:
            return "no image"
        place = _behind_blocks(content, place + 2)
    place += 10 + table(content[place + 9])
    _behind_blocks(content, place + 1)
    return ""


def _behind_blocks(content: bytes, place: int) -> int:
    while content[place]:
        place += 1 + content[place]
    return place + 1


_CHECKS: dict[bytes, Callable[[bytes], str]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8": _jpeg,
    b"RIFF": _webp,
    b"BM": _bmp,
    b"P6": _ppm,
    b"II*\0": _tiff,
    b"GIF8": _gif,
}


def mask_fault(value: Any, height: int, width: int) -> str:
    """Says why a segmentation is no mask of a size; an empty string if it is one."""
    if isinstance(value, list):
        return _polygon_fault(value, _FAR * max(height, width))
    if not isinstance(value, dict):
        return "neither polygons nor run lengths"
    counts = value.get("counts")
    if isinstance(counts, str):
        counts = text_of_runs(counts)
    if value.get("size") != [height, width] or not isinstance(counts, list):
        return "no run lengths of this size"
    if any(type(count) is not int or count < 0 for count in counts):
        return "no lengths"
    return "" if sum(counts) == height * width else "another number of pixels"


def _polygon_fault(parts: list[Any], far: float) -> str:
    for number, part in enumerate(parts):
        if not isinstance(part, list) or len(part) % 2 or len(part) < (4 if number else 6):
            return "no polygon"
        for value in part:
            if not isinstance(value, (int, float)) or not -far <= value <= far or value != value:
                return "no coordinate in or near the image"
    return "" if parts else "no polygons"


def text_of_runs(text: str) -> list[int] | None:
    """The run lengths that a text of pycocotools means; None if it is none."""
    counts: list[int] = []
    digits: list[int] = []
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            return None
        digits.append(code & 31)
        if code < 32:  # the last digit of a number
            value = sum(digit * 32**place for place, digit in enumerate(digits))
            if code & 16:  # a negative one
                value -= 32 ** len(digits)
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            digits = []
    return None if digits else counts


def runs_of(value: dict[str, Any]) -> NDArray[np.uint8]:
    """The mask of run lengths that fill it."""
    counts = value["counts"]
    counts = text_of_runs(counts) if isinstance(counts, str) else counts
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    return flat.reshape(value["size"][::-1]).T.astype(np.uint8)


def box_fault(box: Any, height: int, width: int) -> str:
    """Says why a box (x1, y1, x2, y2) cannot be one of the image."""
    if len(box) != 4 or not all(isfinite(value) for value in box):
        return "no four numbers"
    inside = box[2] > max(box[0], 0) and box[3] > max(box[1], 0)
    return "" if inside and box[0] < min(box[2], width) and box[1] < min(box[3], height) else "out"
