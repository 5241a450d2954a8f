import argparse
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmvan.engine import run
from mmvan.engine.processes import Processes
from mmvan.engine.run import add_common_options, build_runner, prepare, set_work_dir, start_line
from mmvan.errors import ConfigError, DataError, DeviceError

TWO = Processes("pytorch", rank=0, world_size=2, local_size=2)


def config(**settings: Any) -> Config:
    return Config(
        {
            "default_scope": "mmdet",
            "model": {"norm_cfg": {"type": "SyncBN"}},
            "train_dataloader": {"batch_size": 4, "dataset": {"type": "CocoDataset"}},
            "test_dataloader": {"batch_size": 1, "dataset": {"type": "CocoDataset"}},
            "optim_wrapper": {"optimizer": {"lr": 2e-4}},
            **settings,
        },
        cfg_text="# stands for the file",
        filename="configs/van_b.py",
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `prepare` asked of others: the data check's loaders, and "gloo"."""
    made: list[Any] = []
    monkeypatch.setattr(run, "check_datasets", lambda cfg, loaders: made.append(loaders))
    monkeypatch.setattr(run, "start_gloo", lambda cfg, processes: made.append("gloo"))
    return made


@RUNNERS.register_module()
class RunnerWithALog:
    """Stands for a runner: all it has is its logger."""

    def __init__(self) -> None:
        self.logger = logging.Logger("run of a test")
        self.logger.addHandler(logging.NullHandler())

    @classmethod
    def from_cfg(cls, cfg: Config) -> "RunnerWithALog":
        return cls()


def test_what_mmvan_says_is_in_the_log_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    own, root = logging.getLogger("mmvan"), logging.getLogger()
    monkeypatch.setattr(own, "handlers", [])
    monkeypatch.setattr(own, "level", own.level)
    others = list(root.handlers), root.level
    log = build_runner(config(runner_type="RunnerWithALog")).logger
    (handler,) = own.handlers
    assert [handler] == log.handlers
    # Two lists: a handler that is added to one, or taken out, is not added to the other.
    own.removeHandler(handler)
    assert log.handlers == [handler]
    assert (root.handlers, root.level, log.level) == (*others, logging.NOTSET)


def test_options_of_mim_and_old_launchers_are_accepted() -> None:
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    for spelling in ("--local-rank=1", "--local_rank=1"):
        args = parser.parse_args(["van.py", "--launcher", "pytorch", spelling])
        assert (args.config, args.launcher) == ("van.py", "pytorch")


@pytest.mark.parametrize(
    ("requested", "own", "expected"),
    (
        ("a/b", "c", "a/b"),
        (None, "c", "c"),
        (None, None, "work_dirs/van_b"),
    ),
)
def test_work_dir(
    requested: str | None,
    own: str | None,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    cfg = config(work_dir=own)
    set_work_dir(cfg, requested)
    assert cfg.work_dir == expected
    assert Path(expected).is_dir()


def test_work_dir_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--work-dir .*file/run cannot be created: .*directory"):
        set_work_dir(config(), str(tmp_path / "file" / "run"))
    monkeypatch.setattr(run.os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="cannot be written to by this user"):
        set_work_dir(config(), str(tmp_path))


def test_cpu_processes_use_gloo_and_plain_batch_norm(
    calls: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cfg = config()
    prepare(cfg, TWO, "cpu", training=True, check_data=True)
    assert calls == [("train", "val"), "gloo"]
    assert cfg.launcher == "pytorch"
    assert cfg.model.norm_cfg.type == "BN"
    assert cfg.model_wrapper_cfg.device_ids is None
    assert capsys.readouterr().out.splitlines() == [
        "SyncBN needs several GPU processes: 1 settings became BN",
        "train detection | configs/van_b.py | 2 x cpu (no GPU found, connected by gloo) | "
        "2 processes x batch 4 x accumulation 1 = effective batch 8 | lr 0.0002 | "
        "recipe: batch not stated (auto_scale_lr.base_batch_size)",
    ]


def test_gpu_processes_are_left_to_mmengine(
    calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cfg = config()
    prepare(cfg, TWO, "cuda", training=True, check_data=False)
    assert calls == []
    assert cfg.model.norm_cfg.type == "SyncBN"
    assert "model_wrapper_cfg" not in cfg


def test_more_processes_than_gpus_stop_before_the_data(
    calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="2 processes on this node, but 1 GPU"):
        prepare(config(), TWO, "cuda", training=True, check_data=True)
    assert calls == []


def test_one_process_is_not_connected(calls: list[Any]) -> None:
    cfg = config()
    prepare(cfg, Processes(), "cpu", training=False, check_data=True)
    assert calls == [("test",)]
    assert cfg.model.norm_cfg.type == "BN"
    assert "model_wrapper_cfg" not in cfg


def test_only_process_0_checks_the_data(
    calls: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    second = Processes("pytorch", rank=1, local_rank=1, world_size=2, local_size=2)
    prepare(config(), second, "cpu", training=True, check_data=True)
    assert calls == ["gloo"]
    assert capsys.readouterr().out == ""


def test_missing_data_stop_the_run() -> None:
    cfg = config(train_dataloader={"dataset": {"type": "CocoDataset", "data_root": "nowhere/"}})
    with pytest.raises(DataError, match="nowhere"):
        prepare(cfg, Processes(), "cpu", training=True, check_data=True)


@pytest.mark.parametrize(("scope", "collates"), (("mmpretrain", True), ("mmseg", False)))
def test_classification_loaders_stack_their_images(
    scope: str, collates: bool, calls: list[Any]
) -> None:
    cfg = config(default_scope=scope)
    prepare(cfg, Processes(), "cpu", training=True, check_data=False)
    assert ("collate_fn" in cfg.train_dataloader) is collates


def test_start_line_of_a_training_sets_the_batch_beside_the_recipe() -> None:
    cfg = config(auto_scale_lr={"enable": False, "base_batch_size": 16})
    assert start_line(cfg, TWO, "cuda", training=True).split(" | ")[2:] == [
        "2 x cuda (connected by nccl)",
        "2 GPUs x batch 4 x accumulation 1 = effective batch 8",
        "lr 0.0002",
        "recipe: batch 16, lr 0.0002: 2 times this batch; add --accumulate 2 or --auto-scale-lr",
    ]


def test_mmengine_scales_by_the_effective_batch(calls: list[Any]) -> None:
    scaling = {"enable": True, "base_batch_size": 16}
    cfg = config(auto_scale_lr=scaling, optim_wrapper={"accumulative_counts": 2})
    prepare(cfg, TWO, "cpu", training=True, check_data=False)
    assert calls == ["gloo"]
    # 4 x 2 images here, 8 per accumulated half of the recipe's batch: MMEngine's ratio is 1.
    assert cfg.auto_scale_lr.base_batch_size == 8


def test_start_line_of_a_test_and_hidden_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    loader = {"batch_sampler": {"batch_size": 3}, "dataset": {}}
    line = start_line(config(test_dataloader=loader), Processes(), "cpu", training=False)
    assert line == ("test detection | configs/van_b.py | 1 x cpu (GPUs hidden) | batch 3 x 1 = 3")
