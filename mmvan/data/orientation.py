"""The one rule of orientation: an image is what a viewer shows, turned as its EXIF data say.

OpenCV and Pillow turn JPEG, PNG and TIFF files when they load them in colour, and so do all three
libraries; label maps, whose numbers are loaded unchanged, they never turn. So boxes, polygons,
label maps and the sizes in annotation files are those of the upright image. WebP files are turned
by Pillow and not by OpenCV: such files are refused where OpenCV is to load them.
"""

from __future__ import annotations

from io import BytesIO

from PIL import ExifTags, Image

__all__ = ["is_turned", "turn", "turned_unseen", "upright_size"]

_UPRIGHT = 1
_SIDEWAYS = (5, 6, 7, 8)
# How stored pixels become upright by the tag's value (CIPA DC-008, Exif 2.32, 4.6.4 A).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or another value."""
    value = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
    return value if value in _TURNS else _UPRIGHT


def is_turned(image: Image.Image) -> bool:
    """Whether an image is stored otherwise than it is seen; its header alone is read."""
    return orientation(image) != _UPRIGHT


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image as it is seen."""
    width, height = image.size
    return (height, width) if orientation(image) in _SIDEWAYS else (width, height)


def turned_unseen(image: Image.Image) -> str:
    """Says that OpenCV does not turn a file that EXIF turns; an empty string of all others."""
    if image.format == "WEBP" and is_turned(image):
        return "EXIF turns this WebP, which OpenCV does not see; save it upright"
    return ""


def turn(labels: bytes, image: Image.Image) -> bytes:
    """Turns a label map that was drawn on the stored pixels of an image as EXIF turns the image.

    Args:
        labels: An image file of the stored size.
        image: The image that it belongs to.

    Returns:
        A PNG of the upright size with the same numbers; what was given if nothing is turned or the
        size is another.
    """
    with Image.open(BytesIO(labels)) as stored:
        if not is_turned(image) or stored.size != image.size:
            return labels
        upright = stored.transpose(_TURNS[orientation(image)])
    file = BytesIO()
    upright.save(file, "PNG")
    return file.getvalue()
