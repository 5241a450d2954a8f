"""Stopping, or skipping, a training step whose loss or gradients are not finite."""

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmvan.engine.nan_file import Reproducer, write_reproducer
from mmvan.engine.nan_trace import Finding, trace_step
from mmvan.engine.random_state import get_random_state
from mmvan.errors import ConfigError, DataError, TrainingError
from mmvan.registry import HOOKS

ACTIONS = ("stop", "skip")
# Iterations between looks at the scale of a GradScaler, each of which waits for the GPU.
_SCALE_INTERVAL = 50
# An unscaled gradient that float16 cannot hold is not one of the overflows by which a GradScaler,
# which starts at 65536, finds its scale.
_SMALLEST_SCALE = 1.0
_FILES = 8


@HOOKS.register_module()
class NaNGuardHook(Hook):
    """Stop or skip a step whose loss or gradients are not finite, and say where they come from.

    The weights, the optimizer's state and the buffers stay as they were before the step. The step
    is repeated on a copy of the model, layer by layer, and an error or a warning names the first
    layer with a non-finite value, its values, and the files of the batch. The step is saved as
    ``<work_dir>/nan_<iteration>.pth``; ``tools/replay_nan.py`` repeats it.

    One number is computed per step, from the norm of the gradients (which float32 holds up to
    1.8e19) and the losses. On CPUs it is looked
    at before the optimizer steps. On GPUs it goes to the optimizer, which leaves out the step by
    itself (``found_inf``, as for PyTorch's GradScaler), and is looked at after the iteration, where
    MMEngine has already waited for the GPU to log the loss. Only an optimizer without
    ``fused=True`` on a GPU makes the process wait before it steps.

    With a GradScaler (float16), overflows of the scaled gradients are its normal search and left
    to it; a loss that is not finite, or a scale below 1, is reported.

    Args:
        action: ``stop`` ends the run; ``skip`` goes on without the step.
        max_consecutive_skips: Steps in a row that may be skipped before the run ends.
        max_skips: Steps of the run that may be skipped before it ends.

    Raises:
        ConfigError: An argument is out of its range.
        TrainingError: In training, when the run ends.
    """

    priority = "ABOVE_NORMAL"  # Buffers are put back before EMAHook averages them.

    def __init__(
        self, action: str = "stop", max_consecutive_skips: int = 5, max_skips: int = 100
    ) -> None:
        if action not in ACTIONS:
            raise ConfigError(
                f"NaNGuardHook.action is {action!r}; expected one of {', '.join(ACTIONS)}"
            )
        self.action = action
        self.max_consecutive_skips = max_consecutive_skips
        self.max_skips = max_skips
        self._skips = self._consecutive = 0
        self._handles: list[Any] = []
        self._batches: list[tuple[Any, dict[str, Any]]] = []
        self._losses: list[Tensor] = []
        self._buffers: list[Tensor] = []
        self._kept: list[Tensor] = []
        self._flags: list[_Flag] = []
        self._stepped = self._was_bad = False
        self._lent = False
        self._busy = False

    def before_run(self, runner: Any) -> None:
        """Listen to the runner's model and optimizers, and to nothing else."""
        if not isinstance(runner.optim_wrapper, (OptimWrapper, OptimWrapperDict)):
            return  # A run that does not train.
        model = _unwrap(runner.model)
        self._handles = [
            model.data_preprocessor.register_forward_pre_hook(self._before_forward(model)),
            runner.model.register_forward_hook(self._after_forward()),
        ]
        for wrapper in _wrappers(runner):
            self._handles += [
                wrapper.optimizer.register_step_pre_hook(self._before_step(runner, wrapper)),
                wrapper.optimizer.register_step_post_hook(self._after_step()),
            ]

    def after_train(self, runner: Any) -> None:
        """Listen no longer."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._batches, self._kept = [], [], []

    def after_train_iter(self, runner: Any, batch_idx: int, *_: Any, **__: Any) -> None:
        """Look at what the GPU found in this iteration's step."""
        scaled = [wrapper for wrapper in _wrappers(runner) if _scaler(wrapper) is not None]
        if scaled and not self._stepped and self._losses and scaled[0].should_update():
            # The scaler found an overflow and did not call the optimizer.
            self._flags = [_Flag(self._measure([]))]
            self._stepped = True
        flags, self._flags = self._flags, []
        if any(flag.is_set() for flag in flags):
            self._act(runner)
        if scaled and runner.iter % _SCALE_INTERVAL == 0:
            self._check_scale(runner, scaled[0])
        if self._stepped:
            self._consecutive = self._consecutive if self._was_bad else 0
            self._batches = []
        self._stepped = self._was_bad = False

    def _check_scale(self, runner: Any, wrapper: Any) -> None:
        scale = _scaler(wrapper).get_scale()
        if scale < _SMALLEST_SCALE:
            report = self._report(runner, self._batches, save=True)
            raise TrainingError(
                f"{report} The loss scale has fallen to {scale:g}: step after step the gradients "
                "overflow float16 even unscaled, and are left out. Use --amp bf16, or a smaller "
                "learning rate."
            )

    def _before_forward(self, model: nn.Module) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            if not module.training or self._busy:
                return
            if not self._batches:
                self._keep_buffers(model)
            self._batches.append((args[0], get_random_state()))

        return hook

    def _after_forward(self) -> Callable[..., None]:
        def hook(module: nn.Module, _: Any, output: Any) -> None:
            if module.training and not self._busy and isinstance(output, Mapping):
                self._losses.extend(_loss_values(output))

        return hook

    def _before_step(self, runner: Any, wrapper: Any) -> Callable[..., None]:
        def hook(optimizer: Any, *_: Any) -> None:
            gradients: list[Tensor] = []
            if _scaler(wrapper) is None:
                gradients = [p.grad for p in _parameters(optimizer) if p.grad is not None]
            flag = self._measure(gradients)
            self._stepped = True
            if flag.is_cuda and _skips_by_itself(optimizer):
                found = getattr(optimizer, "found_inf", None)  # the scaler's, who removes it
                self._lent = found is None
                optimizer.found_inf = flag if found is None else torch.maximum(found, flag)
                self._flags.append(_Flag(flag))
            elif flag:
                self._act(runner)
                for parameter in _parameters(optimizer):
                    parameter.grad = None  # Optimizers pass such parameters over.

        return hook

    def _after_step(self) -> Callable[..., None]:
        def hook(optimizer: Any, *_: Any) -> None:
            if self._lent:
                del optimizer.found_inf
            self._lent = False

        return hook

    def _measure(self, gradients: list[Tensor]) -> Tensor:
        """One where a gradient or a loss of any process is not finite, else zero.

        Returns:
            Tensor: A float32 scalar on the device of the losses; the process does not wait for it.
        """
        values = self._losses
        if gradients:
            norm = nn.utils.get_total_norm(gradients)
            values = [*values, norm.float()]
        self._losses = []
        # Zero times a number is zero, or NaN if the number is not finite.
        flag = (torch.stack(values or [torch.zeros(())]) * 0).sum().isnan().float()
        dist.all_reduce(flag, "max")
        return flag

    def _act(self, runner: Any) -> None:
        """Explain a bad step, and end the run or go on without it.

        Raises:
            TrainingError: The run ends.
        """
        self._skips += 1
        self._consecutive += 1
        self._was_bad = True
        self._restore_buffers()
        stops = self.action == "stop" or self._is_over_limit()
        message = self._report(runner, self._batches, save=stops or self._skips == 1)
        if stops:
            over = f" {self._count()} were skipped." if self.action == "skip" else ""
            raise TrainingError(message + over)
        runner.logger.warning(f"{message} The step is skipped ({self._count()} so far).")

    def _is_over_limit(self) -> bool:
        return self._consecutive > self.max_consecutive_skips or self._skips > self.max_skips

    def _count(self) -> str:
        return f"{self._consecutive} in a row, {self._skips} in all"

    def _keep_buffers(self, model: nn.Module) -> None:
        """Copy the buffers, in which BatchNorm's statistics are: a forward pass changes them."""
        if not self._kept:
            self._buffers = list(model.buffers())
            self._kept = [buffer.clone() for buffer in self._buffers]
        elif self._buffers:
            torch._foreach_copy_(self._kept, self._buffers)

    def _restore_buffers(self) -> None:
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._kept)

    def _report(self, runner: Any, batches: list[tuple[Any, dict[str, Any]]], save: bool) -> str:
        self._busy = True
        try:
            finding, reason = _trace(runner, batches)
        finally:
            self._busy = False
        blamed = batches[finding.batch : finding.batch + 1] if finding else batches
        own = (str(finding) if finding else None, list_files([batch for batch, _ in blamed]))
        everyone = dist.all_gather_object(own)
        rank = next((rank for rank, (found, _) in enumerate(everyone) if found), 0)
        found, files = everyone[rank]
        where = f"iteration {runner.iter + 1}: {found or f'loss or gradients not finite; {reason}'}"
        process = f" Process {rank}." if len(everyone) > 1 else ""
        message = (
            f"{where}.{process} Files: {', '.join(files) or 'not stated by the batch'}. "
            f"{_largest_settings(runner)}"
        )
        if not save:
            return message
        file = Path(runner.work_dir, f"nan_{runner.iter + 1}.pth")
        fault = _save(runner, batches, file, message) if dist.get_rank() == rank else ""
        fault = dist.all_gather_object(fault)[rank]
        return f"{message} {fault or f'Repeat it by: python tools/replay_nan.py {file}.'}"


def _largest_settings(runner: Any) -> str:
    """The learning rate and weight decay of the step, too large ones of which end in NaN."""
    groups = [group for wrapper in _wrappers(runner) for group in wrapper.param_groups]
    largest = {name: max(group.get(name, 0) for group in groups) for name in ("lr", "weight_decay")}
    return f"Largest {', '.join(f'{name} {value:.3g}' for name, value in largest.items())}."


class _Flag:
    """A number on its way from a GPU, for which nobody waits until it is asked for."""

    def __init__(self, number: Tensor) -> None:
        self._number = number.to("cpu", non_blocking=True)
        self._event = None
        if number.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record()

    def is_set(self) -> bool:
        if self._event is not None:
            self._event.synchronize()
        return bool(self._number)


def list_files(batch: Any) -> list[str]:
    """The files of a batch's images, as its data samples state them, the first few only."""
    found = list(dict.fromkeys(_iterate_files(batch)))
    more = [f"and {len(found) - _FILES} more"] if len(found) > _FILES else []
    return found[:_FILES] + more


def _iterate_files(value: Any) -> Iterable[str]:
    if isinstance(value, BaseDataElement):
        path = value.metainfo.get("img_path")
        yield from [str(path)] if path else []
    elif isinstance(value, (Mapping, list, tuple)):
        for child in value.values() if isinstance(value, Mapping) else value:
            yield from _iterate_files(child)


def _skips_by_itself(optimizer: torch.optim.Optimizer) -> bool:
    return all(group.get("fused") for group in optimizer.param_groups)


def _trace(runner: Any, batches: list[tuple[Any, dict[str, Any]]]) -> tuple[Finding | None, str]:
    """What a copy of the model shows, or why it shows nothing."""
    for parameter in runner.model.parameters():
        parameter.grad = None  # Room for the copy; the step is not taken.
    try:
        model = copy.deepcopy(_unwrap(runner.model)).train()
        trace = trace_step(model, batches, _context(runner, model), _scale(runner))
    except RuntimeError as error:  # Such as a GPU's memory that does not hold a copy.
        return None, f"looking for the layer failed: {error}"
    return trace.finding, "all values were finite when the step was repeated layer by layer"


def _save(runner: Any, batches: list[tuple[Any, dict[str, Any]]], file: Path, message: str) -> str:
    """Write the step into a file; returns what prevented it."""
    wrapper = next(iter(_wrappers(runner)))
    precision = None
    if hasattr(wrapper, "cast_dtype"):
        precision = str(wrapper.cast_dtype or torch.float16).removeprefix("torch.")
    reproducer = Reproducer(
        config=runner.cfg.to_dict(),
        state_dict=_unwrap(runner.model).state_dict(),
        batches=batches,
        precision=precision,
        scale=_scale(runner),
        message=message,
    )
    try:
        write_reproducer(file, reproducer)
    except (OSError, DataError) as error:
        return f"The step could not be saved: {error}."
    return ""


def _context(runner: Any, model: nn.Module) -> Callable[[], AbstractContextManager[Any]]:
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return nullcontext
    return lambda: wrapper.optim_context(model)


def _scale(runner: Any) -> float:
    scaler = _scaler(next(iter(_wrappers(runner))))
    return 1.0 if scaler is None else float(scaler.get_scale())


def _scaler(wrapper: Any) -> Any:
    """The GradScaler of an optimizer wrapper that scales."""
    scaler = getattr(wrapper, "loss_scaler", None)
    return scaler if scaler is not None and scaler.is_enabled() else None


def _wrappers(runner: Any) -> list[Any]:
    wrapper = runner.optim_wrapper
    return list(wrapper.values()) if isinstance(wrapper, OptimWrapperDict) else [wrapper]


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _loss_values(losses: Mapping[str, Any]) -> Iterable[Tensor]:
    """What MMEngine adds to the total loss: every value with ``loss`` in its name."""
    for name, value in losses.items():
        for tensor in value if isinstance(value, (list, tuple)) else [value]:
            if "loss" in name and isinstance(tensor, Tensor):
                yield tensor.detach().float().sum()


def _unwrap(model: Any) -> Any:
    return model.module if is_model_wrapper(model) else model
