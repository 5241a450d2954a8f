"""The part of Gluon's language that our kernels use, on PyTorch's tensors, for want of a GPU.

Programs run one after the other. What threads would do to each other is checked instead: shared
memory that was written is not to be read, nor what was read to be overwritten, before a barrier.
Layouts mean nothing here: they say which thread does what, and it is the compiler that checks them.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from triton import language as tl
from triton.runtime.jit import JITFunction

ACCUMULATORS = {tl.float32: torch.float32, tl.float64: torch.float64}


class Pointers:
    """Addresses of a tensor's numbers; arithmetic on them is that of their offsets."""

    def __init__(self, memory: Tensor, offsets: Any = 0) -> None:
        self.memory = memory
        self.offsets = offsets
        self.dtype = self
        self.element_ty = memory.dtype

    def __add__(self, offsets: Any) -> "Pointers":
        return Pointers(self.memory, self.offsets + offsets)

    def under(self, mask: Tensor) -> Tensor:
        """The offsets that are not masked, which all are in memory."""
        touched = torch.as_tensor(self.offsets).expand(mask.shape)[mask].long()
        if touched.numel():
            assert touched.min() >= 0, "before the memory"
            assert touched.max() < self.memory.numel(), "behind the memory"
        return touched


class Shared:
    """A descriptor of shared memory: a shape, from some number of a buffer on."""

    def __init__(self, buffer: "Buffer", shape: list[int], start: int, layout: Any) -> None:
        self.buffer, self.shape, self.start, self.layout = buffer, shape, start, layout
        self.dtype = buffer.numbers.dtype

    def index(self, i: Any) -> "Shared":
        assert 0 <= i < self.shape[0]
        shape = self.shape[1:]
        return Shared(
            self.buffer, shape, self.start + int(i) * torch.Size(shape).numel(), self.layout
        )

    def _reinterpret(self, dtype: torch.dtype, shape: list[int], layout: Any) -> "Shared":
        assert (dtype, layout) == (self.dtype, self.layout)
        assert self.start + torch.Size(shape).numel() <= self.buffer.numbers.numel()
        return Shared(self.buffer, shape, self.start, layout)

    def load(self, _layout: Any) -> Tensor:
        return self.buffer.read(self._span()).reshape(self.shape)

    def store(self, value: Tensor) -> None:
        assert (list(value.shape), value.dtype) == (self.shape, self.dtype)
        self.buffer.write(self._span(), value.flatten())

    def _span(self) -> slice:
        return slice(self.start, self.start + torch.Size(self.shape).numel())


class Buffer:
    """Shared memory, and what happened to it since the last barrier."""

    def __init__(self, size: int, dtype: torch.dtype) -> None:
        self.numbers = torch.full((size,), torch.nan, dtype=dtype)
        self.settle()

    def settle(self) -> None:
        self.was_read = torch.zeros(len(self.numbers), dtype=torch.bool)
        self.was_written = torch.zeros(len(self.numbers), dtype=torch.bool)

    def read(self, span: slice) -> Tensor:
        assert not self.was_written[span].any(), "read what was written since the last barrier"
        self.was_read[span] = True
        return self.numbers[span].clone()

    def write(self, span: slice, values: Tensor) -> None:
        assert not self.was_read[span].any(), "overwrote what was read since the last barrier"
        twice = self.was_written[span]
        assert (self.numbers[span] == values)[twice].all(), "wrote two values without a barrier"
        self.was_written[span] = True
        self.numbers[span] = values


class Language:
    """What a kernel finds under the name ``gl``, for one program."""

    float32, float64, int64 = torch.float32, torch.float64, torch.int64
    where, static_range = staticmethod(torch.where), range

    def __init__(self, program: int) -> None:
        self.program = program
        self.buffers: list[Buffer] = []

    def program_id(self, axis: int) -> Tensor:
        assert axis == 0
        return torch.tensor(self.program, dtype=torch.int32)

    def cdiv(self, a: Any, b: Any) -> Any:
        return (a + b - 1) // b

    def minimum(self, a: Any, b: Any) -> Any:
        return min(a, b)

    def arange(self, start: int, end: int, _layout: Any) -> Tensor:
        return torch.arange(start, end, dtype=torch.int32)

    def zeros(self, shape: tuple[int, ...], dtype: torch.dtype, _layout: Any) -> Tensor:
        return torch.zeros(shape, dtype=dtype)

    def SliceLayout(self, _dim: int, _parent: Any) -> None:  # noqa: N802
        return None

    def convert_layout(self, value: Tensor, _layout: Any) -> Tensor:
        return value

    def load(self, pointers: Pointers, mask: Tensor, other: float) -> Tensor:
        loaded = torch.full(mask.shape, other, dtype=pointers.memory.dtype)
        loaded[mask] = pointers.memory[pointers.under(mask)]
        return loaded

    def store(self, pointers: Pointers, value: Tensor, mask: Tensor) -> None:
        pointers.memory[pointers.under(mask)] = value[mask]

    def allocate_shared_memory(self, dtype: torch.dtype, shape: list[int], layout: Any) -> Shared:
        self.buffers.append(Buffer(torch.Size(shape).numel(), dtype))
        return Shared(self.buffers[-1], shape, 0, layout)

    def barrier(self) -> None:
        for buffer in self.buffers:
            buffer.settle()


class Emulated:
    """A kernel that is launched as ever and runs as Python.

    Args:
        kernel: The kernel, with the functions of its module that it calls.
        language: Made anew for each program.
    """

    def __init__(
        self, kernel: "JITFunction[Any]", language: Callable[[int], Language] = Language
    ) -> None:
        self.kernel = kernel
        self.language = language
        self.grids: list[tuple[int, ...]] = []

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*args: Any, num_warps: int, **constants: Any) -> None:
            assert num_warps in (1, 2, 4, 8)
            self.grids.append(grid)
            given = [_pointers(arg) if isinstance(arg, Tensor) else arg for arg in args]
            constants["ACC"] = ACCUMULATORS[constants["ACC"]]
            for program in range(*grid):
                self._function(program)(*given, **constants)

        return launch

    def _function(self, program: int) -> Callable[..., None]:
        names = {**self.kernel.fn.__globals__, "gl": self.language(program)}
        for name, value in self.kernel.fn.__globals__.items():
            if isinstance(value, JITFunction):
                names[name] = FunctionType(value.fn.__code__, names)
        return FunctionType(self.kernel.fn.__code__, names)


def _pointers(tensor: Tensor) -> Pointers:
    """A dense tensor, in whatever order its numbers lie."""
    return Pointers(tensor.detach().as_strided((tensor.numel(),), (1,)))
