"""The operators of a block, forward alone and with backward, in every backend.

The difference is the largest one of the output from plain PyTorch's, relative to its largest value.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from settings import Settings
from table import Measurement, compare
from timing import Step, relative_difference, take_turns
from torch import Tensor

from mmvan.ops import (
    attention,
    depthwise,
    depthwise_conv2d,
    depthwise_gelu,
    large_kernel_attention,
)
from mmvan.ops.backends import GPU_BACKENDS, KERNELS

SUITE = "ops"
BASELINE = "torch"
FORWARD, TRAINING = "forward", "forward and backward"
_REPEATS = 9
_LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Shape = tuple[int, int, int, int]  # N, C, H, W of the four stages of ...
_B0 = tuple((8, c, s, s) for c, s in ((32, 56), (64, 28), (160, 14), (256, 7)))
_B2 = tuple((1, c, s, s) for c, s in ((64, 56), (128, 28), (320, 14), (512, 7)))
_DETECTION = tuple((1, c, s, s + 7) for c, s in ((64, 200), (128, 100), (320, 50), (512, 25)))
_B0_HIDDEN = tuple((8, c, s, s) for c, s in ((256, 56), (512, 28), (640, 14), (1024, 7)))
_QUICK = ((1, 16, 9, 10),)


# What cannot run on a device, or was not made for it.
ELSEWHERE = {"cpu": GPU_BACKENDS, "cuda": ("phase_split", "native")}


@dataclass(frozen=True)
class Operator:
    """An operator and where it is met.

    Args:
        compute: The operator of an input, weight and bias of each convolution, and ``backend``.
        offers: Its backends.
        kernels: Taps per side of its convolutions; those of one tap mix all channels, the others
            are depthwise.
        shapes: Of its inputs.
        dtypes: In which it is measured.
    """

    compute: Callable[..., Tensor]
    offers: Sequence[str]
    kernels: Sequence[int]
    shapes: Sequence[Shape]
    dtypes: Sequence[str] = ("float32",)

    def backends(self, device: str) -> list[str]:
        """Those of a device."""
        return [name for name in self.offers if name not in ELSEWHERE[device]]


OPERATORS = {
    "dilated depthwise 7x7": Operator(
        partial(depthwise_conv2d, dilation=3),
        depthwise.OFFERS,
        (7,),
        _B0 + _B2 + _DETECTION,
        tuple(_DTYPES),
    ),
    "large kernel attention": Operator(
        large_kernel_attention, attention.OFFERS, (5, 7, 1), _B0 + _B2
    ),
    "depthwise 3x3 and GELU": Operator(depthwise_gelu, ("torch", *KERNELS), (3,), _B0_HIDDEN),
}


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """All operators in all shapes, layouts and dtypes: each is a case."""
    known = {name: operator.backends(settings.device) for name, operator in OPERATORS.items()}
    chosen = settings.choose(sorted({form for forms in known.values() for form in forms}), BASELINE)
    for case, of_case in settings.share(_cases(settings)):
        compute = OPERATORS[case.name].compute
        forms = {
            form: partial(compute, backend=form) for form in known[case.name] if form in chosen
        }
        yield _measure_case(case, forms, of_case)


@dataclass(frozen=True)
class Case:
    """An operator on an input."""

    name: str
    shape: Shape
    layout: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.name} of {_text(self.shape)}, {self.layout}, {self.dtype}"


def _cases(settings: Settings) -> list[Case]:
    return [
        Case(name, *kind)
        for name, operator in OPERATORS.items()
        for kind in itertools.product(
            _QUICK if settings.quick else operator.shapes, _LAYOUTS, operator.dtypes
        )
    ]


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _measure_case(
    case: Case, forms: Mapping[str, Callable[..., Tensor]], settings: Settings
) -> list[Measurement]:
    kernels = OPERATORS[case.name].kernels
    tensors = _tensors(kernels, case.shape, case.layout, case.dtype, settings.device)
    rows = []
    for metric, make_step in ((FORWARD, _forward), (TRAINING, _training)):
        steps = {form: make_step(compute, tensors) for form, compute in forms.items()}
        rows += _rows(case, metric, steps, settings)
    return rows


def _tensors(
    kernels: Sequence[int], shape: Shape, layout: str, dtype: str, device: str
) -> list[Tensor]:
    """The input, then weight and bias of each convolution; all want gradients."""
    c = shape[1]
    sizes = [[(c, c if taps == 1 else 1, taps, taps), (c,)] for taps in kernels]
    x = torch.randn(shape).to(memory_format=_LAYOUTS[layout])
    weights = [torch.randn(size) / max(1, size[-1]) for pair in sizes for size in pair]
    tensors = (tensor.to(device, _DTYPES[dtype]) for tensor in (x, *weights))
    return [tensor.requires_grad_() for tensor in tensors]


def _forward(compute: Callable[..., Tensor], tensors: Sequence[Tensor]) -> Step:
    def step() -> Tensor:
        with torch.no_grad():
            return compute(*tensors)

    return step


def _training(compute: Callable[..., Tensor], tensors: Sequence[Tensor]) -> Step:
    grad = torch.randn_like(tensors[0])

    def step() -> Tensor:
        out = compute(*tensors)
        torch.autograd.grad(out, tensors, grad)
        return out.detach()

    return step


def _rows(
    case: Case, metric: str, steps: Mapping[str, Step], settings: Settings
) -> list[Measurement]:
    outputs = {key: step() for key, step in steps.items()}
    return compare(
        take_turns(steps, settings.repeat(_REPEATS), settings.device, settings.end),
        BASELINE,
        dict.fromkeys(steps, (case.dtype, case.layout)),
        {key: relative_difference(out, outputs[BASELINE]) for key, out in outputs.items()},
        suite=SUITE,
        case=f"{case.name} of {_text(case.shape)}",
        arch=case.name,
        batch=case.shape[0],
        size=case.shape[2],
        metric=metric,
        unit="ms",
    )
