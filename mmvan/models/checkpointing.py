"""Activation checkpointing: the same numbers in less memory, for some computation done twice.

Regions must be parts of a block that keep no statistics. A whole block has BatchNorm inside, whose
running statistics must see each batch once.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmvan.ops.observers import is_recorded


def checkpoint_region(
    region: Callable[[Tensor], Tensor], x: Tensor, *, random: bool = False
) -> Tensor:
    """Run a part of a block and keep its input alone for the backward pass.

    The second computation stops as soon as it has what the operators of the region read, so the
    last operator never runs again: a region that ends in a convolution repeats what is before it.

    Args:
        region: A function of one input without running statistics.
        x: Its input.
        random: Whether it draws random numbers; the second computation then draws the same.

    Returns:
        Tensor: ``region(x)``.
    """
    if not _needs_backward(x):
        return region(x)
    return checkpoint(region, x, use_reentrant=False, preserve_rng_state=random)


def checkpoint_block(block: nn.Module, x: Tensor) -> Tensor:
    """Run a block and keep its input alone for the backward pass.

    The second computation uses the batch's statistics, as the first did, but does not enter them
    into the running statistics again.

    Args:
        block: Any module of one input and one output.
        x: Its input.

    Returns:
        Tensor: ``block(x)``.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _without_tracking(block)

    if not _needs_backward(x):
        return block(x)
    if torch.compiler.is_compiling():  # Compiled graphs repeat no update of a buffer.
        return checkpoint(block, x, use_reentrant=False)
    return checkpoint(block, x, use_reentrant=False, context_fn=contexts)


def _needs_backward(x: Tensor) -> bool:
    return not is_recorded(x) and torch.is_grad_enabled() and x.requires_grad


@contextmanager
def _without_tracking(block: nn.Module) -> Iterator[None]:
    # Momentum 0 rather than ``track_running_stats = False``: the recomputation has to save the
    # same tensors as the first computation did, and the running statistics are among them.
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, num_batches_tracked) in zip(norms, saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches_tracked
