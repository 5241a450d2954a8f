"""Reading images for classification: as Pillow does, in less time."""

import functools
from io import BytesIO
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.fileio import get
from numpy.typing import NDArray
from PIL import Image

from mmvan.data.faults import BadSampleError, Fault, no_range
from mmvan.data.orientation import is_turned
from mmvan.data.structure import structure_fault
from mmvan.errors import ConfigError, DataError, did_you_mean
from mmvan.registry import TRANSFORMS

DECODERS = ("cv2", "turbojpeg")
COLOR_TYPES = ("color", "color_ignore_orientation")
# What a JPEG file can be decoded at a part of without being decoded whole, best first.
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
}
# Where results have one of these, places are told in pixels of the whole image.
_PLACES = ("img_id", "instances", "proposals", "seg_fields", "seg_map_path", "segments_info")
_END_OF_JPEG = b"\xff\xd9"


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Loads what mmcv's ``LoadImageFromFile`` loads with Pillow, pixel by pixel, in less time.

    Plain JPEG files are decoded by OpenCV: it is built on the same libjpeg-turbo, and gives BGR at
    once, where mmcv reverses the channels of Pillow's RGB as a view that every step after it is
    slow on. All other files, CMYK and turned ones among them, are left to Pillow. Files whose own
    lengths, markers or checksums are wrong are refused (:mod:`mmvan.data.structure`).

    Required key: ``img_path``. Results that have ``img`` already, as those of mmpretrain's
    inferencers, are left as they are. Added keys: ``img`` (height, width, 3) of uint8 in BGR,
    ``img_shape`` and ``ori_shape``, both (height, width), the latter of the whole image.

    Args:
        color_type: ``color``, or ``color_ignore_orientation`` for the pixels as they are stored,
            whatever orientation EXIF data ask for.
        decoder: Of plain JPEG files: ``cv2``, or ``turbojpeg`` where PyTurboJPEG is installed.
        short_side: Decode plain JPEG files at 1/2, 1/4 or 1/8 of their size where the shorter side
            is still this many pixels long. It is faster for large images and changes the pixels.
            For classification alone, because nothing moves boxes and masks along.
        backend_args: Where MMEngine finds files that are not on a local disk.

    Raises:
        ConfigError: An argument has no usable value, or PyTurboJPEG cannot be used here.
    """

    def __init__(
        self,
        color_type: str = "color",
        decoder: str = "cv2",
        short_side: int | None = None,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        _check_choice("color_type", color_type, COLOR_TYPES)
        _check_choice("decoder", decoder, DECODERS)
        if short_side is not None and (not isinstance(short_side, int) or short_side < 1):
            raise ConfigError(
                f"mmvan.LoadImage: short_side is {short_side!r}; expected a number of pixels from "
                "1, or None to decode images whole."
            )
        if decoder == "turbojpeg":
            _enable_turbojpeg()
        self.color_type = color_type
        self.decoder = decoder
        self.short_side = short_side
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Adds the image.

        Raises:
            ConfigError: ``short_side`` is set, and the results have boxes or masks.
            DataError: The file cannot be read, or is no whole image.
        """
        if "img" in results:
            return results
        if self.short_side is not None:
            self._refuse_places(results)
        path = results["img_path"]
        try:
            image, whole = self._read(path, get(path, self.backend_args))
        except (OSError, SyntaxError) as error:  # Pillow reports broken headers by either.
            raise DataError(_advice(path, str(error))) from error
        return {**results, "img": image, "img_shape": image.shape[:2], "ori_shape": whole}

    def _read(self, path: str, content: bytes) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """The image, and height and width that it has when it is decoded whole."""
        header = Image.open(BytesIO(content))
        fault = no_range(path, header.mode)
        if fault:
            raise BadSampleError(fault)
        found = structure_fault(header, content)
        if found:
            raise BadSampleError(Fault(found[0], path, found[1]), _advice(path, found[1]))
        if self._is_plain(header, content):
            image = self._decode_jpeg(content, self._reduction(header))
            if image is not None:
                return image, (header.height, header.width)
        image = mmcv.imfrombytes(content, self.color_type, backend="pillow")
        return image, image.shape[:2]

    def _is_plain(self, header: Image.Image, content: bytes) -> bool:
        """Whether all decoders give the same pixels."""
        return (
            header.format == "JPEG"
            and header.mode in ("RGB", "L")
            and content.endswith(_END_OF_JPEG)
            and (self.color_type == "color_ignore_orientation" or not is_turned(header))
        )

    def _reduction(self, header: Image.Image) -> int:
        """By how much the sides may be divided."""
        if self.short_side is None:
            return 1
        room = min(header.size) / self.short_side
        return next((divisor for divisor in _REDUCED if divisor <= room), 1)

    def _decode_jpeg(self, content: bytes, reduction: int) -> NDArray[np.uint8] | None:
        """The pixels as they are stored; None for a JPEG file that the decoder does not know."""
        if reduction == 1 and self.decoder == "turbojpeg":
            _enable_turbojpeg()
            return mmcv.imfrombytes(content, "color", backend="turbojpeg")
        flag = _REDUCED.get(reduction, cv2.IMREAD_COLOR) | cv2.IMREAD_IGNORE_ORIENTATION
        return mmcv.imfrombytes(content, flag, backend="cv2")

    def _refuse_places(self, results: dict[str, Any]) -> None:
        places = [key for key in _PLACES if key in results]
        if places:
            raise ConfigError(
                f"mmvan.LoadImage: short_side is {self.short_side}, and the data have "
                f"{', '.join(places)}. Boxes and masks belong to whole images: reduced ones are "
                "for classification. Leave short_side out."
            )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(color_type={self.color_type!r}, decoder={self.decoder!r}, "
            f"short_side={self.short_side}, backend_args={self.backend_args})"
        )


def _advice(path: str, reason: str) -> str:
    return (
        f"{path} cannot be loaded: {reason}. Replace the file, or take it out of the data set; "
        "tools/prepare_dataset.py finds all such files of one."
    )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(
            f"mmvan.LoadImage: {name} is {value!r}; expected {' or '.join(map(repr, choices))}."
            f"{did_you_mean(str(value), choices)}"
        )


@functools.cache
def _enable_turbojpeg() -> None:
    """Makes mmcv's TurboJPEG decoder, once in a process.

    mmcv makes it only when TurboJPEG becomes its choice for everything, which it then resizes
    with and cannot (open-mmlab/mmcv, pull request 3298); so the choice is taken back.
    """
    chosen = mmcv.image.io.imread_backend
    try:
        mmcv.use_backend("turbojpeg")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ConfigError(
            f"mmvan.LoadImage: decoder 'turbojpeg' cannot be used: {error}. It needs PyTurboJPEG "
            "(pip install PyTurboJPEG) and the library libturbojpeg (3.0 or later; with an earlier "
            "one PyTurboJPEG 1). decoder='cv2' gives the same pixels."
        ) from error
    finally:
        mmcv.use_backend(chosen)
