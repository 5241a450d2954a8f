"""Inference of whole classifiers: mmpretrain's VAN, ours in all its forms, and other networks.

A form is a network in a runtime: mmpretrain's network, ours, or ours folded. The difference of a
form is the largest one of its logits from the baseline's, relative to the largest logit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from networks import OTHERS, QUICK, mmpretrain_van, other_network, our_van, published_top1
from runtimes import Deployment, Runtime, runtimes_on
from settings import Settings, is_compiled
from table import Measurement, compare
from timing import Step, relative_difference, spread, take_turns
from torch import Tensor

from mmvan.deploy import fold

SUITE = "inference"
BASELINE = "mmpretrain eager"
TIME, PUBLISHED = "time", "published top-1"
_REPEATS = 9
# Patterns of forms. Compiling takes about a minute per form and network.
_ALL = ("*",)
_UNCOMPILED = ("* eager", "* channels_last", "* triton", "* ONNX Runtime*", "* OpenVINO*")
_COMPILING = 10.0  # As much time as of other forms.
_FEW = (
    *("mmpretrain eager", "mmpretrain channels_last", "mmpretrain ONNX Runtime"),
    *("mmpretrain OpenVINO", "ours eager", "folded channels_last", "folded triton"),
    *("folded ONNX Runtime", "folded OpenVINO"),
)


@dataclass(frozen=True)
class Case:
    """A network on a batch.

    Args:
        arch: Of VAN, or one of the other networks.
        batch: Images.
        size: Their height and width.
        forms: Patterns of the forms that are measured.
    """

    arch: str
    batch: int
    size: int = 224
    forms: Sequence[str] = _FEW

    def __str__(self) -> str:
        name = self.arch if self.arch in OTHERS else f"VAN-{self.arch.upper()}"
        return f"{name}, batch {self.batch}"

    def has(self, form: str) -> bool:
        """Whether a form is measured; of the other networks there is mmpretrain's alone."""
        exists = self.arch not in OTHERS or form.startswith("mmpretrain")
        return exists and any(fnmatch(form, pattern) for pattern in self.forms)


CPU_CASES = (
    Case("b0", 8, forms=_ALL),
    Case("b2", 1, forms=_ALL),
    Case("b2", 8, forms=_UNCOMPILED),
    *(Case(name, 8) for name in ("b1", "b3", *OTHERS)),
)
CUDA_CASES = (
    *(Case(arch, 128, forms=_ALL) for arch in ("b0", "b2")),
    *(Case(name, 128) for name in ("b1", "b3", *OTHERS)),
)
QUICK_CASES = (Case(QUICK, 2, 32, forms=_ALL), Case("ResNet-50", 1, 32))


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """Each case on a device, and the published accuracy of its network."""
    forms = forms_on(settings.device)
    names = settings.choose(list(forms), BASELINE)

    def cost(case: Case) -> float:
        return sum(_COMPILING if is_compiled(name) else 1.0 for name in names if case.has(name))

    for case, of_case in settings.share(_cases(settings), cost):
        chosen = {name: forms[name] for name in names if case.has(name)}
        yield [*_published(case), *_measure_case(case, chosen, of_case)]


def forms_on(device: str) -> dict[str, tuple[str, Runtime]]:
    """Every form of a device: its network and the runtime of that."""
    return {
        f"{network} {name}": (network, runtime)
        for network in ("mmpretrain", "ours", "folded")
        for name, runtime in runtimes_on(device, network).items()
    }


def _cases(settings: Settings) -> Sequence[Case]:
    if settings.quick:
        return QUICK_CASES
    return CUDA_CASES if settings.device == "cuda" else CPU_CASES


def _deployments(case: Case, settings: Settings, folder: Path) -> dict[str, Deployment]:
    """The networks of a case, with the same weights, on the same images."""
    peer = other_network(case.arch) if case.arch in OTHERS else mmpretrain_van(case.arch)
    networks = {"mmpretrain": peer}
    if case.arch not in OTHERS:
        ours = our_van(case.arch, peer)
        networks |= {"ours": ours, "folded": fold(ours)}
    shape = (case.batch, 3, case.size, case.size)
    images = torch.randint(256, shape, dtype=torch.uint8).to(settings.device)
    return {
        name: Deployment(
            model=model.to(settings.device),
            pixels=images,
            threads=settings.threads,
            folder=folder / name,
            is_ours=name != "mmpretrain",
        )
        for name, model in networks.items()
    }


def _measure_case(
    case: Case, forms: Mapping[str, tuple[str, Runtime]], settings: Settings
) -> list[Measurement]:
    torch.compiler.reset()  # Each network would count as a change of the one before.
    with TemporaryDirectory() as folder:
        deployments = _deployments(case, settings, Path(folder))
        steps: dict[str, Step] = {}
        logits: dict[str, Tensor] = {}
        for form in settings.in_time(list(forms), case):
            name, runtime = forms[form]
            steps[form] = runtime.start(deployments[name])
            logits[form] = steps[form]()
        steps = {form: steps[form] for form in forms if form in steps}
        times = take_turns(steps, settings.repeat(_REPEATS), settings.device, settings.end)
    return compare(
        times,
        BASELINE,
        {form: (runtime.dtype, runtime.layout) for form, (_, runtime) in forms.items()},
        {form: relative_difference(out, logits[BASELINE]) for form, out in logits.items()},
        **_labels(case),
        metric=TIME,
        unit="ms",
    )


def _labels(case: Case) -> dict[str, Any]:
    sizes = {"arch": case.arch, "batch": case.batch, "size": case.size}
    return {"suite": SUITE, "case": str(case), **sizes}


def _published(case: Case) -> list[Measurement]:
    top1 = published_top1()
    if case.arch not in top1:
        return []
    return [
        Measurement(
            **_labels(case),
            form="published",
            dtype="",
            layout="",
            metric=PUBLISHED,
            unit="%",
            **asdict(spread([top1[case.arch]])),
        )
    ]
