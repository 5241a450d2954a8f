"""Activation checkpointing that leaves BatchNorm's running statistics right."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def checkpoint_block(block: nn.Module, x: Tensor) -> Tensor:
    """Run a block without keeping its activations; they are computed again in the backward pass.

    The second computation uses the batch's statistics, as the first did, but does not enter them
    into the running statistics again.

    Args:
        block: Any module of one input and one output.
        x: Its input, which must require a gradient.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _without_tracking(block)

    return checkpoint(block, x, use_reentrant=False, context_fn=contexts)


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
