"""Images as mmcv loads them with Pillow, and at a part of their size."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from mmcv.transforms import LoadImageFromFile
from numpy.typing import NDArray
from PIL import Image

from mmvan.data import loading
from mmvan.data.loading import LoadImage
from mmvan.engine.config import innermost_dataset, load_config
from mmvan.errors import ConfigError, DataError
from mmvan.location import config_dir
from tests.forks import forked_python

SPLITS = ("train", "val", "test")
_ORIENTATION = 274


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif


def save_440(image: Image.Image, path: Path) -> None:
    """Chroma of half the height, which OpenCV writes and Pillow does not."""
    option = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440]
    encoded = cv2.imencode(".jpg", np.asarray(image), option)[1]
    path.write_bytes(encoded.tobytes())


def save_with_more(image: Image.Image, path: Path) -> None:
    image.save(path)
    path.write_bytes(path.read_bytes() + b"more")


# How an image can be stored in a file that is called .jpg.
FILES: dict[str, Callable[[Image.Image, Path], None]] = {
    "420": lambda image, path: image.save(path),
    "422": lambda image, path: image.save(path, subsampling=1),
    "444": lambda image, path: image.save(path, subsampling=0),
    "440": save_440,
    "rough": lambda image, path: image.save(path, quality=20),
    "progressive": lambda image, path: image.save(path, progressive=True),
    "rgb": lambda image, path: image.save(path, keep_rgb=True),
    "grey": lambda image, path: image.convert("L").save(path),
    "cmyk": lambda image, path: image.convert("CMYK").save(path),
    "trailing bytes": save_with_more,
    "png": lambda image, path: image.save(path, "PNG"),
    "grey and alpha": lambda image, path: image.convert("LA").save(path, "PNG"),
    "palette": lambda image, path: image.convert("P").save(path, "PNG"),
    "webp": lambda image, path: image.save(path, "WEBP"),
    **{
        f"turned {n}": lambda image, path, n=n: image.save(path, exif=turned(n))
        for n in range(1, 9)
    },
}


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """A photograph of 512 x 600 pixels that comes with matplotlib, which mmengine installs."""
    return Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")


@pytest.fixture
def photo_file(photograph: Image.Image, tmp_path: Path) -> Path:
    """A plain JPEG file of 512 x 600 pixels."""
    path = tmp_path / "image.jpg"
    photograph.save(path)
    return path


def load(path: Path, **settings: Any) -> dict[str, Any]:
    results = LoadImage(**settings)({"img_path": str(path)})
    assert results is not None
    return results


def load_by_mmcv(path: Path, **settings: Any) -> dict[str, Any]:
    return LoadImageFromFile(imdecode_backend="pillow", **settings)({"img_path": str(path)})


@pytest.mark.parametrize("color_type", loading.COLOR_TYPES)
def test_every_file_gives_what_mmcv_gives(
    color_type: str, photograph: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "image.jpg"
    part = photograph.crop((51, 80, 352, 293))
    assert part.size == (301, 213)
    shapes = []
    for name, save in FILES.items():
        save(part, path)
        found, expected = (
            load(path, color_type=color_type),
            load_by_mmcv(path, color_type=color_type),
        )
        assert np.array_equal(found.pop("img"), expected.pop("img")), name
        assert found == expected, name
        shapes.append(found["img_shape"])
    assert len(shapes) == 22
    # The upper half of the orientations lies on its side.
    assert shapes.count((301, 213)) == (4 if color_type == "color" else 0)


def test_plain_images_come_in_one_piece(photo_file: Path) -> None:
    """What the speed of the steps after it depends on."""
    assert load(photo_file)["img"].flags.c_contiguous
    assert not load_by_mmcv(photo_file)["img"].flags.c_contiguous


@pytest.mark.parametrize(
    ("size", "short_side", "divisor"),
    (
        ((512, 600), 513, 1),
        ((512, 600), 257, 1),
        ((512, 600), 256, 2),
        ((512, 600), 128, 4),
        ((512, 600), 129, 2),
        ((512, 600), 64, 8),
        ((512, 600), 1, 8),
        ((511, 599), 255, 2),
        ((511, 599), 256, 1),
        ((501, 333), 41, 8),
        ((333, 501), 83, 4),
        ((17, 31), 2, 8),
    ),
)
def test_a_reduced_image_keeps_its_short_side(
    size: tuple[int, int], short_side: int, divisor: int, photograph: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "image.jpg"
    photograph.crop((0, 0, *size)).save(path)
    found = load(path, short_side=short_side)
    assert found["ori_shape"] == size[::-1]
    assert found["img_shape"] == found["img"].shape[:2]
    assert found["img_shape"] == tuple(-(-side // divisor) for side in size[::-1])
    assert divisor == 1 or min(found["img_shape"]) >= short_side


@pytest.mark.parametrize("kind", ("420", "444", "progressive", "grey", "turned 6"))
@pytest.mark.parametrize("divisor", (2, 4, 8))
def test_a_reduced_image_shows_what_the_whole_one_does(
    kind: str, divisor: int, photograph: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "image.jpg"
    FILES[kind](photograph, path)
    settings = {"color_type": "color_ignore_orientation"}
    whole = load(path, **settings)["img"]
    reduced = load(path, short_side=512 // divisor, **settings)["img"]
    height, width = reduced.shape[:2]
    assert (height, width) == (600 // divisor, 512 // divisor)
    averaged = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    difference = np.abs(averaged.astype(int) - reduced)
    assert difference.mean() < 2
    assert np.percentile(difference, 99) < 16
    # An image moved by one pixel is further away, so the comparison would see a shift.
    assert np.abs(averaged[:, 1:].astype(int) - reduced[:, :-1]).mean() > 2 * difference.mean()


@pytest.mark.parametrize("name", ("cmyk", "png", "palette", "turned 6", "trailing bytes"))
def test_other_files_are_never_reduced(name: str, photograph: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    FILES[name](photograph, path)
    found, expected = load(path, short_side=64), load_by_mmcv(path)
    assert np.array_equal(found.pop("img"), expected.pop("img"))
    assert found == expected


def test_images_in_memory_are_left_as_they_are() -> None:
    """The inferencers of mmpretrain read images before their pipeline starts."""
    results = {"img": np.zeros((3, 4, 3), np.uint8), "img_shape": (3, 4)}
    assert LoadImage(short_side=8)(results) is results


@pytest.mark.parametrize("short_side", (None, 64))
def test_a_damaged_file_is_named(short_side: int | None, photo_file: Path) -> None:
    content = photo_file.read_bytes()
    for damaged in (b"", b"text", content[:100], content[: len(content) // 2], content[:-40]):
        photo_file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"image\.jpg cannot be loaded: .*Replace the file"):
            load(photo_file, short_side=short_side)
    photo_file.unlink()
    with pytest.raises(DataError, match=r"image\.jpg cannot be loaded: .*No such file"):
        load(photo_file, short_side=short_side)


@pytest.mark.parametrize("key", ("img_id", "instances", "seg_map_path"))
def test_images_with_places_are_not_reduced(key: str, photo_file: Path) -> None:
    results = {"img_path": str(photo_file), key: 0}
    with pytest.raises(ConfigError, match=rf"short_side is 64, and the data have {key}\."):
        LoadImage(short_side=64)(results)
    assert LoadImage()(results)["img"].shape == (600, 512, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"short_side": 0}, "short_side is 0; expected a number of pixels from 1"),
        ({"short_side": 2.5}, "short_side is 2.5; expected"),
        ({"color_type": "grayscale"}, "color_type is 'grayscale'; expected 'color' or"),
        ({"decoder": "turbojpg"}, "decoder is 'turbojpg'; .*Did you mean turbojpeg"),
    ),
)
def test_arguments_without_a_usable_value_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"mmvan.LoadImage: {message}"):
        LoadImage(**settings)


@pytest.fixture
def _fresh_decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """mmcv as it is before anybody asked for TurboJPEG."""
    monkeypatch.setattr(mmcv.image.io, "jpeg", None)
    loading._enable_turbojpeg.cache_clear()
    yield
    loading._enable_turbojpeg.cache_clear()


@pytest.mark.usefixtures("_fresh_decoder")
def test_without_pyturbojpeg_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mmcv.image.io, "TurboJPEG", None)
    with pytest.raises(ConfigError, match=r"not installed.*pip install PyTurboJPEG"):
        LoadImage(decoder="turbojpeg")
    assert mmcv.image.io.imread_backend == "cv2"


class CountingJpeg:
    """Stands for TurboJPEG, whose library is not everywhere."""

    decoded = 0

    def decode(self, content: bytes, _: Any) -> NDArray[np.uint8]:
        CountingJpeg.decoded += 1
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.usefixtures("_fresh_decoder")
def test_turbojpeg_decodes_plain_images_alone(
    monkeypatch: pytest.MonkeyPatch, photograph: Image.Image, photo_file: Path
) -> None:
    monkeypatch.setattr(mmcv.image.io, "TurboJPEG", CountingJpeg)
    step = LoadImage(decoder="turbojpeg")
    # A worker that was not forked has the step, but not what mmcv was told.
    loading._enable_turbojpeg.cache_clear()
    monkeypatch.setattr(mmcv.image.io, "jpeg", None)
    found = step({"img_path": str(photo_file)})
    assert CountingJpeg.decoded == 1
    assert np.array_equal(found["img"], load_by_mmcv(photo_file)["img"])
    FILES["cmyk"](photograph, photo_file)
    assert np.array_equal(
        step({"img_path": str(photo_file)})["img"], load_by_mmcv(photo_file)["img"]
    )
    assert CountingJpeg.decoded == 1
    assert mmcv.image.io.imread_backend == "cv2"


@pytest.mark.parametrize("name", ("van_b_in1k", "van_h_in22k_in1k_384", "van_b_custom"))
def test_the_option_is_set_on_the_command_line(name: str) -> None:
    option = "train_dataloader.dataset.pipeline.0.short_side"
    path = config_dir() / "classification" / f"{name}.py"
    cfg = load_config(str(path), {option: 448}, ["train_dataloader"])
    pipelines = [innermost_dataset(cfg[f"{split}_dataloader"]).pipeline for split in SPLITS]
    assert [pipeline[0].type for pipeline in pipelines] == ["mmvan.LoadImage"] * 3
    # No recipe sets it, and evaluation stays as it was.
    assert [pipeline[0].get("short_side") for pipeline in pipelines] == [448, None, None]


def test_the_steps_of_a_classifier_are_found_without_mmdet() -> None:
    code = (
        "import sys, mmvan; from mmengine.registry import TRANSFORMS; "
        "print(TRANSFORMS.get('mmvan.LoadImage').__name__, 'mmdet' in sys.modules)"
    )
    done = subprocess.run([forked_python(), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["LoadImage", "False"]
