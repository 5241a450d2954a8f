"""Losses and gradients that are not finite: found before the step, named, saved and repeated."""

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmvan.engine.nan_file import from_plain, read_reproducer
from mmvan.engine.nan_guard import NaNGuardHook, _Flag, list_files
from mmvan.engine.nan_trace import trace_step
from mmvan.errors import ConfigError, TrainingError
from tests.forks import forked_launch, forked_python

BAD = 3  # the iteration, from 1, whose batch is bad


class Gate(nn.Module):
    """Multiplies by its own output, as VAN's attention does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv(x)


class Root(nn.Module):
    """Finite for zero, with a gradient that is not."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs().sqrt()


class Small(BaseModel):
    """A stem with BatchNorm, a gate and a head; the batch decides what goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.stages = nn.ModuleList([Gate(), nn.Sequential(nn.ReLU(inplace=True), nn.Dropout(0.5))])
        self.root = Root()
        self.head = nn.Linear(4, 2)

    def forward(self, inputs: Tensor, data_samples: Any, mode: str) -> dict[str, Tensor]:
        assert mode == "loss"
        x = self.stem(inputs)
        fault = data_samples[0].get("fault")
        x = self.stages[0](x * 1e30 if fault == "gate" else x)
        x = self.stages[1](x).mean((2, 3))
        if fault == "root":
            x = x + self.root(x * 0)
        loss = self.head(x).square().mean()
        if fault == "loss":
            loss = loss + loss.detach() / 0 * 0
        return {"loss_small": loss, "accuracy": torch.tensor(torch.nan)}


class Images(torch.utils.data.Dataset):
    def __init__(self, fault: str | None, batches: tuple[int, ...]) -> None:
        self.fault, self.batches = fault, batches

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 8, 8, generator=generator)
        bad = self.fault if index // 2 in self.batches else None
        if bad == "batch":
            image[0, 0, 0] = torch.inf
        sample = BaseDataElement(metainfo={"img_path": f"images/{index}.jpg", "fault": bad})
        return {"inputs": image, "data_samples": sample}


class Recorder(Hook):
    """Notes the weights and buffers after every iteration."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def after_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
        state = runner.model.state_dict()
        self.states.append({name: tensor.clone() for name, tensor in state.items()})


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "inputs": torch.stack([item["inputs"] for item in items]),
        "data_samples": [item["data_samples"] for item in items],
    }


def train(
    tmp_path: Path, fault: str | None, guard: NaNGuardHook | None, *, name: str, **settings: Any
) -> tuple[Any, Recorder]:
    torch.manual_seed(0)
    recorder = settings.pop("recorder", Recorder())
    optimizer = settings.pop("optimizer", {"type": "AdamW", "lr": 0.01, "fused": True})
    runner = Runner(
        Small(),
        work_dir=str(tmp_path),
        train_dataloader={
            "batch_size": 2,
            "dataset": Images(fault, settings.pop("batches", (BAD - 1,))),
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "collate_fn": collate,
        },
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": optimizer, **settings.pop("optim_wrapper", {})},
        custom_hooks=[*([guard] if guard else []), recorder, *settings.pop("hooks", [])],
        default_scope="mmengine",
        randomness={"seed": 1},
        experiment_name=f"{tmp_path.name}_{name}",
        **settings,
    )
    runner.train()
    return runner, recorder


def stop(tmp_path: Path, fault: str, **settings: Any) -> str:
    with pytest.raises(TrainingError) as error:
        train(tmp_path, fault, NaNGuardHook(), name=fault, **settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("fault", "where"),
    (
        (
            "gate",
            "inf first in the forward pass of stages.0 (stage 1 of the model): float32, 0 NaN",
        ),
        ("batch", "inf first in the batch itself: float32 "),
        ("root", "the gradient from root"),
        ("loss", "NaN first in the value of loss_small, from finite layers: float32, 1 NaN"),
    ),
)
def test_the_layer_the_files_and_the_repetition_are_named(
    fault: str, where: str, tmp_path: Path
) -> None:
    message = stop(tmp_path, fault)
    assert message.startswith(f"iteration {BAD}: ")
    assert where in message
    assert "Files: images/4.jpg, images/5.jpg." in message
    assert f"python tools/replay_nan.py {tmp_path / 'nan_3.pth'}" in message


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    torch.testing.assert_close(dict(found), dict(expected), rtol=0, atol=0)


OPTIMIZERS = ({"type": "AdamW", "lr": 0.01, "fused": True}, {"type": "SGD", "lr": 0.1})


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=("AdamW", "SGD"))
def test_the_file_holds_the_weights_before_the_step_and_repeats_it(
    optimizer: dict[str, Any], tmp_path: Path
) -> None:
    recorder = Recorder()
    message = stop(tmp_path, "gate", optimizer=optimizer, recorder=recorder)
    before = recorder.states[-1]
    assert len(recorder.states) == BAD - 1
    saved = read_reproducer(tmp_path / "nan_3.pth")
    assert_same(saved.state_dict, before)
    assert message.startswith(saved.message)
    model = Small()
    model.load_state_dict(saved.state_dict)
    state = random.getstate(), np.random.get_state()[1].sum(), torch.get_rng_state()
    trace = trace_step(model.train(), from_plain(saved.batches))
    assert str(trace.finding) in message
    assert list(trace.outputs)[:3] == ["data_preprocessor", "stem.0", "stem.1"]
    assert not trace.outputs["stages.0"].finite
    assert random.getstate() == state[0]
    assert np.random.get_state()[1].sum() == state[1]
    assert torch.equal(torch.get_rng_state(), state[2])


def test_dropout_is_the_same_when_a_step_is_repeated(tmp_path: Path) -> None:
    logged: list[Any] = []

    class Losses(Hook):
        def after_train_iter(self, runner: Any, *_: Any, **options: Any) -> None:
            logged.append(options["outputs"]["loss"].clone())
            batches = guard_batches.pop()
            model = Small()
            model.load_state_dict(before.pop())
            logged.append(trace_step(model.train(), batches).losses[0]["loss"])

        def before_train_iter(self, runner: Any, *_: Any, **__: Any) -> None:
            before.append({k: v.clone() for k, v in runner.model.state_dict().items()})

    before: list[Any] = []
    guard_batches: list[Any] = []
    guard = NaNGuardHook()
    measure = guard._measure
    guard._measure = lambda *a: (guard_batches.append(guard._batches), measure(*a))[1]
    train(tmp_path, None, guard, name="dropout", hooks=[Losses()])
    assert len(logged) == 12
    assert all(torch.equal(*pair) for pair in zip(logged[::2], logged[1::2], strict=True))


@pytest.fixture
def on_device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a step to the optimizer, as on a GPU; fused optimizers of CPUs can do so, too."""
    if request.param:
        monkeypatch.setattr(Tensor, "is_cuda", True)
        monkeypatch.setattr(_Flag, "__init__", lambda self, n: setattr(self, "_number", n))
        monkeypatch.setattr(_Flag, "is_set", lambda self: bool(self._number))


@pytest.mark.parametrize("on_device", (False, True), indirect=True, ids=("host", "device"))
@pytest.mark.parametrize("fault", ("gate", "root", "loss"))
@pytest.mark.usefixtures("on_device")
def test_a_skipped_step_leaves_everything_as_it_was(fault: str, tmp_path: Path) -> None:
    ema = {"type": "EMAHook", "update_buffers": True}
    guard = NaNGuardHook(action="skip")
    runner, recorder = train(tmp_path, fault, guard, name="skip", hooks=[ema])
    states = recorder.states
    assert len(states) == 6
    assert_same(states[BAD - 1], states[BAD - 2])
    assert not torch.equal(states[BAD]["head.weight"], states[BAD - 1]["head.weight"])
    steps = {float(s["step"]) for s in runner.optim_wrapper.optimizer.state.values()}
    assert steps == {5.0}
    averaged = torch.load(tmp_path / "epoch_1.pth", weights_only=False)["state_dict"]
    assert all(bool(value.isfinite().all()) for value in averaged.values())
    assert sorted(file.name for file in tmp_path.glob("nan_*")) == ["nan_3.pth"]


def test_the_limits_end_a_run_that_only_skips(tmp_path: Path) -> None:
    guard = NaNGuardHook(action="skip", max_consecutive_skips=1)
    with pytest.raises(TrainingError, match=r"iteration 3: .* 2 in a row, 2 in all were skipped"):
        train(tmp_path, "gate", guard, name="row", batches=(1, 2))
    guard = NaNGuardHook(action="skip", max_consecutive_skips=1, max_skips=2)
    with pytest.raises(TrainingError, match=r"iteration 5: .* 1 in a row, 3 in all were skipped"):
        train(tmp_path, "gate", guard, name="all", batches=(0, 2, 4))


@pytest.mark.parametrize("on_device", (False, True), indirect=True, ids=("host", "device"))
@pytest.mark.usefixtures("on_device")
def test_a_healthy_run_is_the_same_and_keeps_no_hooks(tmp_path: Path) -> None:
    _, plain = train(tmp_path, None, None, name="plain")
    runner, guarded = train(tmp_path, None, NaNGuardHook(), name="guarded")
    for found, expected in zip(guarded.states, plain.states, strict=True):
        assert_same(found, expected)
    optimizer = runner.optim_wrapper.optimizer
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert not hasattr(optimizer, "found_inf")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in runner.model.modules())


def test_of_accumulated_batches_the_one_at_fault_is_named(tmp_path: Path) -> None:
    wrapper = {"accumulative_counts": 3}
    message = stop(tmp_path, "root", batches=(4,), optim_wrapper=wrapper)
    assert message.startswith("iteration 6: ")
    assert "Files: images/8.jpg, images/9.jpg." in message


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    class Spoil(Hook):
        def before_train_epoch(self, runner: Any) -> None:
            with torch.no_grad():
                runner.model.head.weight[0, 0] = torch.nan

    with pytest.raises(TrainingError, match=r"NaN first in the weights before the step: head\.we"):
        train(tmp_path, None, NaNGuardHook(), name="weights", hooks=[Spoil()])


@OPTIM_WRAPPERS.register_module()
class ScaledOnCpu(OptimWrapper):
    """MMEngine's AmpOptimWrapper without its demand for a GPU."""

    def __init__(self, scale: float, **options: Any) -> None:
        super().__init__(**options)
        self.loss_scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)

    def backward(self, loss: Tensor, **options: Any) -> None:
        self.loss_scaler.scale(loss * 1e4).backward(**options)
        self._inner_count += 1

    def step(self, **options: Any) -> None:
        self.loss_scaler.step(self.optimizer, **options)
        self.loss_scaler.update()


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=("AdamW", "SGD"))
def test_a_scaler_searches_its_scale_undisturbed(optimizer: dict[str, Any], tmp_path: Path) -> None:
    amp = {"type": "ScaledOnCpu", "scale": 2.0**116}
    settings = {"optim_wrapper": amp, "optimizer": optimizer}
    runner, recorder = train(tmp_path, None, NaNGuardHook(), name="search", **settings)
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.0**116
    weights = [state["head.weight"] for state in recorder.states]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[-1])
    with pytest.raises(TrainingError, match="NaN first in the value of loss_small"):
        train(tmp_path, "loss", NaNGuardHook(), name="loss", **settings)
    with pytest.raises(TrainingError, match=r"inf first in the forward pass of stages\.0"):
        train(tmp_path, "gate", NaNGuardHook(), name="gate", **settings)


def test_a_scale_that_only_falls_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmvan.engine.nan_guard._SCALE_INTERVAL", 1)
    amp = {"type": "ScaledOnCpu", "scale": 0.5}
    with pytest.raises(
        TrainingError, match=r"iteration 1: .* The loss scale has fallen to 0\.5: step"
    ):
        train(tmp_path, None, NaNGuardHook(), name="fallen", optim_wrapper=amp)


def test_what_cannot_be_saved_is_said(tmp_path: Path) -> None:
    (tmp_path / "nan_3.pth").mkdir()
    message = stop(tmp_path, "gate")
    assert "The step could not be saved: " in message
    assert "replay_nan" not in message


def test_an_unknown_action_is_refused() -> None:
    with pytest.raises(ConfigError, match="action is 'ignore'; expected one of stop, skip"):
        NaNGuardHook(action="ignore")


def test_only_the_first_files_are_listed() -> None:
    samples = [BaseDataElement(metainfo={"img_path": f"{index}.jpg"}) for index in range(10)]
    assert list_files({"data_samples": samples})[-2:] == ["7.jpg", "and 2 more"]


@pytest.mark.slow
def test_processes_agree_and_the_one_at_fault_is_named(tmp_path: Path) -> None:
    """Image 5 is in the third iteration of process 1, whose gradients are finite."""
    script = Path(__file__).with_name("guarded_run.py")
    options = ("--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")
    launcher = [forked_python(), "-m", "mmvan.engine.launch", *options]
    done = subprocess.run(
        [*launcher, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(script.parents[2]), **forked_launch()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert first["skip"]["message"] == ""
    assert first["skip"]["iter"] == 4
    assert first["stop"]["iter"] == 2
    file = tmp_path / "stop" / "nan_3.pth"
    assert first["stop"]["message"] == (
        "iteration 3: NaN first in the value of loss, from finite layers: float32, 1 NaN, 0 inf. "
        "Process 1. Files: 5.jpg. Largest lr 0.1, weight_decay 0. "
        f"Repeat it by: python tools/replay_nan.py {file}."
    )
    ((batch, _),) = from_plain(read_reproducer(file).batches)
    assert batch["data_samples"][0].img_path == "5.jpg"
