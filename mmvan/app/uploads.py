"""What may be uploaded: image files of usual kinds and sizes, and nothing else is opened."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mmvan.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Limits:
    """The largest upload.

    Args:
        megabytes: Of the file.
        megapixels: Of the image; a small file can hold a very large one.
    """

    megabytes: int = 20
    megapixels: int = 50


def check_upload(file: str | Path | None, limits: Limits) -> Path:
    """Look at the header of an upload, by Pillow's image readers alone: none executes anything.

    Args:
        file: Where the upload is; None where there is none.
        limits: What is accepted.

    Returns:
        Path: The file.

    Raises:
        DataError: There is no file, it is empty, no image of :data:`FORMATS`, or too large.
    """
    if not file:
        raise DataError("No image yet: upload one, or choose a sample.")
    path = Path(file)
    size = path.stat().st_size
    if not size:
        raise DataError(f"{path.name} is empty (0 bytes).")
    if size > limits.megabytes * 2**20:
        raise DataError(
            f"{path.name} has {size / 2**20:.1f} MB; at most {limits.megabytes} are accepted."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise DataError(
            f"{path.name} is no image that can be read; {', '.join(FORMATS)} are accepted."
        ) from error
    if width * height > limits.megapixels * 10**6:
        raise DataError(
            f"{path.name} has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels; at "
            f"most {limits.megapixels} are accepted. Make it smaller first."
        )
    return path
