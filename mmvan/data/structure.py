"""What the lengths, markers and checksums of image files tell of them.

Decoders do not look at all of that. Pillow reads PNG files without their checksums; OpenCV gives
what it has of a JPEG file whose data end in an unknown marker, or of a compressed TIFF file.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

from PIL import Image, TiffImagePlugin

__all__ = ["plain_fault", "plain_size", "structure_fault"]

_PNG_SIGNATURE = 8  # bytes
_PNG_HEADER = 33  # bytes, with the signature
_PNG_CHUNK = 12  # bytes of a chunk's length, name and checksum
_MARK, _END_OF_JPEG = 0xFF, 0xD9
_SCAN = 0xDA
# Frames: where a JPEG file tells its size. The three others of this range are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# What may stand between the scans of a JPEG file: tables, comments, and a number of lines.
_BETWEEN_SCANS = (0xC4, _SCAN, 0xDB, 0xDC, 0xDD, 0xFE)
_NO_MARKERS = frozenset((0, 0xFF, *range(0xD0, 0xD8)))
# In coded data: no byte that is stuffed or filled, and no restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_OFFSETS, _LENGTHS = (TiffImagePlugin.STRIPOFFSETS, 324), (TiffImagePlugin.STRIPBYTECOUNTS, 325)


def structure_fault(header: Image.Image, content: bytes | memoryview) -> tuple[str, str] | None:
    """The kind and the reason of what is wrong with a file; None if nothing is found.

    Args:
        header: The file, opened by Pillow and not loaded.
        content: Its bytes.
    """
    if header.format == "PNG":
        return _png_fault(memoryview(content))
    if header.format in ("JPEG", "MPO"):
        return _jpeg_fault(content)
    if header.format == "TIFF":
        return _tiff_fault(header, len(content))
    return None


def plain_size(content: memoryview, one_channel: bool) -> tuple[int, int] | None:
    """Width and height that a JPEG or PNG file tells, without the time that Pillow takes for it.

    Args:
        content: Its bytes.
        one_channel: Of PNG files alone whose numbers have 8 bits or less, palettes included.

    Returns:
        Both sides, or None for other files and where anything is doubtful.
    """
    size = (0, 0)
    if bytes(content[:_PNG_SIGNATURE]) == b"\x89PNG\r\n\x1a\n" and len(content) > _PNG_HEADER:
        if not one_channel or (content[24] <= 8 and content[25] in (0, 3)):
            size = struct.unpack_from(">II", content, 16)
    elif bytes(content[:3]) == b"\xff\xd8\xff" and not one_channel:
        for place, marker in _segments(content):
            if marker in _FRAMES and place + 9 <= len(content):
                size = struct.unpack_from(">HH", content, place + 5)[::-1]
                break
    return size if all(size) else None


def plain_fault(content: memoryview) -> tuple[str, str] | None:
    """As :func:`structure_fault`, of a file that has a plain size."""
    return _jpeg_fault(content) if content[0] == _MARK else _png_fault(content)


def _png_fault(content: memoryview) -> tuple[str, str] | None:
    place = _PNG_SIGNATURE
    while place + _PNG_CHUNK <= len(content):
        end = place + _PNG_CHUNK + int.from_bytes(content[place : place + 4], "big")
        if end > len(content):
            break
        name = bytes(content[place + 4 : place + 8])
        if zlib.crc32(content[place + 4 : end - 4]) != int.from_bytes(
            content[end - 4 : end], "big"
        ):
            return "corrupt", f"wrong checksum of the PNG chunk {name!r} at byte {place}"
        if name == b"IEND":
            return None
        place = end
    return "truncated", "a PNG without its end"


def _jpeg_fault(content: bytes | memoryview) -> tuple[str, str] | None:
    """Goes from segment to segment, and in the coded data from marker to marker."""
    last = (2, 0)
    for last in _segments(content):
        if last[1] in (_SCAN, _END_OF_JPEG):
            break
    place, marker = last
    if marker == _END_OF_JPEG:
        return None
    while found := _MARKER.search(content, place):
        place, marker = found.start(), content[found.end() - 1]
        if marker == _END_OF_JPEG:
            return None
        if marker not in _BETWEEN_SCANS:
            return "corrupt", f"marker {marker:#x} in the coded data, at byte {place}"
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return "truncated", "a JPEG without its end"


def _segments(content: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Places and markers of a JPEG's segments, up to the first scan; passes over what is between.

    Where a segment goes on behind the end, the end is the last place.
    """
    place = 2
    while place + 1 < len(content):
        marker = content[place + 1]
        if content[place] != _MARK or marker in _NO_MARKERS:
            place += 1
            continue
        yield place, marker
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    yield min(place, len(content)), 0


def _tiff_fault(header: Image.Image, size: int) -> tuple[str, str] | None:
    tags = header.tag_v2  # type: ignore[attr-defined]
    for offsets, lengths in zip(_OFFSETS, _LENGTHS, strict=True):
        starts, sizes = tags.get(offsets) or (), tags.get(lengths) or ()
        if len(sizes) < len(starts):  # Pillow leaves out a list that is behind the end
            return "corrupt", f"{len(starts)} strips or tiles, of which {len(sizes)} have a length"
        for start, length in zip(starts, sizes, strict=False):
            if start + length > size:
                return "truncated", f"a strip or tile until byte {start + length} of {size}"
    return None
