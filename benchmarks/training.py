"""Training steps of whole classifiers: forward, backward and AdamW, ours beside mmpretrain's.

Nothing in the step is random, and all forms begin with the same weights and see the same images.
The difference of a form is that of its loss from the baseline's, relative to it, after the steps
that warm up, so that a wrong gradient shows.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from networks import QUICK, mmpretrain_van, our_van
from settings import Settings
from table import Measurement, compare
from timing import Step, relative_difference, take_turns
from torch import Tensor, nn
from typing_extensions import Self

from mmvan.ops import use_backend

SUITE = "training"
BASELINE = "mmpretrain eager"
TIME = "time"
_REPEATS = 7
_WARM_UP = 3  # Steps that also show whether a form trains as the baseline does.


@dataclass(frozen=True)
class Form:
    """A way of training.

    Args:
        options: Of :class:`mmvan.VAN`; None for mmpretrain's.
        channels_last: Convert network and images, as a user of PyTorch does.
        backend: Of our operators; None for their own choice, which is never one for GPUs.
        fused: The fused implementation of AdamW.
        compiled: ``torch.compile`` the network.
    """

    options: Mapping[str, Any] | None = field(default_factory=dict)
    channels_last: bool = False
    backend: str | None = None
    fused: bool = False
    compiled: bool = False

    def network(self, arch: str) -> nn.Module:
        """The network in training mode; of one arch all forms have the same weights."""
        peer = mmpretrain_van(arch)
        model = peer if self.options is None else our_van(arch, peer, **self.options)
        if self.channels_last:
            to_layout: Any = model.to  # Its stub leaves the argument out.
            to_layout(memory_format=torch.channels_last)
        return model.train()

    @property
    def layout(self) -> str:
        """Of the maps."""
        last = self.channels_last or (self.options or {}).get("channels_last")
        return "channels_last" if last else "contiguous"


_LAST = {"channels_last": True}
FORMS = {
    BASELINE: Form(None),
    "mmpretrain channels_last": Form(None, channels_last=True),
    "mmpretrain channels_last fused": Form(None, channels_last=True, fused=True),
    "mmpretrain compile": Form(None, compiled=True),
    "ours eager": Form(),
    "ours channels_last": Form(_LAST),
    "ours channels_last fused": Form(_LAST, fused=True),
    "ours channels_last lean": Form({**_LAST, "with_cp": "lean"}, fused=True),
    "ours channels_last with_cp": Form({**_LAST, "with_cp": True}, fused=True),
    "ours channels_last compile": Form(_LAST, fused=True, compiled=True),
}
TRITON_FORMS = {
    "ours triton": Form(_LAST, backend="triton", fused=True),
    "ours triton lean": Form({**_LAST, "with_cp": "lean"}, backend="triton", fused=True),
    "ours triton compile": Form(_LAST, backend="triton", fused=True, compiled=True),
}


def forms_on(device: str) -> dict[str, Form]:
    """The forms of a device by name."""
    return FORMS | TRITON_FORMS if device == "cuda" else FORMS


def measure(settings: Settings) -> Iterator[list[Measurement]]:
    """All forms on a device, in turns: one case."""
    forms = forms_on(settings.device)
    forms = {name: forms[name] for name in settings.choose(list(forms), BASELINE)}
    for case, of_case in settings.share([Case.on(settings)]):
        yield _measure_case(case, forms, of_case)


def _measure_case(case: "Case", forms: Mapping[str, Form], settings: Settings) -> list[Measurement]:
    torch.compiler.reset()
    images, labels = case.tensors(settings.device)
    steps: dict[str, Step] = {}
    losses: dict[str, Tensor] = {}
    for name in settings.in_time(list(forms), case):
        steps[name] = Trainer(forms[name], case.arch, images, labels).step
        losses[name] = [steps[name]() for _ in range(_WARM_UP)][-1]
    steps = {name: steps[name] for name in forms if name in steps}
    return compare(
        take_turns(steps, settings.repeat(_REPEATS), settings.device, settings.end),
        BASELINE,
        {name: (dtype_on(settings.device), form.layout) for name, form in forms.items()},
        {name: relative_difference(loss, losses[BASELINE]) for name, loss in losses.items()},
        **case.labels(SUITE),
        metric=TIME,
        unit="ms",
    )


@dataclass(frozen=True)
class Case:
    """The batch that is trained on.

    Args:
        arch: Of the network.
        batch: Images.
        size: Their height and width.
    """

    arch: str
    batch: int
    size: int

    def __str__(self) -> str:
        return f"VAN-{self.arch.upper()}, batch {self.batch}"

    @classmethod
    def on(cls, settings: Settings) -> Self:
        """The case of a device; that of a GPU keeps it busy."""
        if settings.quick:
            return cls(QUICK, 2, 32)
        return cls("b0", 128 if settings.device == "cuda" else 8, 224)

    def tensors(self, device: str) -> tuple[Tensor, Tensor]:
        """Random images (N, 3, H, W) and labels (N,), always the same."""
        torch.manual_seed(0)
        images = torch.randn(self.batch, 3, self.size, self.size)
        return images.to(device), torch.randint(1000, (self.batch,)).to(device)

    def labels(self, suite: str) -> dict[str, Any]:
        """What the rows of a suite have in common."""
        sizes = {"arch": self.arch, "batch": self.batch, "size": self.size}
        return {"suite": suite, "case": str(self), **sizes}


def dtype_on(device: str) -> str:
    """What training computes in: AMP on a GPU."""
    return "bfloat16" if device == "cuda" else "float32"


class Trainer:
    """A network in training on one batch.

    Args:
        form: How it is trained.
        arch: Of the network.
        images: Of shape (N, 3, H, W).
        labels: Of shape (N,).

    Attributes:
        model (nn.Module): The network.
        images (Tensor): In the layout of the form.
    """

    def __init__(self, form: Form, arch: str, images: Tensor, labels: Tensor) -> None:
        self.model = form.network(arch).to(images.device)
        layout = torch.channels_last if form.channels_last else torch.contiguous_format
        self.images = images.contiguous(memory_format=layout)
        self._labels = labels
        self._backend = form.backend
        self._run: Callable[[Tensor], Tensor] = (
            torch.compile(self.model) if form.compiled else self.model
        )
        self._optimizer = torch.optim.AdamW(self.model.parameters(), 1e-3, fused=form.fused or None)

    def loss(self) -> Tensor:
        """Forward: the loss, a scalar."""
        with self._amp():
            return F.cross_entropy(self.logits(), self._labels)

    def logits(self) -> Tensor:
        """Forward: those of the batch, of shape (N, 1000)."""
        with use_backend(self._backend), self._amp():
            return self._run(self.images)

    def _amp(self) -> torch.autocast:
        device = self.images.device.type
        return torch.autocast(device, torch.bfloat16, enabled=device == "cuda")

    def step(self) -> Tensor:
        """A whole step; the loss before it."""
        loss = self.loss()
        with use_backend(self._backend):  # What is recomputed must be as it was computed.
            loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        return loss.detach()
