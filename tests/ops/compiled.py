"""Kernels that Triton's compiler translates, which needs no GPU, and that are not run."""

from collections.abc import Callable
from typing import Any

from triton.backends.compiler import GPUTarget


class Machine:
    """What the compiler asks a driver for.

    Args:
        capability: Of the GPU, such as 90 for Hopper.
    """

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)


class Compiled:
    """A kernel that is compiled for its arguments when it is launched, and not run."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.programs: list[Any] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*args: object, **options: object) -> None:
            self.programs.append(self.kernel.warmup(*args, grid=grid, **options))

        return launch
