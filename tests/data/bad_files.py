"""Files that datasets may hold and that are no plain images, with what must become of each."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 48, 32


@dataclass(frozen=True)
class Odd:
    """A file that is not plain.

    Args:
        name: Its name.
        make: Writes it to a path.
        kind: What is wrong with it; empty if it must be read.
        opencv_kind: The same where OpenCV reads it, if that is another.
    """

    name: str
    make: Callable[[Path], object]
    kind: str
    opencv_kind: str | None = None

    def expected(self, opencv: bool) -> str:
        """The kind of fault with a decoder."""
        return self.opencv_kind if opencv and self.opencv_kind is not None else self.kind


def photo(seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Colours that change smoothly, other ones for each seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """An image file's bytes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(kind: str, orientation: int) -> bytes:
    """An image file that EXIF turns."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(photo(), kind, exif=exif)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says that it is of a size, with no more than one row of it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = zlib.compress(bytes(1 + 3 * min(width, 1000)))
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", row) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def flipped(content: bytes, place: float) -> bytes:
    """The bytes with one in a place, from 0 to 1, inverted."""
    position = int(place * len(content))
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


def odd_files() -> list[Odd]:
    """All kinds, each once."""
    return [*_readable(), *_faulty()]


def _written(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _readable() -> Iterator[Odd]:
    image = photo()
    grey = np.asarray(image.convert("L"))
    wide = np.asarray(image).astype(np.uint16) * 257
    contents = {
        "cmyk.jpg": encode(image.convert("CMYK"), "JPEG"),
        "grey.jpg": encode(image.convert("L"), "JPEG"),
        "progressive.jpg": encode(image, "JPEG", progressive=True),
        "trailing_bytes.jpg": encode(image, "JPEG") + b"\0" * 20,
        "palette.png": encode(image.convert("P"), "PNG"),
        "grey.png": encode(image.convert("L"), "PNG"),
        "grey_alpha.png": encode(image.convert("LA"), "PNG"),
        "alpha.png": encode(image.convert("RGBA"), "PNG"),
        "one_bit.png": encode(image.convert("1"), "PNG"),
        "grey_16_bit.png": encode(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
        "colour_16_bit.png": cv2.imencode(".png", wide)[1].tobytes(),
        "colour_16_bit.tif": cv2.imencode(".tif", wide)[1].tobytes(),
        "animated.png": encode(image, "PNG", save_all=True, append_images=[photo(1)]),
        "animated.webp": encode(image, "WEBP", save_all=True, append_images=[photo(1)]),
        "plain.bmp": encode(image, "BMP"),
        "plain.ppm": encode(image, "PPM"),
        "plain.webp": encode(image, "WEBP"),
        "png_named.jpg": encode(image, "PNG"),
        "jpeg_named.png": encode(image, "JPEG"),
        "no_extension": encode(image, "JPEG"),
        "UPPER.JPG": encode(image, "JPEG"),
        "turned_3.jpg": turned("JPEG", 3),
        "turned_3.png": turned("PNG", 3),
        "turned_3.tif": turned("TIFF", 3),
    }
    for name, content in contents.items():
        yield Odd(name, _written(content), "")
    gif = encode(image, "GIF", save_all=True, append_images=[photo(1)])
    yield Odd("animated.gif", _written(gif), "", "decoder")
    # Pillow leaves the rows that are not there black.
    yield Odd("few_rows.png", _written(png_of_size(20, 20)), "", "decoder")
    yield Odd("turned_3.webp", _written(turned("WEBP", 3)), "", "orientation")


def _faulty() -> Iterator[Odd]:
    image = photo()
    jpeg, png = encode(image, "JPEG"), encode(image, "PNG")
    contents = {
        "empty.jpg": (b"", "empty"),
        "one_byte.jpg": (b"\xff", "not an image"),
        "text.jpg": (b"no image\n", "not an image"),
        "page.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "not an image"),
        "drawing.jpg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        "lfs_pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\n", "not an image"),
        "archive.jpg": (b"PK\x03\x04" + bytes(200), "not an image"),
        "film.jpg": (b"\0\0\0\x18ftypmp42" + bytes(200), "not an image"),
        "zeros.jpg": (bytes(500), "not an image"),
        "noise.jpg": (np.random.default_rng(0).bytes(500), "not an image"),
        "jpeg_without_start.jpg": (jpeg[4:], "not an image"),
        "jpeg_header.jpg": (jpeg[:200], "truncated"),
        "jpeg_half.jpg": (jpeg[: len(jpeg) * 4 // 5], "truncated"),
        "jpeg_without_end.jpg": (jpeg[:-2], "truncated"),
        "jpeg_zero_height.jpg": (_without_height(jpeg), "not an image"),
        "png_signature.png": (png[:8], "not an image"),
        "png_half.png": (png[: len(png) // 2], "truncated"),
        "png_without_end.png": (png[:-30], "truncated"),
        "png_flipped.png": (flipped(png, 0.5), "corrupt"),
        "png_zero_width.png": (png_of_size(0, 10), "not an image"),
        "png_bomb.png": (png_of_size(60_000, 60_000), "too large"),
        "webp_half.webp": (encode(image, "WEBP")[:100], "corrupt"),
        "bmp_half.bmp": (encode(image, "BMP")[:1000], "truncated"),
        "ppm_half.ppm": (encode(image, "PPM")[:1000], "truncated"),
        "tiff_half.tif": (encode(image, "TIFF")[:1000], "truncated"),
        "gif_half.gif": (encode(image, "GIF")[:900], "truncated"),
        "floats.tif": (encode(Image.fromarray(np.eye(32, dtype=np.float32)), "TIFF"), "depth"),
        "integers.tif": (encode(Image.fromarray(np.eye(32, dtype=np.int32)), "TIFF"), "depth"),
    }
    for name, (content, kind) in contents.items():
        yield Odd(name, _written(content), kind)
    yield Odd("missing.jpg", lambda path: None, "missing")
    yield Odd("broken_link.jpg", lambda path: path.symlink_to("nowhere.jpg"), "missing")
    yield Odd("link_to_itself.jpg", lambda path: path.symlink_to(path.name), "unreadable")
    yield Odd("folder.jpg", os.mkdir, "unreadable")


def _without_height(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xc0")
    return jpeg[: start + 5] + b"\0\0" + jpeg[start + 7 :]
