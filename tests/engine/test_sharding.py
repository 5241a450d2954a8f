"""MMEngine's FlexibleRunner with FSDP."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmvan import VAN
from mmvan.engine.sharding import fit_to_flexible_runner
from mmvan.registry import FUNCTIONS
from tests.tools.workplace import PROJECT, Workplace

PAGE = (PROJECT / "docs" / "training.md").read_text()
SMALL = """
model = dict(
    backbone=dict(
        with_cp=True,
        arch=dict(_delete_=True, embed_dims=[8] * 4, depths=[1] * 4, ffn_ratios=[1] * 4)
    ),
    head=dict(in_channels=8),
)
train_dataloader = dict(batch_size=5, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=5, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2, val_interval=1)
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The documented config, as it is."""
    (text,) = (part for part in PAGE.split("```python\n") if "runner_type = " in part)
    path = tmp_path / "my_config.py"
    path.write_text(text.partition("```")[0].replace("mmvan::", f"{PROJECT}/configs/"))
    return path


@pytest.mark.parametrize("on_cpu", (True, False))
def test_a_config_is_fitted_to_the_runner(config: Path, on_cpu: bool) -> None:
    cfg = Config.fromfile(config)
    assert cfg.default_hooks.checkpoint.type == "mmvan.CheckpointHook"
    fit_to_flexible_runner(cfg, on_cpu=on_cpu)
    assert cfg.train_cfg.type == "EpochBasedTrainLoop"
    assert cfg.default_hooks.checkpoint.type == "CheckpointHook"
    assert cfg.model.backbone.with_cp
    assert cfg.strategy.model_wrapper.get("device_id") == ("cpu" if on_cpu else None)
    assert (cfg.strategy.state_dict_cfg == "full") is not on_cpu


def test_another_runner_is_left_alone(config: Path) -> None:
    cfg = Config.fromfile(config)
    cfg.runner_type = "Runner"
    before = cfg.pretty_text
    fit_to_flexible_runner(cfg, on_cpu=True)
    assert cfg.pretty_text == before


def test_blocks_are_the_units() -> None:
    policy = FUNCTIONS.get("mmvan.shard_blocks")
    model = VAN({"embed_dims": [8], "depths": [3], "ffn_ratios": [1]})
    units = [name for name, module in model.named_modules() if policy(module, False, 0)]
    assert units == [f"stages.0.blocks.{i}" for i in range(3)]
    assert policy(model, True, 0)


@pytest.mark.slow
def test_two_processes_train_save_and_resume(config: Path, tmp_path: Path) -> None:
    work = Workplace(tmp_path, ("cls",))
    text = config.read_text().replace("van_b6_in1k.py", "van_t_in1k_sample.py")
    config.write_text(text + SMALL)
    command = ("dist_train.sh", config, "2", "--no-tune", "--work-dir", "run")
    work.succeed(*command, "--cfg-options", "train_cfg.max_epochs=1")
    out = work.succeed(*command, "--resume")
    assert "resumed epoch: 1, iter: 2" in out
    first, second = (torch.load(tmp_path / "run" / f"epoch_{i}.pth") for i in (1, 2))
    assert (first["meta"]["epoch"], second["meta"]["epoch"]) == (1, 2)
    assert (first["meta"]["iter"], second["meta"]["iter"]) == (2, 4)
    key = "backbone.stages.1.blocks.0.attn.lka.dw_conv.weight"
    assert first["state_dict"][key].shape == (8, 1, 5, 5)
    assert not torch.equal(first["state_dict"][key], second["state_dict"][key])
    plain = ("--cfg-options", "strategy=None", "runner_type=Runner", "--no-tune")
    assert "accuracy/top1" in work.succeed("test.py", config, "run/epoch_2.pth", *plain)
