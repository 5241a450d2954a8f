import argparse
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmvan.engine import training
from mmvan.engine.processes import Processes
from mmvan.engine.training import add_training_options, apply_training_options
from mmvan.errors import CheckpointError, ConfigError


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    return Config(
        {
            "work_dir": str(tmp_path),
            "load_from": None,
            "model": {"backbone": {"type": "mmvan.VAN"}},
            "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 1e-4}},
            "val_cfg": {},
            "val_dataloader": {},
            "val_evaluator": {},
        }
    )


def apply(cfg: Config, *options: str, device: str = "cpu") -> None:
    parser = argparse.ArgumentParser()
    add_training_options(parser)
    apply_training_options(cfg, parser.parse_args(options), Processes(), device)


def checkpoint(path: Path) -> str:
    torch.save({}, path)
    return str(path)


def test_no_option_changes_nothing(cfg: Config) -> None:
    before = cfg.pretty_text
    apply(cfg)
    assert cfg.pretty_text == before


def test_resume_from_a_file(cfg: Config, tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "epoch_3.pth")
    apply(cfg, "--resume", file)
    assert (cfg.resume, cfg.load_from) == (True, file)


def test_bare_resume_takes_the_latest(cfg: Config, tmp_path: Path) -> None:
    file = str(tmp_path / "epoch_3.pth")
    torch.save({"meta": {"iter": 30}, "state_dict": {}}, file)
    (tmp_path / "last_checkpoint").write_text(file)
    cfg.load_from = "https://host/pretrained.pth"
    apply(cfg, "--resume")
    assert (cfg.resume, cfg.load_from) == (True, file)


def test_bare_resume_without_a_checkpoint_starts_as_configured(
    cfg: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg.load_from = "https://host/pretrained.pth"
    apply(cfg, "--resume")
    assert cfg.get("resume") is None
    assert cfg.load_from == "https://host/pretrained.pth"
    assert "has no checkpoint yet; starting anew" in capsys.readouterr().out


@pytest.mark.parametrize("option", ("--resume", "load_from"))
def test_weights_that_are_none_are_refused(cfg: Config, tmp_path: Path, option: str) -> None:
    file = tmp_path / "page.pth"
    file.write_text("<html>")
    if option == "load_from":
        cfg.load_from = str(file)
    options = (option, str(file)) if option == "--resume" else ()
    with pytest.raises(CheckpointError, match=f"{option} .*page.pth is not a checkpoint"):
        apply(cfg, *options)


def test_pretrained_weights_are_checked_by_key(cfg: Config) -> None:
    cfg.model.neck = [{"init_cfg": {"type": "Pretrained", "checkpoint": "nowhere/van.pth"}}]
    with pytest.raises(CheckpointError, match=r"model.neck\[0\].init_cfg.checkpoint nowhere/van"):
        apply(cfg)


@pytest.mark.parametrize(
    ("precision", "dtype", "scale"),
    (("fp16", "float16", "dynamic"), ("bf16", "bfloat16", {"enabled": False})),
)
def test_amp(
    cfg: Config, precision: str, dtype: str, scale: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    apply(cfg, "--amp", precision, device="cuda")
    assert cfg.optim_wrapper.type == "AmpOptimWrapper"
    assert cfg.optim_wrapper.dtype == dtype
    assert cfg.optim_wrapper.loss_scale == scale
    assert cfg.optim_wrapper.optimizer.lr == 1e-4


def test_bf16_looks_for_operators_without_it(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(training, "bfloat16_problems", lambda *_: iter(["model.head: no bfloat16"]))
    cfg.model.roi_layer = {"type": "RoIAlign"}
    with pytest.raises(ConfigError, match=r"model\.head: no bfloat16\. Use --amp fp16"):
        apply(cfg, "--amp", "bf16", device="cuda")
    assert cfg.model.roi_layer.use_torchvision is True


def test_amp_needs_a_gpu(cfg: Config) -> None:
    with pytest.raises(ConfigError, match="this run is on the CPU"):
        apply(cfg, "--amp", "fp16")


def test_amp_of_the_config_needs_a_gpu(cfg: Config) -> None:
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    with pytest.raises(ConfigError, match="if the config itself asks for it"):
        apply(cfg)


def test_bf16_needs_a_gpu_that_computes_in_it(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    with pytest.raises(ConfigError, match="Tesla V100 does not compute in bfloat16"):
        apply(cfg, "--amp", "bf16", device="cuda")


def test_amp_cannot_replace_another_wrapper(cfg: Config) -> None:
    cfg.optim_wrapper.type = "ApexOptimWrapper"
    with pytest.raises(ConfigError, match=r"optim_wrapper\.type is 'ApexOptimWrapper'"):
        apply(cfg, "--amp", "fp16", device="cuda")


@pytest.mark.parametrize(("options", "decay"), (((), training.EMA_DECAY), (("0.99",), 0.99)))
def test_ema_replaces_the_configs_own(cfg: Config, options: tuple[str, ...], decay: float) -> None:
    cfg.custom_hooks = [{"type": "mmpretrain.EMAHook"}, {"type": "NumClassCheckHook"}]
    apply(cfg, "--ema", *options)
    assert [hook.type for hook in cfg.custom_hooks] == ["NumClassCheckHook", "EMAHook"]
    assert cfg.custom_hooks[1].momentum == pytest.approx(1 - decay)
    assert cfg.custom_hooks[1].update_buffers is True


@pytest.mark.parametrize("decay", ("0", "1", "1.5"))
def test_ema_decay_outside_its_range(cfg: Config, decay: str) -> None:
    with pytest.raises(ConfigError, match="must lie between 0 and 1"):
        apply(cfg, "--ema", decay)


def test_auto_scale_lr(cfg: Config) -> None:
    with pytest.raises(ConfigError, match=r"auto_scale_lr\.base_batch_size=N"):
        apply(cfg, "--auto-scale-lr")
    cfg.auto_scale_lr = {"base_batch_size": 16, "enable": False}
    apply(cfg, "--auto-scale-lr")
    assert cfg.auto_scale_lr == {"base_batch_size": 16, "enable": True}


def test_accumulate(cfg: Config) -> None:
    cfg.merge_from_dict({"train_dataloader": {"batch_size": 2}, "train_cfg": {"max_iters": 10}})
    cfg.auto_scale_lr = {"base_batch_size": 16}
    apply(cfg, "--accumulate", "auto", "--ema")
    assert cfg.optim_wrapper.accumulative_counts == 8
    assert cfg.train_cfg.max_iters == 80
    assert cfg.custom_hooks[0].interval == 8


@pytest.mark.parametrize("number", ("0", "-1", "1.5", "all", "²"))
def test_accumulation_must_be_a_number(
    cfg: Config, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        apply(cfg, f"--accumulate={number}")
    assert f"expected a positive number or auto, got {number!r}" in capsys.readouterr().err


def test_compile_adds_a_hook_to_those_of_the_config(cfg: Config) -> None:
    cfg.custom_hooks = [{"type": "NumClassCheckHook"}]
    apply(cfg, "--compile")
    assert [hook.type for hook in cfg.custom_hooks] == [
        "NumClassCheckHook",
        "mmvan.CompileBackboneHook",
    ]


def test_compiling_twice_is_refused(cfg: Config) -> None:
    cfg.compile = {"mode": "max-autotune"}
    with pytest.raises(ConfigError, match=r"whole training step \(compile=.*max-autotune"):
        apply(cfg, "--compile")


def test_no_validate(cfg: Config) -> None:
    apply(cfg, "--no-validate")
    assert (cfg.val_cfg, cfg.val_dataloader, cfg.val_evaluator) == (None, None, None)


def test_randomness(cfg: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    cfg.randomness = {"diff_rank_seed": True}
    apply(cfg, "--seed", "7", "--deterministic")
    assert cfg.randomness == {"diff_rank_seed": True, "seed": 7, "deterministic": True}
    assert cfg.env_cfg.cudnn_benchmark is False
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
