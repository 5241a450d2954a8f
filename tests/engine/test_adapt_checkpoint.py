"""The hook behind ``load_from`` and ``resume``: every layout, and no test of random weights."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmvan.checkpoint.layouts import HUGGINGFACE, MMVAN, OFFICIAL
from mmvan.engine import adapt_checkpoint
from mmvan.errors import CheckpointError
from tests.checkpoint.whole import build, equal, in_layout

NUMBERS = itertools.count()


def runner(model: nn.Module, folder: Path, file: Path, **options: Any) -> Runner:
    loader = torch.utils.data.DataLoader([0])
    return Runner(
        model,
        str(folder / "run"),
        train_dataloader=loader,
        train_cfg={"by_epoch": True, "max_epochs": 0},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        test_dataloader=loader,
        test_cfg={},
        test_evaluator={"type": "mmpretrain.Accuracy"},
        load_from=str(file),
        default_hooks={"adapt_checkpoint": {"type": "mmvan.AdaptCheckpointHook"}},
        experiment_name=f"test_adapt_checkpoint_{next(NUMBERS)}",
        **options,
    )


def saved(state_dict: dict[str, Any], folder: Path, **extra: Any) -> Path:
    torch.save({"state_dict": state_dict, **extra}, folder / "file.pth")
    return folder / "file.pth"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    logged: list[str] = []
    monkeypatch.setattr(adapt_checkpoint, "print_log", lambda line, **_: logged.append(line))
    return logged


@pytest.mark.parametrize("kind", ("in1k", "maskrcnn", "fpn"))
def test_a_test_of_a_head_for_other_classes_is_refused(kind: str, tmp_path: Path) -> None:
    """A file for ten classes under a config for three would be evaluated with a random head."""
    file = saved(in_layout(build(kind, classes=10), MMVAN), tmp_path)
    with pytest.raises(
        CheckpointError,
        match=r"^a test needs every weight from the checkpoint, but of this model's are made for "
        r"another number of classes: .* outputs instead of ",
    ):
        runner(build(kind, classes=3), tmp_path, file).test()


def test_a_test_of_a_head_that_is_missing_is_refused(tmp_path: Path) -> None:
    state = {k: v for k, v in in_layout(build("in1k"), OFFICIAL).items() if "head" not in k}
    with pytest.raises(
        CheckpointError, match=r"not in the file: head\.fc\.weight, head\.fc\.bias$"
    ):
        runner(build("in1k"), tmp_path, saved(state, tmp_path)).test()


def test_a_training_from_another_head_says_so_once(tmp_path: Path, lines: list[str]) -> None:
    given, model = build("in1k", seed=1, classes=7), build("in1k", seed=2)
    run = runner(model, tmp_path, saved(in_layout(given, HUGGINGFACE), tmp_path))
    run.train()
    assert equal(model.backbone, given.backbone.state_dict())
    assert model.head.fc.weight.std() < 0.1  # As the head initialises itself, unlike the file's.
    (line,) = lines
    assert line.startswith("left as initialised: made for another number of classes: head.fc.weig")
    assert line.endswith("(7 outputs instead of 5), head.fc.bias (7 outputs instead of 5)")


def test_a_resumed_run_needs_all(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD(build("in1k").parameters(), lr=0.1).state_dict()
    hub = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}
    extra = {"meta": {"epoch": 0, "iter": 2}, "message_hub": hub, "optimizer": optimizer}
    file = saved(build("in1k", classes=7).state_dict(), tmp_path, **extra)
    with pytest.raises(CheckpointError, match="a run that is resumed needs every weight"):
        runner(build("in1k"), tmp_path, file, resume=True).train()
