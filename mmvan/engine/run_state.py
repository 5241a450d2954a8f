"""What a run has in memory that MMEngine's checkpoints leave out.

Of every process: the buffers of the model and of its average, such as BatchNorm's statistics, which
differ between processes while MMEngine saves those of the first; gradients that wait for more
batches to be added; and what hooks have counted in that process alone. Of the run: what hooks
count, by which operators it computes, and what of the data it has had.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import EarlyStoppingHook, EMAHook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmvan.data.shares import Position, batch_size_of, shares_are_known
from mmvan.engine.counts import counts_of, give_counts
from mmvan.ops import describe_choice, requested_backend, restore_choice
from mmvan.tune.hook import TuneHook

# Counters of MMEngine's hooks that it forgets; other hooks may have `state_dict` themselves.
_COUNTERS: Mapping[type, tuple[str, ...]] = {EarlyStoppingHook: ("wait_count", "best_score")}
# Of DistributedDataParallel: whether the next forward pass sends the first process's buffers to the
# others. It does not behind a batch whose gradients wait for more to be added.
_SENDS_BUFFERS = "require_forward_param_sync"


class RunState:
    """Gathers the state of all processes before a checkpoint, and gives it back on resume.

    Attributes:
        gathered: What goes into the checkpoint: tensors and plain values alone.
        loaded: What came from the checkpoint that is resumed, or None.
    """

    def __init__(self) -> None:
        self.gathered: dict[str, Any] = {}
        self.loaded: dict[str, Any] | None = None
        self._data_of_others = False

    def gather(self, runner: Runner) -> None:
        """Collect the state; every process calls it."""
        own = {
            "buffers": _buffers(runner),
            "gradients": _gradients(_plain_model(runner)),
            "sends_buffers": getattr(runner.model, _SENDS_BUFFERS, None),
            "counts": counts_of(runner.hooks),
        }
        states = {_name_of(hook): _hook_state(hook) for hook in runner.hooks}
        self.gathered = {
            "ranks": all_gather_object(own) if get_world_size() > 1 else [own],
            "hooks": {name: state for name, state in states.items() if state},
            "operators": describe_choice(),
            "arithmetic": _arithmetic(runner),
        }

    def add_position(self, runner: Runner, meta: Mapping[str, Any]) -> None:
        """Note what of the data a checkpoint has behind it; ``meta`` is the checkpoint's."""
        loop = runner.train_loop
        if hasattr(loop, "position"):
            self.gathered["position"] = loop.position(meta["epoch"], meta["iter"]).to_plain()

    def add_validation(self, runner: Runner, validated: bool) -> None:
        """Note whether the validation that is due here is done, and whether it ended the run."""
        if validated:
            self.gathered["validated"] = True
            self.gathered["stop_training"] = bool(
                getattr(runner.train_loop, "stop_training", False)
            )

    def continue_data(self, runner: Runner) -> None:
        """Let the loop go on behind what others have had of the data; a line says so.

        The iteration may become another one, so that this comes before hooks look at it.
        """
        if self.loaded is not None and runner.iter:
            self._data_of_others = _continue_data(runner, self.loaded)

    def restore(self, runner: Runner) -> None:
        """Give back what was loaded, once; without a resumed run nothing is done.

        With another number of processes or another batch than before, what belongs to single
        processes is left out.
        """
        loaded, self.loaded = self.loaded, None
        if loaded is None or not runner.iter:
            return
        for hook in runner.hooks:
            _restore_hook(hook, loaded["hooks"].get(_name_of(hook), {}))
        counts = [own.get("counts", {}) for own in loaded["ranks"]]
        give_counts(runner.hooks, counts, get_rank(), get_world_size())
        _restore_operators(runner, loaded)
        if loaded.get("validated"):
            runner.train_loop.validated = True
            runner.train_loop.stop_training = loaded["stop_training"]
        _compare(runner, loaded["arithmetic"], _arithmetic(runner))
        if self._data_of_others or len(loaded["ranks"]) != get_world_size():
            return
        own = loaded["ranks"][get_rank()]
        for module, buffers in zip(_modules(runner), own["buffers"], strict=False):
            _copy(dict(module.named_buffers()), buffers)
        if own.get("sends_buffers") is not None and hasattr(runner.model, _SENDS_BUFFERS):
            setattr(runner.model, _SENDS_BUFFERS, own["sends_buffers"])
        parameters = dict(_plain_model(runner).named_parameters())
        for name, gradient in own["gradients"].items():
            parameters[name].grad = gradient.to(parameters[name].device)


def _continue_data(runner: Runner, loaded: Mapping[str, Any]) -> bool:
    """Go on behind what was had by other processes or in other batches; False if they are the same.

    The run may have been resumed by others before, in the same pass over the data.
    """
    if "position" not in loaded:  # Saved in another kind of loop.
        return False
    number, (*earlier, last) = Position.from_plain(loaded["position"])
    batches = runner.train_dataloader.batch_sampler
    now = (get_world_size(), batch_size_of(batches))
    same = (last.ranks, last.batch_size) == now
    if same and not earlier:
        return False
    done = last.batches if same else 0
    earlier = [stage for stage in (earlier if same else [*earlier, last]) if stage.batches]
    known = not earlier or shares_are_known(batches)
    if not known:
        done = sum(stage.samples for stage in earlier) // (now[0] * now[1])
        earlier = []
    runner.train_loop.go_on(number, earlier, done)
    if not same:
        runner.logger.warning(
            f"resumed in {now[0]} processes x batch {now[1]} a run in {last.ranks} x "
            f"{last.batch_size}: it goes on {_describe(batches, known)}, but its numbers are not "
            "those of an uninterrupted run, and what counts iterations, such as schedules, counts "
            "those of another length"
        )
    return not same


def _describe(batches: Any, known: bool) -> str:
    if known:
        return "with the samples that nobody has had in this pass over the data"
    name = f"{type(batches).__name__} of {type(batches.sampler).__name__}"
    return f"at about the same place of this pass ({name} does not tell what others have had)"


def _plain_model(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _modules(runner: Runner) -> list[nn.Module]:
    averages = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
    return [_plain_model(runner), *averages]


def _buffers(runner: Runner) -> list[dict[str, Tensor]]:
    return [
        {name: buffer.detach().cpu().clone() for name, buffer in module.named_buffers()}
        for module in _modules(runner)
    ]


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    """Those between two steps of the optimizer; after a step there are none."""
    return {
        name: parameter.grad.detach().cpu().clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def _copy(targets: Mapping[str, Tensor], sources: Mapping[str, Tensor]) -> None:
    for name, source in sources.items():
        if name in targets and targets[name].shape == source.shape:
            targets[name].copy_(source)


def _name_of(hook: Any) -> str:
    return f"{type(hook).__module__}.{type(hook).__qualname__}"


def _hook_state(hook: Any) -> dict[str, Any]:
    if hasattr(hook, "state_dict"):
        return dict(hook.state_dict())
    names = next((names for kind, names in _COUNTERS.items() if isinstance(hook, kind)), ())
    return {name: getattr(hook, name) for name in names}


def _restore_hook(hook: Any, state: Mapping[str, Any]) -> None:
    if state and hasattr(hook, "load_state_dict"):
        hook.load_state_dict(state)
        return
    for name, value in state.items():
        setattr(hook, name, value)


def _restore_operators(runner: Runner, loaded: Mapping[str, Any]) -> None:
    """Compute by what the run computed by, which decides the last bits."""
    restore_choice(loaded["operators"])
    for hook in runner.hooks:
        if isinstance(hook, TuneHook) and _name_of(hook) not in loaded["hooks"]:
            hook.keep_choice()


def _arithmetic(runner: Runner) -> dict[str, str]:
    """What decides the last bits of a result."""
    device = next(runner.model.parameters()).device
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else torch.backends.cpu.get_cpu_capability()
    return {
        "device": f"{device.type} {name}",
        "torch": str(torch.__version__),
        "MMVAN_OPS_BACKEND": str(requested_backend()),
        "threads": str(torch.get_num_threads()),
    }


def _compare(runner: Runner, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    differing = [key for key in now if now[key] != before.get(key)]
    if differing:
        listed = ", ".join(f"{key} {now[key]} instead of {before.get(key)}" for key in differing)
        runner.logger.warning(
            f"the run is continued with {listed}: its numbers may differ from those of an "
            "uninterrupted run in the last digits"
        )
