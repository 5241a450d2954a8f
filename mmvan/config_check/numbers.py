"""Numbers that are no numbers, or beyond what they can be."""

import math
from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, NamedTuple

from mmvan.config_check.parts import Part, parts_of, resolve
from mmvan.type_name import type_name


class _Range(NamedTuple):
    """What a number may be.

    Args:
        low: The least.
        high: The most.
        whole: Whether it must be an integer.
        open_low: Whether the least itself is too little.
    """

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    open_low: bool = False

    def holds(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        number = float(value)
        if self.whole and not number.is_integer():
            return False
        above = number > self.low if self.open_low else number >= self.low
        return above and number <= self.high and math.isfinite(number)

    def __str__(self) -> str:
        kind = "an integer" if self.whole else "a number"
        if math.isinf(self.high):
            if math.isinf(self.low):
                return kind
            return f"{kind} {'above' if self.open_low else 'from'} {self.low:g}"
        return f"{kind} from {self.low:g} to {self.high:g}"


_COUNT = _Range(1, whole=True)
_COUNT_OR_NONE = _Range(0, whole=True)
_POSITIVE = _Range(0, open_low=True)
_NOT_NEGATIVE = _Range(0)
_SHARE = _Range(0, 1)
# Of paramwise_cfg, as MMEngine's constructor has them.
_FACTORS = (
    *("norm_decay_mult", "bias_decay_mult", "flat_decay_mult", "dwconv_decay_mult"),
    *("bias_lr_mult", "dcn_offset_lr_mult"),
)
# By the name of the setting, wherever the libraries have it. A list holds several such numbers.
_RANGES: Mapping[str, _Range] = {
    "batch_size": _COUNT,
    "num_workers": _Range(0, 1024, whole=True),  # each is a process
    "max_epochs": _COUNT,
    "max_iters": _COUNT,
    "val_interval": _COUNT,
    "val_begin": _COUNT_OR_NONE,
    "accumulative_counts": _COUNT,
    "base_batch_size": _POSITIVE,
    "num_classes": _COUNT,
    "lr": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "lr_mult": _NOT_NEGATIVE,
    "decay_mult": _NOT_NEGATIVE,
    **dict.fromkeys(_FACTORS, _NOT_NEGATIVE),
    "decay_rate": _SHARE,
    "eta_min": _NOT_NEGATIVE,
    "start_factor": _SHARE,
    "T_max": _COUNT,
    "milestones": _COUNT_OR_NONE,
    "gamma": _NOT_NEGATIVE,
    "drop_rate": _SHARE,
    "drop_path_rate": _SHARE,
    "dropout_ratio": _Range(-1, 1),  # -1 for none, in mmsegmentation
    "loss_weight": _Range(),  # below 0 for adversarial losses
    "label_smooth_val": _SHARE,
    "score_thr": _SHARE,
    "pos_iou_thr": _SHARE,
    "min_pos_iou": _SHARE,
    "pos_fraction": _SHARE,
    "iou_threshold": _SHARE,
    "mask_thr_binary": _Range(-1, 1),
    "prob": _SHARE,
    "topk": _COUNT,
    "max_keep_ckpts": _Range(-1, whole=True),
    "size_divisor": _COUNT_OR_NONE,
    "opencv_num_threads": _Range(0, 2**31 - 1, whole=True),
    "interval": _Range(-1, whole=True),
}
# How many layers to build: beyond any network, memory ends before an error can.
_LAYERS = (
    *("num_convs", "stacked_convs", "num_outs", "num_stages", "num_layers", "depth"),
    *("num_shared_convs", "num_cls_convs", "num_reg_convs"),
    *("num_shared_fcs", "num_cls_fcs", "num_reg_fcs", "num_fcs"),
)
# Pixels of a side: OpenCV reads no larger images, by CV_IO_MAX_IMAGE_WIDTH.
_SIDES = ("scale", "crop_size")
_MOST: Mapping[str, int] = {**dict.fromkeys(_LAYERS, 10_000), **dict.fromkeys(_SIDES, 2**20)}
# There may be several.
_LISTS = frozenset({"milestones", "topk", "prob", "loss_weight", "lr"})
# May be left to the library.
_NONE_ALLOWED = frozenset(
    {"drop_rate", "prob", "eta_min", "drop_path_rate", "num_classes", "size_divisor", *_FACTORS}
)


def number_problems(key: str, value: Any, scope: str) -> Iterator[str]:
    """Finds settings whose value no library can use, by their names.

    Args:
        key: The top-level key.
        value: What the config has there.
        scope: The library whose names these are, such as ``mmdet``.

    Yields:
        One message for each.
    """
    for node in parts_of(key, value, scope):
        if node.foreign:
            continue
        for name in _RANGES.keys() & node.settings.keys():
            yield from _number_problem(node, name, node.settings[name])
        for name in sorted(_MOST.keys() & node.settings.keys()):
            number = node.settings[name]
            if isinstance(number, int) and number > _MOST[name]:
                yield f"{node.key}.{name} is {number}; expected at most {_MOST[name]}"
        yield from _image_statistics(node)


def _number_problem(node: Part, name: str, value: Any) -> Iterator[str]:
    listed = name in _LISTS and isinstance(value, (list, tuple))
    numbers = value if listed else [value]
    if value is None and (name in _NONE_ALLOWED or (name == "lr" and not _is_torch(node))):
        return
    if not all(_RANGES[name].holds(number) for number in numbers):
        yield f"{node.key}.{name} is {value!r}; expected {_RANGES[name]}"


def _is_torch(node: Part) -> bool:
    """Whether it is an optimizer of PyTorch's; those of others may find a learning rate.

    There are two by the name of Adafactor.
    """
    found = resolve(node.settings.get("type"), node.scope)
    return type_name(node.settings) != "Adafactor" and any(
        str(getattr(kind, "__module__", "")).startswith("torch.") for kind in found
    )


def _image_statistics(node: Part) -> Iterator[str]:
    """Mean and standard deviation of the channels, which images are normalised by."""
    mean, std = node.settings.get("mean"), node.settings.get("std")
    if not isinstance(mean, (list, tuple)) or not isinstance(std, (list, tuple)):
        return
    if len(mean) != len(std):
        yield f"{node.key}.std has {len(std)} values and mean {len(mean)}; expected as many"
    if not all(_POSITIVE.holds(number) for number in std):
        yield f"{node.key}.std is {list(std)!r}; expected numbers above 0"
    if not all(_Range().holds(number) for number in mean):
        yield f"{node.key}.mean is {list(mean)!r}; expected numbers"
