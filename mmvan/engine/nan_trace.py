"""Finding the layer of a model that the first non-finite value comes from."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from mmvan.engine.random_state import get_random_state, set_random_state

_STAGE = re.compile(r"^(.*?)\.?stages\.(\d+)")


@dataclass(frozen=True)
class Values:
    """What is in a tensor.

    Args:
        dtype: Its number format, such as ``float16``.
        low: The smallest finite value; NaN where there is none.
        high: The largest finite value; NaN where there is none.
        nans: How many are not a number.
        infs: How many are infinite.
    """

    dtype: str
    low: float
    high: float
    nans: int
    infs: int

    @classmethod
    def of(cls, tensor: Tensor) -> "Values":
        """Look at a tensor of floating-point numbers."""
        tensor = tensor.detach()
        finite = tensor[tensor.isfinite()].float()
        low, high = torch.aminmax(finite) if finite.numel() else (torch.nan, torch.nan)
        dtype = str(tensor.dtype).removeprefix("torch.")
        nans, infs = int(tensor.isnan().sum()), int(tensor.isinf().sum())
        return cls(dtype, float(low), float(high), nans, infs)

    @property
    def finite(self) -> bool:
        """Whether every value is."""
        return not self.nans and not self.infs

    @property
    def kind(self) -> str:
        """The name of what is not finite."""
        if self.infs and self.dtype == "float16":
            return f"float16 overflow, beyond {torch.finfo(torch.float16).max:.0f}"
        return " and ".join(["NaN"] * bool(self.nans) + ["inf"] * bool(self.infs))

    def __str__(self) -> str:
        bad = f", {self.nans} NaN, {self.infs} inf" if not self.finite else ""
        if math.isnan(self.low):
            return f"{self.dtype}{bad}"
        return f"{self.dtype} {self.low:.4g} to {self.high:.4g}{bad}"


@dataclass(frozen=True)
class Finding:
    """Where the first non-finite value comes from.

    Args:
        where: What produced it, as in ``the forward pass of backbone.stages.0.blocks.0.attn``.
        layer: Name of the layer in the model, empty where it is none.
        values: What is in the tensor.
        entered: What went into the layer, where it is known.
        batch: Which of the batches of the step it was, from 0.
    """

    where: str
    layer: str
    values: Values
    entered: Values | None = None
    batch: int = 0

    def __str__(self) -> str:
        match = _STAGE.match(self.layer)
        stage = f" (stage {int(match[2]) + 1} of {match[1] or 'the model'})" if match else ""
        entered = f"; what enters it: {self.entered}" if self.entered else ""
        return f"{self.values.kind} first in {self.where}{stage}: {self.values}{entered}"


@dataclass
class Trace:
    """All that was seen in a step.

    Args:
        finding: The first non-finite value, or None if there is none.
        outputs: What each layer returned, by its name, in the order of computing.
        losses: The losses by name, as they would be logged, of every batch.
    """

    finding: Finding | None = None
    outputs: dict[str, Values] = field(default_factory=dict)
    losses: list[dict[str, Tensor]] = field(default_factory=list)


def trace_step(
    model: Any,
    batches: Sequence[tuple[Any, dict[str, Any]]],
    context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    scale: float = 1.0,
) -> Trace:
    """Repeat the forward and backward passes of a step, and look at every layer.

    The random generators are left as they were. All passes are made, whatever is found, so that
    processes whose layers talk to each other stay together.

    Args:
        model: MMEngine's BaseModel, in training mode; a copy, for its buffers and gradients change.
        batches: What the loader gave, and the random state in which the model received it.
        context: Makes the context of the forward pass, such as autocast.
        scale: What the loss is multiplied by before the backward pass.

    Returns:
        Trace: What was seen.
    """
    trace, before = Trace(), get_random_state()
    _check_weights(model, trace)
    try:
        for index, (batch, state) in enumerate(batches):
            tracer = _Tracer(trace, index)
            set_random_state(state)
            wrapper = _BackwardOnly(context, scale)
            with tracer.listening_to(model):
                losses = model.train_step(batch, wrapper)
                trace.losses.append(losses)
                tracer.check_losses(losses)
    finally:
        set_random_state(before)
    return trace


def iterate_tensors(value: Any) -> Iterator[Tensor]:
    """All floating-point tensors in nested containers and the frameworks' structures."""
    if isinstance(value, Tensor):
        if value.is_floating_point() and value.numel():
            yield value
    elif isinstance(value, Mapping):
        for child in value.values():
            yield from iterate_tensors(child)
    elif isinstance(value, (list, tuple)):
        for child in value:
            yield from iterate_tensors(child)
    elif isinstance(value, BaseDataElement):
        yield from iterate_tensors(value.values())
    elif isinstance(getattr(value, "tensor", None), Tensor):  # mmdet's boxes
        yield from iterate_tensors(value.tensor)


class _BackwardOnly:
    """Stands for the optimizer wrapper in ``train_step``, and never steps."""

    def __init__(self, context: Callable[[], AbstractContextManager[Any]], scale: float) -> None:
        self._context = context
        self._scale = scale

    @contextmanager
    def optim_context(self, _: nn.Module) -> Iterator[None]:
        with self._context():
            yield

    def update_params(self, loss: Tensor, *_: Any, **__: Any) -> None:
        if loss.requires_grad:
            (loss * self._scale).backward()


def _check_weights(model: nn.Module, trace: Trace) -> None:
    for name, parameter in model.named_parameters():
        values = Values.of(parameter) if parameter.numel() else None
        if values and not values.finite:
            trace.finding = Finding(f"the weights before the step: {name}", name, values)
            return


@dataclass
class _Link:
    """A tensor between layers: who returned it, and who took it."""

    node: Any
    source: str
    users: list[str] = field(default_factory=list)


class _Tracer:
    def __init__(self, trace: Trace, batch: int) -> None:
        self._trace = trace
        self._batch = batch
        self._entered: dict[str, Values | None] = {}
        self._links = WeakTensorKeyDictionary()

    @contextmanager
    def listening_to(self, model: nn.Module) -> Iterator[None]:
        with ExitStack() as stack:
            for name, module in model.named_modules():
                if not name:
                    continue
                for handle in (
                    module.register_forward_pre_hook(self._before(name), with_kwargs=True),
                    module.register_forward_hook(self._after(name)),
                ):
                    stack.callback(handle.remove)
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    stack.callback(parameter.register_hook(self._weight_gradient(name)).remove)
            yield

    def check_losses(self, losses: Mapping[str, Tensor]) -> None:
        # MMEngine puts their sum, named "loss", first.
        for name in sorted(losses, key="loss".__eq__):
            if "loss" in name and isinstance(losses[name], Tensor):
                where = f"the value of {name}, from finite layers"
                self._note(where, "", losses[name], forward=True)

    def _note(
        self,
        where: str,
        layer: str,
        tensor: Tensor,
        entered: Values | None = None,
        *,
        forward: bool = False,
    ) -> None:
        found = self._trace.finding
        # The losses are seen after the backward pass, but come before it.
        replaces = forward and found is not None and found.where.startswith("the gradient")
        if (found is None or replaces) and not bool(tensor.isfinite().all()):
            self._trace.finding = Finding(where, layer, Values.of(tensor), entered, self._batch)

    def _before(self, name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, kwargs: Any) -> None:
            tensors = list(iterate_tensors((args, kwargs)))
            parent = name.rpartition(".")[0]
            where = f"what {parent or 'the model'} computes before {name}"
            if name.endswith("data_preprocessor"):
                where = "the batch itself"
            for tensor in tensors:
                self._note(where, parent, tensor)
                self._link(tensor).users.append(name)
            self._entered[name] = Values.of(tensors[0]) if tensors else None

        return hook

    def _after(self, name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            for tensor in iterate_tensors(output):
                entered = self._entered.get(name)
                self._note(f"the forward pass of {name}", name, tensor, entered)
                self._trace.outputs[name] = Values.of(tensor)
                self._link(tensor).source = name

        return hook

    def _link(self, tensor: Tensor) -> _Link:
        """What is known of a tensor; one that was changed in place is another one."""
        link: _Link | None = self._links.get(tensor)
        if link is None or link.node is not tensor.grad_fn:
            link = self._links[tensor] = _Link(tensor.grad_fn, "")
            if tensor.requires_grad:
                tensor.register_hook(self._gradient(link))
        return link

    def _gradient(self, link: _Link) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            innermost = [
                user
                for user in link.users
                if not any(other.startswith(f"{user}.") for other in link.users)
            ]
            if innermost:
                layer, where = innermost[-1], f"the gradient from {' and '.join(innermost)}"
            else:
                layer = link.source.rpartition(".")[0]
                where = f"the gradient from what follows {link.source} in {layer or 'the model'}"
            self._note(where, layer, gradient)

        return hook

    def _weight_gradient(self, name: str) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            self._note(f"the gradient of {name}", name, gradient)

        return hook
