"""Cost over the size of the image: time per pixel, which is constant where cost is linear.

On a CPU all forms keep freed memory, as `tools/test.py` does there. Without, pages that the system
hands out again for every large map take most of the time at 1024 x 1024 and above.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

import torch
from networks import QUICK, mmpretrain_van, our_van
from settings import Settings
from table import Measurement, compare
from timing import Spread, Step, relative_difference, take_turns
from torch import Tensor, nn

from mmvan.deploy import fold
from mmvan.engine.allocator import keep_freed_memory

SUITE = "scaling"
BASELINE = "mmpretrain eager"
METRIC = "time per pixel"
SIZES = (224, 512, 1024, 2048)
_QUICK_SIZES = (32, 64)
_REPEATS = 5
_LAYOUTS = {
    BASELINE: "contiguous",
    "ours channels_last": "channels_last",
    "folded channels_last": "channels_last",
}
FORMS = tuple(_LAYOUTS)


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """One image of each size through each form."""
    arch, sizes = (QUICK, _QUICK_SIZES) if settings.quick else ("b0", SIZES)
    if settings.device == "cpu":
        keep_freed_memory()
    peer = mmpretrain_van(arch)
    ours = our_van(arch, peer, channels_last=True)
    networks = {BASELINE: peer, "ours channels_last": ours, "folded channels_last": fold(ours)}
    chosen = {name: networks[name].to(settings.device) for name in settings.choose(FORMS, BASELINE)}
    for size, of_size in settings.share(sizes):
        yield _measure_size(arch, size, chosen, of_size)


def _measure_size(
    arch: str, size: int, networks: Mapping[str, nn.Module], settings: Settings
) -> list[Measurement]:
    image = torch.randn(1, 3, size, size, device=settings.device)
    steps = {name: _step(model, image) for name, model in networks.items()}
    logits = {name: step() for name, step in steps.items()}
    times = take_turns(steps, settings.repeat(_REPEATS), settings.device, settings.end)
    dtype = "bfloat16" if settings.device == "cuda" else "float32"
    return compare(
        {name: _per_pixel(time, size) for name, time in times.items()},
        BASELINE,
        {name: (dtype, _LAYOUTS[name]) for name in steps},
        {name: relative_difference(out, logits[BASELINE]) for name, out in logits.items()},
        suite=SUITE,
        case=f"VAN-{arch.upper()}, {size} x {size}",
        arch=arch,
        batch=1,
        size=size,
        metric=METRIC,
        unit="ns",
    )


def _step(model: Callable[[Tensor], Tensor], image: Tensor) -> Step:
    device = image.device.type

    def step() -> Tensor:
        amp = torch.autocast(device, torch.bfloat16, enabled=device == "cuda")
        with torch.inference_mode(), amp:
            return model(image)

    return step


def _per_pixel(time: Spread, size: int) -> Spread:
    """Nanoseconds per pixel of milliseconds per image."""
    values = asdict(time)
    return Spread(
        **{name: values[name] * 1e6 / size**2 for name in ("median", "p20", "p80")},
        repeats=time.repeats,
    )
