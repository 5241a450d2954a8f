"""The networks that are compared: ours, mmpretrain's VAN, and what a user would take instead.

All are whole classifiers of mmpretrain, with random weights: speed does not depend on their values.
"""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmvan.arch import ARCHS, Arch
from mmvan.leaderboard.published import load_results

# By the names of mmpretrain's metafiles; those of its own training where it has one.
OTHERS = {
    "ConvNeXt-T": "convnext-tiny_32xb128_in1k",
    "Swin-T": "swin-tiny_16xb64_in1k",
    "ResNet-50": "resnet50_8xb32_in1k",
}
QUICK = "quick"  # An arch that has every part of a VAN and next to no cost.
_QUICK_ARCH = Arch((16, 32, 48, 64), (1, 1, 1, 1), (2, 2, 2, 2))
# Each port's own eps would be a difference of the networks, not of their speed.
_NORM = {"type": "LN", "eps": 1e-6}


def arch_of(name: str) -> Arch:
    """Widths and depths of ``b0`` to ``b6``, or of :data:`QUICK`."""
    return _QUICK_ARCH if name == QUICK else ARCHS[name]


def mmpretrain_van(arch: str) -> nn.Module:
    """The classifier of mmpretrain, in evaluation mode, with seeded random weights."""
    torch.manual_seed(0)
    sizes = {key: list(value) for key, value in vars(arch_of(arch)).items()}
    model = _classifier({"type": "VAN", "arch": sizes, "norm_cfg": _NORM}, arch)
    _randomise(model)
    return model


def our_van(arch: str, like: nn.Module, **options: Any) -> nn.Module:
    """Our classifier, in evaluation mode, with the weights of mmpretrain's.

    Args:
        arch: As for :func:`mmpretrain_van`.
        like: mmpretrain's classifier of the same arch.
        **options: Of :class:`mmvan.VAN`.
    """
    backbone = {
        "type": "mmvan.VAN",
        "arch": vars(arch_of(arch)),
        "out_indices": (3,),
        "out_norm_cfg": _NORM,
        **options,
    }
    model = _classifier(backbone, arch)
    model.load_state_dict(like.state_dict())
    return model


def other_network(name: str) -> nn.Module:
    """One of :data:`OTHERS`, in evaluation mode, with random weights."""
    import mmpretrain  # Here, because the report needs this file's names alone.

    torch.manual_seed(0)
    logger = MMLogger.get_current_instance()
    logger.setLevel(logging.WARNING)  # It tells of each model how its training would be set up.
    model: nn.Module = mmpretrain.get_model(OTHERS[name])
    return model.eval()


def published_top1() -> Mapping[str, float]:
    """Published top-1 accuracy on ImageNet-1k in %: of VAN by its authors, else by mmpretrain."""
    from mmpretrain.apis import ModelHub

    rows = (row for row in load_results() if row.section == "imagenet_1k")
    by_authors = {row.arch: float(row.figures["top1"]) for row in rows}
    by_mmpretrain = {
        name: ModelHub.get(model).results[0].metrics["Top 1 Accuracy"]
        for name, model in OTHERS.items()
    }
    return by_authors | by_mmpretrain


def _classifier(backbone: dict[str, Any], arch: str) -> nn.Module:
    head = {
        "type": "LinearClsHead",
        "num_classes": 1000,
        "in_channels": arch_of(arch).embed_dims[-1],
    }
    config = {"backbone": backbone, "neck": {"type": "GlobalAveragePooling"}, "head": head}
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model: nn.Module = MODELS.build({"type": "ImageClassifier", **config})
    return model.eval()


@torch.no_grad()
def _randomise(model: nn.Module) -> None:
    """Fill what a fresh VAN has at 0 or 1, so that a form that forgets it differs."""
    for name, tensor in model.state_dict().items():
        if "layer_scale" in name:
            tensor.uniform_(0.1, 0.3)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
