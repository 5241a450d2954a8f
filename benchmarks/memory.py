"""Memory that a training step takes: what is kept for backward, and the peak.

What autograd keeps is counted exactly: each storage once, without weights and images. The peak is
the most that is allocated at one time beyond what lies there before the step: by PyTorch's own
counter on a GPU, from the profiler's record of allocations on a CPU (which does not know what
oneDNN takes inside). The figures do not vary, so that there are no repeats.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import torch
from settings import Settings
from table import Measurement, compare
from timing import spread
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile
from training import BASELINE, Case, Form, Trainer, dtype_on, forms_on

SUITE = "memory"
KEPT, PEAK = "kept for backward", "peak of a step"
_MIB = 2**20


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """All forms of training that keep other things, on a device: one case."""
    # How the optimizer computes is all the same here, and compiling takes minutes.
    forms = forms_on(settings.device)
    names = [name for name in forms if not name.endswith(("fused", "compile"))]
    forms = {name: forms[name] for name in settings.choose(names, BASELINE)}
    for case, of_case in settings.share([Case.on(settings)]):
        yield _measure_case(case, forms, of_case)


def _measure_case(case: Case, forms: Mapping[str, Form], settings: Settings) -> list[Measurement]:
    kept: dict[str, float] = {}
    peak: dict[str, float] = {}
    for name in settings.in_time(list(forms), case):
        trainer = Trainer(forms[name], case.arch, *case.tensors(settings.device))
        trainer.step()  # Makes the optimizer's state.
        kept[name] = _kept_for_backward(trainer) / _MIB
        peak[name] = _peak(trainer, settings.device) / _MIB
    kinds = {name: (dtype_on(settings.device), form.layout) for name, form in forms.items()}
    return [
        row
        for metric, values in ((KEPT, kept), (PEAK, peak))
        for row in compare(
            {name: spread([value]) for name, value in values.items()},
            BASELINE,
            kinds,
            **case.labels(SUITE),
            metric=metric,
            unit="MiB",
        )
    ]


def _kept_for_backward(trainer: Trainer) -> int:
    """Bytes of the storages that the graph of one forward pass holds."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = trainer.loss()
    for tensor in (*trainer.model.state_dict().values(), trainer.images):
        sizes.pop(tensor.untyped_storage().data_ptr(), None)
    del loss  # The graph had to live until here, or storages could share an address.
    return sum(sizes.values())


def _peak(trainer: Trainer, device: str) -> int:
    """The most bytes allocated during a step, beyond those before it."""
    if device == "cuda":
        return _peak_on_gpu(trainer.step)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        trainer.step()
    events = [event for event in _events(record) if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate(event.nbytes() for event in events))


def _events(record: profile) -> list[Any]:
    """What the profiler saw, uncondensed: its tables sum allocations and frees per operator."""
    if record.profiler is None or record.profiler.kineto_results is None:
        raise RuntimeError("the profiler of this PyTorch recorded nothing")
    return list(record.profiler.kineto_results.events())


def _peak_on_gpu(step: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
