"""Configs in pure Python, which name classes and functions themselves."""

import argparse
import csv
import pickle
from pathlib import Path
from types import ModuleType

import pytest

from mmvan.cli import export, infer_exported, test, train
from mmvan.data.sample import prepare
from mmvan.engine.config import load_config, task_of
from mmvan.errors import ConfigError

RUNTIME = """
from mmengine.hooks import CheckpointHook, LoggerHook, ParamSchedulerHook
from mmengine.optim import MultiStepLR, OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch.optim import AdamW

default_scope = None
default_hooks = dict(
    logger=dict(type=LoggerHook, interval=1),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=CheckpointHook, interval=1),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-4))
param_scheduler = [dict(type=MultiStepLR, begin=0, end=2, milestones=[1], gamma=0.1)]
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=1, val_interval=1)
val_cfg = dict()
test_cfg = dict()
"""
CLASSIFIER = """
from mmengine.config import read_base

with read_base():
    from .runtime import *

from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import DefaultSampler
from mmengine.hooks import EMAHook
from mmpretrain.datasets import CustomDataset, PackInputs
from mmpretrain.datasets.transforms import CenterCrop, ResizeEdge
from mmpretrain.evaluation import Accuracy
from mmpretrain.models import (
    ClsDataPreprocessor,
    GlobalAveragePooling,
    ImageClassifier,
    LinearClsHead,
)
from mmpretrain.models.losses import CrossEntropyLoss

from mmvan import VAN

arch = dict(embed_dims=[8, 16, 24, 32], depths=[1, 1, 1, 1], ffn_ratios=[1, 1, 1, 1])
model = dict(
    type=ImageClassifier,
    data_preprocessor=dict(type=ClsDataPreprocessor, mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(type=VAN, arch=arch, out_indices=(3,)),
    neck=dict(type=GlobalAveragePooling),
    head=dict(type=LinearClsHead, num_classes=10, in_channels=32, loss=dict(type=CrossEntropyLoss)),
)
pipeline = [
    dict(type=LoadImageFromFile),
    dict(type=ResizeEdge, scale=64, edge="short"),
    dict(type=CenterCrop, crop_size=64),
    dict(type=PackInputs),
]
loader = dict(batch_size=4, num_workers=0)
dataset = dict(type=CustomDataset, data_root="data/sample/imagenet", pipeline=pipeline)
train_dataloader = dict(
    **loader,
    sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(**dataset, data_prefix="train"),
)
val_dataloader = dict(
    **loader,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(**dataset, data_prefix="val"),
)
test_dataloader = val_dataloader
val_evaluator = test_evaluator = dict(type=Accuracy, topk=(1, 5))
custom_hooks = [dict(type=EMAHook, momentum=0.5)]
"""


def run(command: ModuleType, *arguments: str) -> None:
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    command.run(parser.parse_args(arguments))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path / "data" / "sample", "cls", counts=(2, 1))
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "runtime.py").write_text(RUNTIME)
    (tmp_path / "project" / "classifier.py").write_text(CLASSIFIER)
    return "project/classifier.py"


def test_from_training_to_an_exported_file(config: str) -> None:
    run(train, config, "--no-tune", "--ema", "0.9", "--accumulate", "2", "--work-dir", "work")
    run(test, config, "work/epoch_1.pth", "--no-tune", "--out", "out.pkl", "--work-dir", "work")
    predictions = pickle.loads(Path("out.pkl").read_bytes())
    run(export, config, "work/epoch_1.pth", "--format", "torchscript", "--out", "model.pt")
    run(infer_exported, "model.pt", "data/sample/imagenet/val", "--out", "scores.csv")
    with Path("scores.csv").open() as file:
        best = {row["image"]: row["label"] for row in csv.DictReader(file) if row["rank"] == "1"}
    expected = {
        str(Path(sample["img_path"]).relative_to("data/sample/imagenet/val")): sample["pred_label"]
        for sample in predictions
    }
    assert len(expected) == 10
    assert best == {image: str(int(label)) for image, label in expected.items()}


def test_the_models_class_decides_the_task(config: str) -> None:
    assert task_of(load_config(config, None, ())) == "classification"
    Path(config).write_text(CLASSIFIER + "\nfrom torch.nn import Linear\nmodel = dict(type=Linear)")
    with pytest.raises(ConfigError, match="default_scope is None; expected 'mmpretrain'"):
        load_config(config, None, ())


def test_mixed_precision_is_refused_on_cpus(config: str) -> None:
    with pytest.raises(ConfigError, match="this run is on the CPU"):
        run(train, config, "--no-tune", "--amp", "fp16")


def test_text_configs_cannot_be_imported(config: str) -> None:
    """MMEngine mixes the two kinds in no chain of bases, and says so."""
    Path("project/text.py").write_text("_base_ = './other.py'\nmodel = dict()")
    Path(config).write_text(CLASSIFIER.replace("from .runtime", "from .text"))
    with pytest.raises(ConfigError, match="cannot be read: ConfigParsingError"):
        load_config(config, None, ())
