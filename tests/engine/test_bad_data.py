"""Runs over bad data: what is counted, reported, and when they end."""

import logging
import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmvan.engine.bad_data import BadDataHook
from mmvan.errors import ConfigError, DataError
from tests.data.bad_datasets import SCOPES, Corpus, corpus

TASKS = tuple(SCOPES)
BATCH = 4


class Model(BaseModel):
    """Learns nothing of any task's images, and remembers the files that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.files: list[str] = []

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        self.files += [Path(sample.img_path).name for sample in data_samples]
        assert len(data_samples) == len(inputs)
        if mode == "loss":
            return {"loss": self.weight * 1.0}
        return data_samples


class Seen(BaseMetric):
    """How many samples came."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(len(data_samples))

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return {"seen": float(sum(results))}


def runner(
    task: str,
    data: Corpus,
    work_dir: Path,
    train_cfg: dict[str, Any],
    load_from: str | None = None,
    validate: bool = False,
    **hook: Any,
) -> Runner:
    loader = {
        "batch_size": BATCH,
        "num_workers": 0,
        "dataset": data.options,
        "sampler": {"type": "DefaultSampler", "shuffle": True},
    }
    if not train_cfg["by_epoch"]:
        loader = {**loader, "num_workers": 1, "sampler": {"type": "InfiniteSampler"}}
    test = {**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}}
    loaders = {"train_dataloader": loader, "val_dataloader": test, "test_dataloader": test}
    if not validate:
        del loaders["val_dataloader"]
    val = {"val_cfg": {}, "val_evaluator": [Seen()]} if validate else {}
    return Runner(
        Model(),
        str(work_dir),
        **loaders,
        **val,
        default_scope=SCOPES[task],
        train_cfg=train_cfg,
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        test_cfg={},
        test_evaluator=Seen(),
        custom_hooks=[{"type": "mmvan.BadDataHook", **hook}],
        resume=bool(load_from),
        load_from=load_from,
        randomness={"seed": 0},
        experiment_name=f"{work_dir.parent.name}_{work_dir.name}",
        cfg=Config(loaders),
    )


def hook_of(run: Runner) -> BadDataHook:
    return next(hook for hook in run.hooks if isinstance(hook, BadDataHook))


@pytest.mark.parametrize("task", TASKS)
def test_a_training_goes_on_and_counts_exactly(
    task: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = corpus(task, tmp_path / "data")
    run = runner(task, data, tmp_path / "work", {"by_epoch": True, "max_epochs": 2}, max_share=1)
    with caplog.at_level(logging.WARNING, logger="mmengine"):
        run.train()
    hook = hook_of(run)
    bad = Counter(kind for kind in data.kinds if kind)
    assert hook.seen == 2 * len(data.kinds)
    assert hook.replaced == 2 * sum(bad.values())
    # Each bad sample was met twice by its own index, and others while replacements were sought.
    assert all(hook.kinds[kind] >= 2 * number for kind, number in bad.items())
    assert set(hook.kinds) == set(bad)
    counts = run.message_hub.get_info("mmvan_bad_data")
    assert (counts["seen"], counts["replaced"]) == (hook.seen, hook.replaced)
    _check_checkpoint(tmp_path / "work" / "epoch_2.pth", counts)
    lines = (tmp_path / "work").rglob("*.log")
    text = "".join(path.read_text() for path in lines)
    assert text.count("empty.jpg (empty): 0 bytes") == 1
    assert f"rank 0: {hook.replaced} of {hook.seen} samples replaced" in text


def _check_checkpoint(file: Path, counts: dict[str, Any]) -> None:
    saved = torch.load(file, weights_only=False)["message_hub"]["runtime_info"]
    assert saved["mmvan_bad_data"] == counts


def test_a_loop_by_iterations_with_workers(tmp_path: Path) -> None:
    before = set(multiprocessing.active_children())
    data = corpus("segmentation", tmp_path / "data")
    loop = {"by_epoch": False, "max_iters": 40, "val_interval": 1000}
    run = runner("segmentation", data, tmp_path / "work", loop, max_share=1)
    run.train()
    hook = hook_of(run)
    assert hook.seen == 40 * BATCH
    assert 0.3 < hook.replaced / hook.seen < 0.8
    assert not {file for file in run.model.files if file == "empty.jpg"}
    # Its worker ends here. A runner is garbage in a cycle, of which the queue to the worker goes
    # first: it would not hear that it shall end, and in some later test, or when pytest-xdist ends,
    # PyTorch would wait for it for five seconds and then kill it.
    run.train_loop.dataloader_iterator = None
    assert set(multiprocessing.active_children()) <= before


def test_a_share_that_is_too_large_ends_the_run(tmp_path: Path) -> None:
    data = corpus("classification", tmp_path / "data")
    run = runner(
        "classification", data, tmp_path / "work", {"by_epoch": True, "max_epochs": 2}, min_count=3
    )
    with pytest.raises(DataError, match=r"4 of the \d+ samples .* max_share=0.01 and min_count=3"):
        run.train()
    assert hook_of(run).replaced == 4


def test_a_few_bad_samples_do_not_end_a_small_run(tmp_path: Path) -> None:
    hook = BadDataHook()
    hook.seen, hook.replaced = 20, 10
    run = type("Run", (), {"message_hub": type("Hub", (), {"update_info": lambda *a, **k: None})()})
    hook.before_train_iter(run, 0, [])
    hook.replaced = 11
    with pytest.raises(DataError, match="11 of the 20 samples"):
        hook.before_train_iter(run, 0, [])
    hook.seen = 1100
    hook.before_train_iter(run, 0, [])


@pytest.mark.parametrize("task", TASKS)
def test_an_evaluation_lists_all_and_computes_nothing(task: str, tmp_path: Path) -> None:
    data = corpus(task, tmp_path / "data", good=2)
    run = runner(task, data, tmp_path / "work", {"by_epoch": True, "max_epochs": 1})
    with pytest.raises(DataError, match="no metric was computed") as caught:
        run.test()
    for name in ("empty.jpg", "png_bomb.png", "broken_link.jpg"):
        assert name in str(caught.value)
    assert len(run.model.files) == len(data.kinds)


def test_a_validation_lists_all(tmp_path: Path) -> None:
    data = corpus("detection", tmp_path / "data")
    loop = {"by_epoch": False, "max_iters": 4, "val_interval": 4}
    run = runner("detection", data, tmp_path / "work", loop, validate=True, max_share=1)
    with pytest.raises(DataError, match=r"empty.jpg \(empty\): 0 bytes"):
        run.train()
    assert hook_of(run).seen == 4 * BATCH


def test_an_evaluation_with_grey_images(tmp_path: Path) -> None:
    data = corpus("classification", tmp_path / "data")
    run = runner(
        "classification",
        data,
        tmp_path / "work",
        {"by_epoch": True, "max_epochs": 1},
        evaluation="blank",
    )
    assert run.test() == {"seen": float(len(data.kinds))}
    assert run.model.files == [
        Path(line.split()[0]).name for line in (tmp_path / "data/list.txt").read_text().split("\n")
    ]


def test_counts_go_on_after_a_resume(tmp_path: Path) -> None:
    data = corpus("classification", tmp_path / "data")
    first = runner(
        "classification", data, tmp_path / "a", {"by_epoch": True, "max_epochs": 1}, max_share=1
    )
    first.train()
    second = runner(
        "classification",
        data,
        tmp_path / "b",
        {"by_epoch": True, "max_epochs": 2},
        str(tmp_path / "a" / "epoch_1.pth"),
        max_share=1,
    )
    second.train()
    assert hook_of(second).seen == 2 * len(data.kinds)
    assert hook_of(second).replaced == 2 * hook_of(first).replaced


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"max_share": 2}, "max_share is 2"),
        ({"min_count": -1}, "min_count is -1"),
        ({"evaluation": "skip"}, "expected 'fail' or 'blank'"),
        ({"max_pixels": 0}, "max_pixels is 0"),
    ),
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BadDataHook(**options)
