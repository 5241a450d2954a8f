"""docs/recipes.md: its tables are the published settings, its other choices do what they say."""

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope

from mmvan.engine.config import load_config
from mmvan.engine.processes import Processes
from mmvan.engine.run import add_common_options
from mmvan.engine.training import add_training_options, apply_training_options
from tests.configs.published import (
    METHODS_1X,
    METHODS_3X,
    PANOPTIC,
    RECIPE,
    RECIPES,
)
from tests.configs.zoo import ARCH_OF_SIZE, CONFIGS

PAGE = CONFIGS.parent / "docs" / "recipes.md"
COMMAND = "python tools/train.py "
SCHEDULE_END = "param_scheduler.0.end"
HEADINGS = {
    "in22k_in1k": "## From ImageNet-22k to ImageNet-1k",
    "cub200": "## CUB-200",
    "in1k": "## Classification on ImageNet-1k",
    "fpn": "## Semantic FPN on ADE20K",
    "upernet": "## UPerNet on ADE20K",
    **dict.fromkeys(METHODS_1X, "## Mask R-CNN and RetinaNet on COCO, 1x"),
    **dict.fromkeys(METHODS_3X, "## Mask R-CNN, Cascade Mask R-CNN, ATSS and GFL on COCO, 3x"),
    PANOPTIC: "## Mask2Former on COCO panoptic",
}
ROWS = {
    "in22k_in1k": 2,
    "cub200": 6,
    "in1k": 38,
    "fpn": 29,
    "upernet": 29,
    **dict.fromkeys(METHODS_1X, 11),
    **dict.fromkeys(METHODS_3X, 14),
    PANOPTIC: 12,
}


def page_options() -> list[str]:
    """The command lines of the page, without the program."""
    lines = PAGE.read_text().splitlines()
    return [line.removeprefix(COMMAND) for line in lines if line.startswith(COMMAND)]


def parse(line: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    add_training_options(parser)
    return parser.parse_args(shlex.split(line))


def flatten(node: Any, name: str = "") -> dict[str, Any]:
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, (list, tuple)):
        children = enumerate(node)
    else:
        return {name: node}
    found: dict[str, Any] = {}
    for key, child in children:
        found.update(flatten(child, f"{name}.{key}" if name else str(key)))
    return found


@pytest.mark.parametrize("line", page_options())
def test_a_choice_changes_what_it_names_and_nothing_else(line: str) -> None:
    args = parse(line)
    path = CONFIGS.parent / args.config
    before = flatten(Config.fromfile(path).to_dict())
    cfg = load_config(str(path), args.cfg_options, ("model", "optim_wrapper"))
    asked = dict(args.cfg_options or {})
    if args.ema is not None:
        apply_training_options(cfg, args, Processes(), "cpu")
        position = len(cfg.custom_hooks) - 1
        asked |= {
            f"custom_hooks.{position}.type": "EMAHook",
            f"custom_hooks.{position}.momentum": 1 - args.ema,
            f"custom_hooks.{position}.update_buffers": True,
        }
    after = flatten(cfg.to_dict())
    assert asked
    assert {name: after[name] for name in after if before.get(name) != after[name]} == asked
    assert set(before) <= set(after)
    build(cfg)


def build(cfg: Config) -> None:
    init_default_scope(cfg.default_scope)
    with torch.device("meta"):
        model = MODELS.build(cfg.model)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    for scheduler in cfg.param_scheduler:
        length = {"epoch_length": 10} if scheduler.get("convert_to_iter_based") else {}
        PARAM_SCHEDULERS.build({**scheduler, **length, "optimizer": optimizer})


def test_the_choices_are_those_that_sources_disagree_about() -> None:
    lines = page_options()
    chosen = [parse(line) for line in lines]
    values = {key: value for args in chosen for key, value in (args.cfg_options or {}).items()}
    mmpretrain = RECIPES["classification_in1k"]["mmpretrain"]
    assert values["param_scheduler.1.eta_min"] == mmpretrain["eta_min"]
    assert values["optim_wrapper.clip_grad.max_norm"] == mmpretrain["clip_grad"]
    # MMEngine's warm-up ends one step before `end`.
    (warmup,) = [args.cfg_options for args in chosen if args.cfg_options == {SCHEDULE_END: 21}]
    assert warmup[SCHEDULE_END] == mmpretrain["warmup_epochs"] + 1
    assert [args.ema for args in chosen if args.ema] == [0.9998]
    per_gpu = RECIPE["upernet"]["images_per_gpu"]["b4"]
    assert values["train_dataloader.batch_size"] == per_gpu
    assert len(lines) == 10


def config_options(path: Path) -> list[str]:
    """The options in backticks in a config's comments."""
    comments = [line[1:].strip() for line in map(str.strip, path.read_text().splitlines())]
    return re.findall(r"`(--(?:ema|cfg-options) [^`]+)`", " ".join(comments))


def test_every_choice_in_a_comment_is_on_the_page() -> None:
    named = [option for path in sorted(CONFIGS.rglob("*.py")) for option in config_options(path)]
    offered = {line.split(maxsplit=1)[1] for line in page_options()}
    assert set(named) == offered
    assert len(named) == len(offered) == 10


@pytest.mark.parametrize("method", RECIPE)
def test_the_tables_are_the_published_settings(method: str) -> None:
    section = PAGE.read_text().split(HEADINGS[method])[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ([^|]+) \|", section, flags=re.MULTILINE)
    found = {name: yaml.safe_load(value) for name, value, _ in rows}
    assert all(config.strip() for *_, config in rows)
    assert found == dict(tabulate(RECIPE[method]))
    assert len(found) == len(rows) == ROWS[method]


def tabulate(node: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings by dotted name; what is published per arch stays together."""
    found = []
    for key, value in node.items():
        if isinstance(value, dict) and not set(value) <= set(ARCH_OF_SIZE.values()):
            found += tabulate(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value))
    return found
