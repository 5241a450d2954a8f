"""Classification's augmentation, object by object, against timm's for the authors' arguments."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from mmengine.dataset import Compose
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from timm.data import create_transform
from timm.data.auto_augment import AugmentOp, RandAugment
from timm.data.mixup import mixup_target
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import RandomResizedCropAndInterpolation, interp_mode_to_str
from timm.loss import SoftTargetCrossEntropy
from torchvision.transforms import ColorJitter, RandomHorizontalFlip

from tests.configs.published import RECIPE, configs_of
from tests.configs.zoo import find, load

AUGMENT = RECIPE["in1k"]["augment"]
# timm's name of an operation to mmpretrain's, and the direction where there are two.
OPERATIONS = {
    "AutoContrast": ("AutoContrast", None),
    "Equalize": ("Equalize", None),
    "Invert": ("Invert", None),
    "Rotate": ("Rotate", None),
    "PosterizeIncreasing": ("Posterize", None),
    "SolarizeIncreasing": ("Solarize", None),
    "SolarizeAdd": ("SolarizeAdd", None),
    "ColorIncreasing": ("ColorTransform", None),
    "ContrastIncreasing": ("Contrast", None),
    "BrightnessIncreasing": ("Brightness", None),
    "SharpnessIncreasing": ("Sharpness", None),
    "ShearX": ("Shear", "horizontal"),
    "ShearY": ("Shear", "vertical"),
    "TranslateXRel": ("Translate", "horizontal"),
    "TranslateYRel": ("Translate", "vertical"),
}
# timm rounds these to whole bits and grey levels.
WHOLE = ("PosterizeIncreasing", "SolarizeIncreasing", "SolarizeAdd")


@pytest.fixture(scope="module")
def theirs() -> dict[type, Any]:
    """timm's training transforms by type, for the arguments of the authors' script."""
    evaluation = RECIPE["in1k"]["eval"]
    transform = create_transform(
        evaluation["input"],
        is_training=True,
        scale=AUGMENT["random_resized_crop"]["scale"],
        ratio=AUGMENT["random_resized_crop"]["ratio"],
        hflip=AUGMENT["hflip"],
        color_jitter=AUGMENT["color_jitter"],
        auto_augment=AUGMENT["rand_augment"],
        interpolation=AUGMENT["train_interpolation"],
        mean=[value / 255 for value in evaluation["mean"]],
        std=[value / 255 for value in evaluation["std"]],
        re_prob=AUGMENT["random_erasing"]["prob"],
        re_mode=AUGMENT["random_erasing"]["mode"],
    )
    return {type(part): part for part in transform.transforms}


@pytest.fixture(scope="module")
def ours() -> dict[str, list[Any]]:
    """The built transforms of the config by type, with every choice of a random choice."""
    cfg = load(find("in1k", "b"))
    init_default_scope(cfg.default_scope)
    found: dict[str, list[Any]] = {}
    for part in unfold(TRANSFORMS.build(t) for t in cfg.train_dataloader.dataset.pipeline):
        found.setdefault(type(part).__name__, []).append(part)
    return found


def unfold(parts: Any) -> Iterator[Any]:
    for part in parts:
        if type(part).__name__ == "RandomChoice":
            assert part.prob is None  # every choice is equally likely
            yield from unfold(choice for pipeline in part.transforms for choice in pipeline)
        else:
            yield part


def test_every_size_trains_on_the_same_images() -> None:
    reference = load(find("in1k", "b"))
    paths = configs_of("in1k")
    assert len(paths) == 16
    for path in paths:
        cfg = load(path)
        assert cfg.train_dataloader == reference.train_dataloader
        assert cfg.model.train_cfg == reference.model.train_cfg


def test_every_published_augmentation_is_compared_here(ours: dict[str, list[Any]]) -> None:
    assert set(AUGMENT) == {
        "random_resized_crop",
        "hflip",
        "color_jitter",
        "rand_augment",
        "random_erasing",
        "train_interpolation",
    }
    assert {name: len(parts) for name, parts in ours.items()} == {
        "LoadImage": 1,
        "RandomResizedCrop": 2,
        "RandomFlip": 1,
        "RandAugment": 2,
        "RandomErasing": 1,
        "PackInputs": 1,
    }


def test_crops_are_timms(theirs: dict[type, Any], ours: dict[str, list[Any]]) -> None:
    crop = theirs[RandomResizedCropAndInterpolation]
    parts = [part.crop for part in ours["RandomResizedCrop"]]
    assert len(parts) == 2
    for part in parts:
        assert part.scale == tuple(crop.size)
        assert part.crop_ratio_range == tuple(crop.scale)
        # The published 1.3333 is 4 / 3.
        assert part.aspect_ratio_range == pytest.approx(crop.ratio, rel=5e-5)
        assert part.backend == "pillow"
    modes = {interp_mode_to_str(mode) for mode in crop.interpolation}
    assert {part.interpolation for part in parts} == modes


def test_flips_are_timms_and_nobody_jitters_colours(
    theirs: dict[type, Any], ours: dict[str, list[Any]]
) -> None:
    (flip,) = ours["RandomFlip"]
    assert (flip.prob, flip.direction) == (theirs[RandomHorizontalFlip].p, "horizontal")
    # The argument is there, but timm jitters only without an auto-augment policy.
    assert AUGMENT["color_jitter"] == 0.4
    assert ColorJitter not in theirs
    assert "ColorJitter" not in ours


def test_rand_augment_has_timms_operations(
    theirs: dict[type, Any], ours: dict[str, list[Any]]
) -> None:
    reference = theirs[RandAugment]
    for part in ours["RandAugment"]:
        assert part.num_policies == reference.num_layers
        own = {(type(t).__name__, getattr(t, "direction", None)): t for t in part.transforms}
        names = [op.name for op in reference.ops]
        assert {OPERATIONS[name] for name in names} == set(own)
        assert len(own) == len(names) == 15
        for name, op in zip(names, reference.ops, strict=True):
            compare_operation(own[OPERATIONS[name]], op, name)


def compare_operation(own: Any, op: AugmentOp, name: str) -> None:
    assert own.prob == op.prob
    if op.level_fn is None:
        assert own.magnitude_range is None
        return
    assert op.magnitude_max is None  # then timm's limit is 10
    assert (own.magnitude_level, own.magnitude_std, own.total_level) == (
        op.magnitude,
        op.magnitude_std,
        10,
    )
    for level in range(11):
        (argument,) = op.level_fn(level, op.hparams)
        start, end = own.magnitude_range
        strength = start + (end - start) * level / 10
        tolerance = 1.0 if name in WHOLE else 1e-9
        if own.__class__.__name__ in ("ColorTransform", "Contrast", "Brightness", "Sharpness"):
            argument -= 1  # mmpretrain's magnitude is the distance from no change
        assert abs(argument) == pytest.approx(strength, abs=tolerance), (name, level)


def test_rand_augment_interpolates_and_fills_as_timm(
    theirs: dict[type, Any], ours: dict[str, list[Any]]
) -> None:
    (modes,) = {op.kwargs["resample"] for op in theirs[RandAugment].ops}
    (fill,) = {op.kwargs["fillcolor"] for op in theirs[RandAugment].ops}
    geometric = [
        [t for t in part.transforms if hasattr(t, "interpolation")] for part in ours["RandAugment"]
    ]
    assert [len(transforms) for transforms in geometric] == [5, 5]
    found = [{t.interpolation for t in transforms} for transforms in geometric]
    assert all(len(one) == 1 for one in found)
    assert set.union(*found) == {mode.name.lower() for mode in modes}
    assert all(tuple(t.pad_val) == fill for transforms in geometric for t in transforms)


def test_erasing_is_timms(theirs: dict[type, Any], ours: dict[str, list[Any]]) -> None:
    reference = theirs[RandomErasing]
    (part,) = ours["RandomErasing"]
    assert part.erase_prob == reference.probability
    assert (part.min_area_ratio, part.max_area_ratio) == (reference.min_area, reference.max_area)
    assert np.log(part.aspect_range) == pytest.approx(reference.log_aspect_ratio)
    assert (reference.min_count, reference.max_count) == (1, 1)
    # timm fills with standard normal noise after normalisation, pixel by pixel.
    assert reference.per_pixel
    evaluation = RECIPE["in1k"]["eval"]
    assert part.mode == "rand"
    assert (list(part.fill_color), list(part.fill_std)) == (evaluation["mean"], evaluation["std"])


def test_training_images_are_augmented_photographs() -> None:
    cfg = load(find("in1k", "b"))
    init_default_scope(cfg.default_scope)
    path = get_sample_data("grace_hopper.jpg", asfileobj=False)
    pipeline = Compose([TRANSFORMS.build(t) for t in cfg.train_dataloader.dataset.pipeline])
    np.random.seed(0)
    images = [pipeline({"img_path": path, "gt_label": 0})["inputs"] for _ in range(16)]
    assert {(tuple(p.shape), p.dtype) for p in images} == {((3, 224, 224), torch.uint8)}
    assert len({p.float().mean().item() for p in images}) == 16


def test_mixup_and_cutmix_have_the_published_chances() -> None:
    published = RECIPE["in1k"]["mixup"]
    cfg = load(find("in1k", "t"))
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        mixing = MODELS.build(cfg.model).data_preprocessor.batch_augments
    alphas = {type(augment).__name__: augment.alpha for augment in mixing.augments}
    assert alphas == {"Mixup": published["mixup"], "CutMix": published["cutmix"]}
    # Without chances of their own one of the two is always taken, each as often.
    assert mixing.probs is None
    assert (published["prob"], published["switch_prob"]) == (1.0, 1 / len(alphas))


def test_the_loss_of_mixed_labels_is_timms() -> None:
    generator = torch.Generator().manual_seed(0)
    classes, share = 1000, 0.3
    logits = torch.randn(8, classes, generator=generator)
    labels = torch.randint(classes, (8,), generator=generator)
    smoothed = mixup_target(labels, classes, share, RECIPE["in1k"]["label_smoothing"])
    expected = SoftTargetCrossEntropy()(logits, smoothed)

    cfg = load(find("in1k", "b"))
    init_default_scope(cfg.default_scope)
    loss = MODELS.build({**cfg.model.head.loss, "num_classes": classes})
    one_hot = torch.nn.functional.one_hot(labels, classes).float()
    found = loss(logits, share * one_hot + (1 - share) * one_hot.flip(0))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
