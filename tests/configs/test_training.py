"""One training step and one prediction with every config, on sample data of its format."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch import nn

from mmvan.arch import get_arch
from mmvan.data.sample import SAMPLE_CATEGORIES, prepare
from mmvan.data.sample.catalog import GROUNDS
from mmvan.engine.processes import use_plain_batch_norm
from tests.configs.published import PANOPTIC
from tests.configs.zoo import LEAVES, SAMPLE, find, load, method_and_size

DATA = {"classification": "cls", "detection": "det", "segmentation": "seg"}
FOLDER = {"cls": "imagenet", "det": "coco", "seg": "ade20k"}
COUNTS = {"cls": (1, 1), "det": (24, 2), "seg": (4, 2)}
CONFIGS = [path for path in LEAVES if path not in SAMPLE]
# Of what a model is trained with, and of the images, half as wide and high as the sample's own.
SIDE = 80
SCALE = (112, 96)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """A training and a test batch of each format, through the pipelines of a config."""
    root = tmp_path_factory.mktemp("data")
    batches = {}
    for path in SAMPLE:
        task = DATA[path.parent.name]
        prepare(root, task, counts=COUNTS[task])
        cfg = load(path)
        if task != "cls":
            for name in ("train", "test"):
                make_small(cfg[f"{name}_dataloader"].dataset.pipeline)
        batches[task] = make_batches(cfg, root / FOLDER[task])
    batches["pan"] = make_batches(panoptic_config(), root / FOLDER["det"])
    return batches


def make_small(pipeline: list[dict[str, Any]]) -> None:
    for step in pipeline:
        if "scale" in step:
            step["scale"] = SCALE
        if "crop_size" in step:
            step["crop_size"] = (SIDE, SIDE)


def make_batches(cfg: Config, data_root: Path) -> dict[str, Any]:
    init_default_scope(cfg.default_scope)
    return {
        name: next(iter(build_loader(cfg[f"{name}_dataloader"], data_root)))
        for name in ("train", "test")
    }


def build_loader(settings: Config, data_root: Path) -> Any:
    settings = settings.copy()
    settings.update(num_workers=0, persistent_workers=False, batch_size=2, pin_memory=False)
    settings.dataset.data_root = str(data_root)
    if settings.dataset.type == "CustomDataset":
        settings.collate_fn = {"type": "default_collate"}
    return Runner.build_dataloader(settings, seed=0)


def panoptic_config() -> Config:
    """Mask2Former's pipelines for the sample's classes and size."""
    cfg = load(find(PANOPTIC, "b"))
    names = {"thing_classes": SAMPLE_CATEGORIES, "stuff_classes": GROUNDS}
    metainfo = {"classes": (*SAMPLE_CATEGORIES, *GROUNDS), **names}
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.metainfo = metainfo
    cfg.merge_from_dict(
        {
            "train_dataloader.dataset.pipeline.4.scale": (SIDE, SIDE),
            "train_dataloader.dataset.pipeline.5.crop_size": (SIDE, SIDE),
            "test_dataloader.dataset.pipeline.1.scale": SCALE,
        }
    )
    return cfg


def shrink(cfg: Config) -> None:
    """Leaves one block in each stage and few proposals, and fits the model to the sample.

    There is no stochastic depth, which may drop a block for both samples.
    """
    use_plain_batch_norm(cfg)
    arch = get_arch(cfg.model.backbone.arch)
    widths = {"embed_dims": arch.embed_dims, "depths": [1] * len(arch.depths)}
    cfg.model.backbone.update(init_cfg=None, drop_path_rate=0.0, arch=widths)
    if "size" in cfg.model.data_preprocessor:
        cfg.model.data_preprocessor.size = (SIDE, SIDE)
    if "rpn_head" in cfg.model:
        few = {"nms_pre": 50, "max_per_img": 20}
        cfg.model.train_cfg.rpn_proposal.update(few)
        cfg.model.test_cfg.rpn.update(few)
        stages = cfg.model.train_cfg.rcnn
        for stage in stages if isinstance(stages, list) else [stages]:
            stage.sampler.num = 16
    if "panoptic_head" in cfg.model:
        things, stuff = len(SAMPLE_CATEGORIES), len(GROUNDS)
        for head in (cfg.model.panoptic_head, cfg.model.panoptic_fusion_head):
            head.update(num_things_classes=things, num_stuff_classes=stuff)
        cfg.model.panoptic_head.loss_cls.class_weight = [1.0] * (things + stuff) + [0.1]
        cfg.model.data_preprocessor.batch_augments[0].size = (SIDE, SIDE)


def test_every_config_is_here() -> None:
    assert {DATA[path.parent.name] for path in CONFIGS} == set(COUNTS)
    assert len(CONFIGS) == len(LEAVES) - 3
    assert len(CONFIGS) >= 33


def cases() -> list[Any]:
    slow = {True: pytest.mark.slow, False: ()}
    large = ("mask2former", "upernet", "cascade")
    return [
        pytest.param(p, marks=slow[any(name in p.stem for name in large)], id=p.stem)
        for p in CONFIGS
    ]


@pytest.mark.parametrize("path", cases())
def test_one_training_step_and_one_prediction(
    path: Path, samples: dict[str, dict[str, Any]]
) -> None:
    torch.manual_seed(0)
    cfg = load(path)
    init_default_scope(cfg.default_scope)
    shrink(cfg)
    model = MODELS.build(cfg.model)
    model.init_weights()
    before = {name: p.detach().clone() for name, p in model.backbone.named_parameters()}

    task = "pan" if method_and_size(path)[0] == PANOPTIC else DATA[path.parent.name]
    # Predictions are written into the batch.
    batch = deepcopy(samples[task])
    losses = model.train().train_step(batch["train"], build_optim_wrapper(model, cfg.optim_wrapper))
    assert losses["loss"].isfinite()
    changed = [n for n, p in model.backbone.named_parameters() if not torch.equal(p, before[n])]
    assert len(changed) == len(before)
    assert is_prediction(task, model, batch["test"])


def is_prediction(task: str, model: nn.Module, batch: Any) -> bool:
    predictions = model.eval().test_step(batch)
    first = predictions[0]
    if task == "cls":
        return first.pred_score.shape == (model.head.num_classes,)
    if task == "seg":
        return first.pred_sem_seg.data.shape[1:] == first.ori_shape
    if task == "pan":
        return is_evaluated(predictions) and first.pred_panoptic_seg.sem_seg.shape == (
            1,
            *first.ori_shape,
        )
    found = first.pred_instances
    has_masks = getattr(model, "with_mask", False)
    assert ("masks" in found) is has_masks
    return found.bboxes.shape[1] == 4 and (
        not has_masks or found.masks.shape[1:] == first.ori_shape
    )


def is_evaluated(predictions: list[Any]) -> bool:
    evaluator = Evaluator({"type": "mmvan.PanopticQuality"})
    evaluator.dataset_meta = {
        "classes": (*SAMPLE_CATEGORIES, *GROUNDS),
        "thing_classes": SAMPLE_CATEGORIES,
    }
    evaluator.process(predictions)
    return 0 <= evaluator.evaluate(len(predictions))["coco_panoptic/PQ"] <= 100
