"""Where the time of our fastest form on a CPU goes: the folded network in OpenVINO.

The limit is what its 1x1 convolutions would take at the speed of one large matrix product in
float32 by PyTorch: about nine tenths of VAN's arithmetic cannot be faster than that.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from networks import QUICK, mmpretrain_van, our_van
from runtimes import Deployment
from settings import Settings
from table import Measurement
from timing import Spread, spread, take_turns, turns
from torch import nn
from training import Case

from mmvan.deploy import fold
from mmvan.errors import ConfigError

SUITE = "breakdown"
LIMIT = "limit: one matrix product"
TOTAL = "all operators"
KINDS = (
    "1x1 convolutions",
    "depthwise convolutions, with GELU",
    "patch embeddings",
    "everything else",
)
_CASES = (Case("b0", 8, 224), Case("b2", 1, 224))
_QUICK_CASES = (Case(QUICK, 2, 32),)
_REPEATS = 15
_UNMEASURED = 2  # Turns of each form.
_PRODUCT = 2048  # Rows and columns; larger ones are no faster.


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """The cases of the goals, by kind of operator.

    Raises:
        ConfigError: On a GPU.
    """
    if settings.device != "cpu":
        raise ConfigError("breakdown profiles OpenVINO, on a CPU alone: --device cpu")
    cases = _QUICK_CASES if settings.quick else _CASES
    for case, of_case in settings.share(cases):
        yield _measure_case(case, of_case)


def _measure_case(case: Case, settings: Settings) -> list[Measurement]:
    model = fold(our_van(case.arch, mmpretrain_van(case.arch)))
    inputs = torch.randint(256, (case.batch, 3, case.size, case.size), dtype=torch.uint8)
    repeats, end = settings.repeat(_REPEATS), settings.end
    with TemporaryDirectory() as folder:
        deployment = Deployment(model, inputs, settings.threads, Path(folder), is_ours=True)
        forms = {
            ("folded OpenVINO", "float32"): _profile(deployment, repeats, end, quantized=False),
            ("folded OpenVINO int8", "int8"): _profile(deployment, repeats, end, quantized=True),
            (LIMIT, "float32"): {KINDS[0]: _limit(model, deployment.images, repeats, end)},
        }
    common: dict[str, Any] = {**case.labels(SUITE), "layout": "own", "unit": "ms"}
    return [
        Measurement(form=form, dtype=dtype, metric=kind, **vars(value), **common)
        for (form, dtype), values in forms.items()
        for kind, value in values.items()
    ]


def _profile(
    deployment: Deployment, repeats: int, end: float, *, quantized: bool
) -> Mapping[str, Spread]:
    """Milliseconds of each kind of operator, by OpenVINO's own clock."""
    request = deployment.openvino_request(quantized=quantized, PERF_COUNT="YES")
    runs: list[Counter[str]] = []
    for _ in turns(repeats + _UNMEASURED, end):
        request.infer([deployment.file_input.numpy()], share_inputs=True)
        times: Counter[str] = Counter()
        for node in request.get_profiling_info():
            kind = _kind_of(node.node_type, node.exec_type)
            times[kind] += node.real_time.total_seconds() * 1e3
        times[TOTAL] = sum(times.values())
        runs.append(times)
    return {kind: spread([times[kind] for times in runs[_UNMEASURED:]]) for kind in (*KINDS, TOTAL)}


def _kind_of(node: str, implementation: str) -> str:
    if node == "GroupConvolution":
        return KINDS[1]
    if node == "Convolution":
        return KINDS[0] if "1x1" in implementation else KINDS[2]
    return KINDS[3]


def _limit(model: nn.Module, images: torch.Tensor, repeats: int, end: float) -> Spread:
    """Milliseconds of the network's 1x1 convolutions at the speed of one matrix product."""
    matrix = torch.randn(_PRODUCT, _PRODUCT)
    time = take_turns({"product": lambda: matrix @ matrix}, repeats, "cpu", end)["product"]
    share = _pointwise_products(model, images) / _PRODUCT**3
    values = {name: getattr(time, name) * share for name in ("median", "p20", "p80")}
    return Spread(**values, repeats=time.repeats)


def _pointwise_products(model: nn.Module, images: torch.Tensor) -> int:
    """Multiplications of the 1x1 convolutions."""
    counts: list[int] = []

    def count(conv: Any, _: Any, out: torch.Tensor) -> None:
        counts.append(out.numel() * conv.in_channels)

    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    hooks = [conv.register_forward_hook(count) for conv in convs]
    with torch.inference_mode():
        model(images)
    for hook in hooks:
        hook.remove()
    return sum(counts)
