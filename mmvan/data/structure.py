"""What the lengths, markers and checksums of image files tell of them.

Decoders do not look at all of that. Pillow reads PNG files without their checksums; OpenCV gives
what it has of a JPEG file whose data end in an unknown marker, or of a compressed TIFF file.
"""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image, TiffImagePlugin

__all__ = ["structure_fault"]

_PNG_SIGNATURE = 8  # bytes
_PNG_CHUNK = 12  # bytes of a chunk's length, name and checksum
_END_OF_JPEG = 0xD9
_SCAN = 0xDA
# What may stand between the scans of a JPEG file: tables, comments, and a number of lines.
_BETWEEN_SCANS = (0xC4, _SCAN, 0xDB, 0xDC, 0xDD, 0xFE)
# What stands for itself in a JPEG file: no marker (stuffed, filled), and restarts.
_IN_SCANS = np.zeros(256, bool)
_IN_SCANS[[0, 0xFF, *range(0xD0, 0xD8)]] = True
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
    codes = np.frombuffer(content, np.uint8)
    starts = np.flatnonzero(codes[:-1] == 0xFF)
    markers = starts[~_IN_SCANS[codes[starts + 1]]]
    place, in_scans = 2, False
    while True:
        number = int(np.searchsorted(markers, place))
        if number == len(markers):
            return "truncated", "a JPEG without its end"
        place = int(markers[number])
        marker = int(codes[place + 1])
        if marker == _END_OF_JPEG:
            return None
        if in_scans and marker not in _BETWEEN_SCANS:
            return "corrupt", f"marker {marker:#x} in the coded data, at byte {place}"
        in_scans = in_scans or marker == _SCAN
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")


def _tiff_fault(header: Image.Image, size: int) -> tuple[str, str] | None:
    tags = header.tag_v2  # type: ignore[attr-defined]
    for offsets, lengths in zip(_OFFSETS, _LENGTHS, strict=True):
        for start, length in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False):
            if start + length > size:
                return "truncated", f"a strip or tile until byte {start + length} of {size}"
    return None
