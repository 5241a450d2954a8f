"""LoadedImage files as the input of an exported graph."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS, DefaultScope
from numpy.typing import NDArray
from PIL import Image

from mmvan.data.check.left_out import reason_left_out
from mmvan.deploy.contract import Contract
from mmvan.engine.config import innermost_dataset
from mmvan.errors import DataError, DeployError
from mmvan.type_name import type_name

ENDINGS = (*(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp"), *(".tif", ".tiff", ".ppm", ".pgm"))
# Of a pipeline, what has no image to work on here: annotations, and packing for a model.
_NOT_FOR_IMAGES = ("Annotations", "Proposals", "Pack")
_PATCHES, _DRAWN_SIZE = (9, 12), (320, 240)  # Rows and columns; width and height.


@dataclass(frozen=True)
class LoadedImage:
    """One image, ready for the graph.

    Args:
        path: The file.
        image: RGB, uint8, shape (3, H, W).
        size: Height and width of the image as it was loaded: upright, unless the pipeline says
            otherwise.
        original: That image, RGB, uint8, shape (height, width, 3).
        scale: By what its width and height were multiplied, before any padding.
    """

    path: Path
    image: NDArray[np.uint8]
    size: tuple[int, int]
    original: NDArray[np.uint8]
    scale: tuple[float, float] = (1.0, 1.0)


def find_images(folder: Path, option: str) -> list[Path]:
    """All image files of a folder and of those below it, in the order of their names.

    Raises:
        DataError: It is no folder, or there are none.
    """
    if not folder.is_dir():
        raise DataError(f"{option} {folder}: no such folder; expected one with images")
    files = (path for path in folder.rglob("*") if path.is_file())
    found = sorted(path for path in files if not reason_left_out(path.name, ENDINGS))
    if not found:
        raise DataError(f"{option} {folder}: no image in it ({', '.join(ENDINGS)})")
    return found


def draw_images(folder: Path, count: int) -> list[Path]:
    """Draw soft patches of colours, for want of the user's own images."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(count):
        patches = np.random.default_rng(index).integers(0, 256, (*_PATCHES, 3), dtype=np.uint8)
        image = Image.fromarray(patches).resize(_DRAWN_SIZE, Image.Resampling.BICUBIC)
        paths.append(folder / f"{index:02}.png")
        image.save(paths[-1])
    return paths


def image_pipeline(cfg: Config) -> tuple[dict[str, Any], ...]:
    """The transforms that the config tests with, as far as they make an image."""
    steps = innermost_dataset(cfg.test_dataloader)["pipeline"]
    chosen = [s for s in steps if not any(part in type_name(s) for part in _NOT_FOR_IMAGES)]
    return tuple(_plain(step) for step in chosen)


def natural_shape(cfg: Config, pipeline: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Height and width of what a config's tests feed to the model.

    Of segmentation and detection, whose images differ, the size that they are scaled to,
    rounded up to multiples of the largest stride, 32.

    Raises:
        DeployError: No transform tells it.
    """
    sizes = [step.get("crop_size") or step.get("scale") for step in pipeline]
    known = [size for size in sizes if size is not None]
    if not known:
        raise DeployError(f"{cfg.filename}: test_pipeline tells no size; give --shape H W")
    last = known[-1]
    if isinstance(last, int):
        return last, last
    if pipeline[sizes.index(last)].get("crop_size"):
        return int(last[0]), int(last[1])
    width, height = last  # mmcv's scales are (width, height).
    return -(-height // 32) * 32, -(-width // 32) * 32


def fixed_pipeline(
    pipeline: Sequence[dict[str, Any]], shape: tuple[int, int]
) -> tuple[dict[str, Any], ...]:
    """The transforms for a graph of one size: the config's own if they end with it."""
    crop = pipeline[-1].get("crop_size")
    if crop is not None and (crop if isinstance(crop, (list, tuple)) else (crop, crop)) == shape:
        return tuple(pipeline)
    resize = {"type": "Resize", "scale": (shape[1], shape[0])}
    return (pipeline[0], resize)


class ImageReader:
    """Reads image files by the transforms of a contract.

    Args:
        contract: The contract.
    """

    def __init__(self, contract: Contract) -> None:
        with (
            DefaultScope.overwrite_default_scope(contract.scope),
            TRANSFORMS.switch_scope_and_registry(contract.scope) as registry,
        ):
            self.load, *others = (registry.build(dict(s)) for s in contract.pipeline)
        self.transform = Compose(others)

    def read(self, path: Path) -> LoadedImage:
        """Read one image.

        Raises:
            DataError: It cannot be read.
        """
        try:
            results = self.load({"img_path": str(path), "img_id": 0})
            original = results["img"]
            results = self.transform(results)
        except Exception as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if results is None:
            raise DataError(f"{path} cannot be read")
        image = np.ascontiguousarray(results["img"][..., ::-1].transpose(2, 0, 1), dtype=np.uint8)
        upright = np.ascontiguousarray(original[..., ::-1], dtype=np.uint8)
        scale = tuple(results.get("scale_factor", (1.0, 1.0)))
        return LoadedImage(path, image, tuple(results["ori_shape"][:2]), upright, scale)


def batches(images: Iterator[LoadedImage], size: int) -> Iterator[list[LoadedImage]]:
    """Group consecutive images of one shape, at most ``size`` of them."""
    batch: list[LoadedImage] = []
    for loaded in images:
        if batch and (len(batch) == size or loaded.image.shape != batch[0].image.shape):
            yield batch
            batch = []
        batch.append(loaded)
    if batch:
        yield batch


def stack(batch: Sequence[LoadedImage], fixed: int | None) -> NDArray[np.uint8]:
    """One array (N, 3, H, W) of images; the last one is repeated up to a ``fixed`` number."""
    images = [loaded.image for loaded in batch]
    images += images[-1:] * ((fixed or 0) - len(images))
    return np.stack(images)


def _plain(value: Any) -> Any:
    """Settings without MMEngine's types, and classes by the names that they are registered by."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    return type_name(value) if isinstance(value, type) else value
