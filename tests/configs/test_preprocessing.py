"""What the networks see of a photograph, against timm, mmseg and mmdet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmcv
import mmdet
import mmseg
import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from PIL import Image
from timm.data import create_transform
from torch import Tensor

from tests.configs.published import METHODS_3X, PANOPTIC, RECIPE, configs_of
from tests.configs.zoo import find, load

EVALUATION = RECIPE["in1k"]["eval"]
# Width and height: portrait, landscape, square, already 248, smaller than the crop, narrow.
SHAPES = (
    (512, 600),
    (333, 500),
    (500, 333),
    (375, 499),
    (301, 301),
    (248, 248),
    (249, 250),
    (97, 131),
    (131, 96),
    (61, 48),
    (512, 171),
    (150, 599),
)
# Files as ImageNet has them: few are not plain JPEGs, but those decide the last digit.
KINDS: dict[str, Callable[[Image.Image, Path], None]] = {
    "plain": lambda image, path: image.save(path, "JPEG"),
    "progressive": lambda image, path: image.save(path, "JPEG", progressive=True),
    "whole_chroma": lambda image, path: image.save(path, "JPEG", subsampling=0),
    "grey": lambda image, path: image.convert("L").save(path, "JPEG"),
    "cmyk": lambda image, path: image.convert("CMYK").save(path, "JPEG"),
    "turned": lambda image, path: image.save(path, "JPEG", exif=turned_by_exif()),
    "png": lambda image, path: image.save(path, "PNG"),
    "palette": lambda image, path: image.convert("P").save(path, "PNG"),
    "transparent": lambda image, path: image.convert("RGBA").save(path, "PNG"),
}


def turned_by_exif() -> Image.Exif:
    orientation, right = 274, 6
    exif = Image.Exif()
    exif[orientation] = right
    return exif


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """A photograph of 512 x 600 pixels that comes with matplotlib, which mmengine installs."""
    return Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")


def part_of(photograph: Image.Image, width: int, height: int) -> Image.Image:
    left, top = (photograph.width - width) // 2, (photograph.height - height) // 2
    return photograph.crop((left, top, left + width, top + height))


def timms(path: Path, *, normalize: bool) -> Tensor:
    """The tensor (3, 224, 224) that the authors' evaluation makes of a file."""
    transform = create_transform(
        EVALUATION["input"],
        crop_pct=EVALUATION["crop_pct"],
        interpolation=EVALUATION["interpolation"],
        mean=[value / 255 for value in EVALUATION["mean"]],
        std=[value / 255 for value in EVALUATION["std"]],
        normalize=normalize,
    )
    return transform(Image.open(path).convert("RGB"))


def classifier_input(cfg: Config, path: Path) -> Tensor:
    """The tensor (3, 224, 224) of grey levels, in the order RGB, that our pipeline makes."""
    init_default_scope(cfg.default_scope)
    pipeline = cfg.val_dataloader.dataset.pipeline
    packed = Compose([TRANSFORMS.build(t) for t in pipeline])({"img_path": str(path)})
    return packed["inputs"].flip(0)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_classification_sees_exactly_the_pixels_of_timm(
    shape: tuple[int, int], photograph: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "image.jpg"
    part_of(photograph, *shape).save(path)
    found = classifier_input(load(find("in1k", "b")), path)
    assert found.unique().numel() > 100
    assert torch.equal(found, timms(path, normalize=False))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_decoded_as_timm_does(
    kind: str, photograph: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "image"
    KINDS[kind](part_of(photograph, 301, 400), path)
    found = classifier_input(load(find("in1k", "b")), path)
    assert torch.equal(found, timms(path, normalize=False))


def test_crops_lie_where_timms_do_for_every_remainder(
    photograph: Image.Image, tmp_path: Path
) -> None:
    cfg = load(find("in1k", "b"))
    remainders = set()
    for width in range(300, 316):
        path = tmp_path / f"{width}.png"
        part_of(photograph, width, 290).save(path)
        remainders.add((int(248 * width / 290) - 224) % 4)
        assert torch.equal(classifier_input(cfg, path), timms(path, normalize=False)), width
    # Halves are rounded to the even neighbour: up or down.
    assert remainders == {0, 1, 2, 3}


def test_the_classifier_normalises_as_timm(photograph: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    photograph.save(path)
    paths = configs_of("in1k")
    assert len(paths) == 16
    expected = timms(path, normalize=True)
    assert expected.min() < -0.9
    for config in paths:
        cfg = load(config)
        packed = {"inputs": [classifier_input(cfg, path).flip(0)]}
        processor = MODELS.build({"type": "ClsDataPreprocessor", **cfg.model.data_preprocessor})
        found = processor(packed)["inputs"][0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_opencv_would_be_far_from_timm(photograph: Image.Image, tmp_path: Path) -> None:
    """Why the configs name Pillow, and that the comparison sees a difference where there is one."""
    path = tmp_path / "image.jpg"
    photograph.save(path)
    cfg = load(find("in1k", "b"))
    cfg.val_dataloader.dataset.pipeline[1].backend = "cv2"
    found = classifier_input(cfg, path).int()
    difference = (found - timms(path, normalize=False).int()).abs()
    assert difference.max() > 20
    assert difference.float().mean() > 1


# What mmseg's and mmdet's own configs of the datasets do not say.
OF_OUR_OWN = {"type": "ResizeToMultiple", "size_divisor": 32}


SWIN = "swin/mask-rcnn_swin-t-p4-w7_fpn_ms-crop-3x_coco.py"


def library_config(library: Any, name: str) -> Config:
    return Config.fromfile(Path(library.__file__).parent / ".mim" / "configs" / name)


def plain(settings: Any) -> Any:
    """Settings as plain dicts and lists, without arguments that only repeat the default."""
    if isinstance(settings, dict):
        return {key: plain(value) for key, value in settings.items() if key != "backend_args"}
    return [plain(value) for value in settings] if isinstance(settings, (list, tuple)) else settings


@pytest.mark.parametrize(
    ("library", "base", "methods", "configs"),
    (
        (mmseg, "_base_/datasets/ade20k.py", ("fpn", "upernet", "mask2former"), 15),
        (mmdet, "_base_/datasets/coco_instance.py", ("maskrcnn",), 4),
        (mmdet, "_base_/datasets/coco_detection.py", ("retinanet",), 4),
        (mmdet, SWIN, ("maskrcnn_3x", "cascade_maskrcnn_3x"), 2),
    ),
)
def test_pipelines_are_the_librarys(
    library: Any, base: str, methods: tuple[str, ...], configs: int
) -> None:
    theirs = library_config(library, base)
    paths = [path for method in methods for path in configs_of(method)]
    assert len(paths) == configs
    for path in paths:
        cfg = load(path)
        for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
            ours = plain(cfg[loader].dataset.pipeline)
            if library is mmseg and loader != "train_dataloader":
                ours.remove(OF_OUR_OWN)
            assert ours == plain(theirs[loader].dataset.pipeline), (path.stem, loader)


@pytest.mark.parametrize("method", ("atss_3x", "gfl_3x"))
def test_box_detectors_have_swins_crops_without_masks(method: str) -> None:
    assert RECIPE[method]["schedule_3x"]["crop_branch"] == "Swin / DETR style"
    assert method in METHODS_3X
    theirs = plain(library_config(mmdet, SWIN).train_dataloader.dataset.pipeline)
    assert theirs[1].pop("with_mask")
    cfg = load(find(method, "b"))
    assert plain(cfg.train_dataloader.dataset.pipeline) == theirs
    of_retinanet = load(find("retinanet", "b")).test_dataloader.dataset
    assert cfg.test_dataloader.dataset == cfg.val_dataloader.dataset == of_retinanet


def test_panoptic_pipelines_are_mmdets_with_masks_loaded_by_our_step() -> None:
    name = "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py"
    theirs = library_config(mmdet, name)
    training = plain(theirs.train_dataloader.dataset.pipeline)
    assert training[1].pop("type") == "LoadPanopticAnnotations"
    assert all(training.pop(1).values())
    testing = plain(theirs.test_dataloader.dataset.pipeline)
    assert testing.pop(2) == {"type": "LoadPanopticAnnotations"}
    loading = [
        {"type": "LoadAnnotations", "with_bbox": True},
        {"type": "mmvan.LoadPanopticMasks"},
    ]
    for size in ("b", "b6"):
        cfg = load(find(PANOPTIC, size))
        ours = plain(cfg.train_dataloader.dataset.pipeline)
        assert [ours.pop(1), ours.pop(1)] == loading
        assert ours == training
        ours = plain(cfg.test_dataloader.dataset.pipeline)
        assert [ours.pop(2), ours.pop(2)] == loading
        del ours[-1]["meta_keys"][-2:]  # what our metric reads
        assert ours == testing


def run(pipeline: list[Any], sample: dict[str, Any]) -> Any:
    return Compose([TRANSFORMS.build(transform) for transform in pipeline])(sample)


@pytest.mark.parametrize("shape", ((512, 600), (500, 333), (131, 97)))
@pytest.mark.parametrize("method", ("fpn", "upernet"))
def test_segmentation_sees_mmsegs_pixels_enlarged_to_multiples(
    method: str, shape: tuple[int, int], photograph: Image.Image, tmp_path: Path
) -> None:
    image, labels = tmp_path / "image.jpg", tmp_path / "labels.png"
    part = part_of(photograph, *shape)
    part.save(image)
    part.convert("L").point(lambda level: level // 2).save(labels)

    def sample() -> dict[str, Any]:
        return {
            "img_path": str(image),
            "seg_map_path": str(labels),
            "reduce_zero_label": True,
            "seg_fields": [],
        }

    cfg = load(find(method, "b"))
    init_default_scope(cfg.default_scope)
    ours = run(cfg.test_dataloader.dataset.pipeline, sample())
    theirs = run(library_config(mmseg, "_base_/datasets/ade20k.py").test_pipeline, sample())
    divisor = RECIPE["fpn"]["test"]["resize_to_multiple_of"]
    height, width = (-(-side // divisor) * divisor for side in theirs["inputs"].shape[1:])
    enlarged = mmcv.imresize(theirs["inputs"].permute(1, 2, 0).numpy(), (width, height))
    assert np.array_equal(ours["inputs"].permute(1, 2, 0).numpy(), enlarged)
    assert 512 in (width, height)
    truth = ours["data_samples"].gt_sem_seg.data
    assert tuple(truth.shape) == (1, part.height, part.width)
    assert torch.equal(truth, theirs["data_samples"].gt_sem_seg.data)
    expect_imagenet_statistics(cfg, ours)


@pytest.mark.parametrize("shape", ((512, 600), (500, 333)))
def test_detection_sees_mmdets_pixels(
    shape: tuple[int, int], photograph: Image.Image, tmp_path: Path
) -> None:
    path = tmp_path / "image.jpg"
    part_of(photograph, *shape).save(path)
    cfg = load(find("maskrcnn", "b"))
    init_default_scope(cfg.default_scope)
    results = []
    for config in (cfg, library_config(mmdet, "_base_/datasets/coco_instance.py")):
        box = {"bbox": [10, 20, 50, 80], "bbox_label": 0, "ignore_flag": 0}
        instance = {**box, "mask": [[10.0, 20.0, 50.0, 20.0, 50.0, 80.0]]}
        sample = {"img_path": str(path), "instances": [instance], "img_id": 0}
        results.append(run(config.test_dataloader.dataset.pipeline, sample))
    ours, theirs = results
    assert torch.equal(ours["inputs"], theirs["inputs"])
    assert 800 in ours["inputs"].shape
    assert len(ours["data_samples"].gt_instances) == 1
    expect_imagenet_statistics(cfg, ours)


def expect_imagenet_statistics(cfg: Config, packed: dict[str, Any]) -> None:
    """The processed image is (RGB - mean) / std, with the published mean and std."""
    settings = {**cfg.model.data_preprocessor}
    settings.pop("size", None)  # Training only: crops are padded to it.
    processor = MODELS.build(settings)
    batch = {key: [value] for key, value in packed.items()}
    found = processor(batch)["inputs"][0]
    published = RECIPE["fpn"]["normalize"]
    mean, std = (torch.tensor(published[key]).view(3, 1, 1) for key in ("mean", "std"))
    expected = (packed["inputs"].flip(0) - mean) / std
    height, width = expected.shape[1:]
    torch.testing.assert_close(found[:, :height, :width], expected, rtol=1e-5, atol=1e-5)
