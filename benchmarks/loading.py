"""CPU time to build a backbone and to load weights into it, beside mmpretrain's VAN.

What is loaded are tensors in memory, so that files and disks play no part. The names of another
layout are renamed while they are loaded.
"""

import time
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from settings import Settings
from table import Measurement, compare
from timing import Step, spread, turns

from mmvan import VAN
from mmvan.checkpoint import layouts

SUITE = "loading"
BASELINE = "mmpretrain"
METRICS = ("build", "load_state_dict")
FOREIGN = {
    f"mmvan, names of {layout.name}": layout
    for layout in layouts.LAYOUTS
    if layout is not layouts.MMVAN
}
FORMS = (BASELINE, "mmvan", *FOREIGN)
_REPEATS = 20


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """Building, then loading, of two sizes."""
    peers = {"b0": "tiny"} if settings.quick else {"b0": "tiny", "b2": "base"}
    for arch, of_case in settings.share(list(peers)):
        yield _measure(of_case, arch, peers[arch])


def _measure(settings: Settings, arch: str, peer_arch: str) -> list[Measurement]:
    from mmpretrain.models import VAN as PEER

    ours, peer = VAN(arch, out_indices=(3,)), PEER(peer_arch)
    own, theirs = ours.state_dict(), peer.state_dict()
    foreign = {
        form: {layout.key(key): value for key, value in own.items()}
        for form, layout in FOREIGN.items()
    }
    steps: dict[str, Mapping[str, Step]] = {
        "build": {
            BASELINE: lambda: PEER(peer_arch),
            "mmvan": lambda: VAN(arch, out_indices=(3,)),
        },
        "load_state_dict": {
            BASELINE: lambda: peer.load_state_dict(theirs),
            "mmvan": lambda: ours.load_state_dict(own),
            **{form: partial(ours.load_state_dict, state) for form, state in foreign.items()},
        },
    }
    chosen = settings.choose(FORMS, BASELINE)
    rows = []
    for metric in METRICS:
        forms = {form: step for form, step in steps[metric].items() if form in chosen}
        rows += _rows(metric, arch, forms, settings)
    return rows


def _rows(
    metric: str, arch: str, steps: Mapping[str, Step], settings: Settings
) -> list[Measurement]:
    times: dict[str, list[float]] = {form: [] for form in steps}
    for step in steps.values():
        step()
    for _ in turns(settings.repeat(_REPEATS), settings.end):
        for form, step in steps.items():
            times[form].append(_cpu_time(step))
    return compare(
        {form: spread(values) for form, values in times.items()},
        BASELINE,
        dict.fromkeys(steps, ("float32", "contiguous")),
        suite=SUITE,
        case=f"VAN-{arch.upper()}",
        arch=arch,
        batch=0,
        size=0,
        metric=metric,
        unit="ms of CPU time",
    )


def _cpu_time(step: Step) -> float:
    """Milliseconds of one run on one thread, which others on the machine do not change."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.process_time()
    step()
    milliseconds = (time.process_time() - start) * 1e3
    torch.set_num_threads(threads)
    return milliseconds
