"""Files of whole models into whole models: every layout and wrapper, every way of loading."""

import copy
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from mmpretrain.models import AverageClsScoreTTA
from torch import nn

from mmvan import VAN
from mmvan.checkpoint import adapt, loading, whole_model, wrappers
from mmvan.checkpoint.layouts import LAYOUTS, MMVAN, OFFICIAL, Layout
from mmvan.checkpoint.loading import load_model, misfits
from mmvan.checkpoint.schemes import use_safe_loaders
from mmvan.errors import CheckpointError
from tests.checkpoint.whole import KINDS, SMALL, build, equal, in_layout
from tests.configs.zoo import find, load

State = dict[str, Any]


def with_module(state: State) -> State:
    return {f"module.{key}": value for key, value in state.items()}


WRAPPERS: dict[str, Callable[[State], State]] = {
    "bare": dict,
    "module": with_module,
    "state_dict": lambda state: {"state_dict": state, "epoch": 300},
    "model": lambda state: {"model": with_module(state), "args": Namespace(lr=1e-3)},
    "state_dict_ema": lambda state: {"state_dict_ema": state},
    "deepspeed": lambda state: {"module": state, "dp_world_size": 8},
    "ema": lambda state: {**with_module(state), "steps": torch.tensor(9)},
}


def runner(model: nn.Module, folder: Path, **options: Any) -> Runner:
    return Runner(
        model,
        str(folder),
        train_dataloader=torch.utils.data.DataLoader([0, 1]),
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        experiment_name=f"{folder.parent.name}_{folder.name}",
        default_hooks={"adapt_checkpoint": {"type": "mmvan.AdaptCheckpointHook"}},
        **options,
    )


def by_us(model: nn.Module, file: Path) -> None:
    load_model(model, str(file), "the model")


def by_the_runner(model: nn.Module, file: Path) -> None:
    runner(model, file.parent / "run").load_checkpoint(str(file))


WAYS = (by_us, by_the_runner)


@pytest.fixture(autouse=True)
def _mmengines_loaders() -> Iterator[None]:
    """Those that a command of ours would replace come back after the test."""
    before = dict(CheckpointLoader._schemes)
    use_safe_loaders()
    yield
    CheckpointLoader._schemes = before


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged about a file that is loaded."""
    logged: list[str] = []
    for module in (adapt, whole_model, wrappers, loading):
        monkeypatch.setattr(module, "print_log", lambda line, **_: logged.append(line))
    return logged


def emptied(model: nn.Module) -> nn.Module:
    for tensor in model.state_dict().values():
        tensor.zero_()
    return model


@pytest.mark.smoke
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_model_takes_its_file(kind: str, layout: Layout, tmp_path: Path) -> None:
    given, model = build(kind, seed=1), build(kind, seed=2)
    expected, file = given.state_dict(), in_layout(given, layout)
    run = runner(model, tmp_path / "run")
    for name, wrap in WRAPPERS.items():
        path = tmp_path / f"{name}.pth"
        torch.save(wrap(file), path)
        by_us(emptied(model), path)
        assert equal(model, expected), name
        run.model = emptied(model)
        run.load_checkpoint(str(path))
        assert equal(model, expected), name


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("kind", KINDS)
def test_init_cfg_takes_a_classifiers_file(
    kind: str, layout: Layout, tmp_path: Path, lines: list[str]
) -> None:
    classifier = build("in1k", seed=1)
    path = tmp_path / "file.pth"
    torch.save({"state_dict": in_layout(classifier, layout)}, path)
    prefixes = [{}, {"prefix": layout.prefix}] if layout.prefix else [{}]
    for prefix in prefixes:
        init_cfg = {"type": "Pretrained", "checkpoint": str(path), **prefix}
        model = build(kind, seed=2, init_cfg=init_cfg)
        model.init_weights()
        assert equal(model.backbone, classifier.backbone.state_dict())
        # One line, which names the head where no prefix leaves it out.
        told = [line for line in lines if "VAN backbone: 176 tensors loaded" in line]
        assert lines == told
        assert len(told) == (0 if prefix and layout is MMVAN else 1)
        assert any(f"{layout.head}.weight" in line for line in told) == (not prefix)
        lines.clear()


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_the_runner_loads_from_and_resumes_any_layout(layout: Layout, tmp_path: Path) -> None:
    given = build("in1k", seed=1)
    path = tmp_path / "file.pth"
    hub = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}
    meta = {"epoch": 1, "iter": 2}
    torch.save({"meta": meta, "message_hub": hub, "state_dict": in_layout(given, layout)}, path)
    starting = runner(build("in1k"), tmp_path / "start", load_from=str(path))
    starting.load_or_resume()
    resuming = runner(build("in1k"), tmp_path / "resume", load_from=str(path), resume=True)
    resuming.load_or_resume()
    assert equal(starting.model, given.state_dict())
    assert equal(resuming.model, given.state_dict())
    assert (starting.epoch, resuming.epoch, resuming.iter) == (0, 1, 2)


def test_a_model_under_test_time_augmentation_loads_like_a_bare_one(tmp_path: Path) -> None:
    given = build("in1k", seed=1)
    torch.save(in_layout(given, OFFICIAL), tmp_path / "file.pth")
    tta = AverageClsScoreTTA(module=build("in1k", seed=2))
    by_the_runner(tta, tmp_path / "file.pth")
    assert equal(tta.module, given.state_dict())


def adapt_into(model: nn.Module, file: State) -> None:
    """Load a state dict that is no file, as a hook or a tool would."""
    assert misfits(model, file) == []
    model.load_state_dict(file)


class Pair(nn.Module):
    def __init__(self, seeds: tuple[int, int]) -> None:
        super().__init__()
        self.student, self.teacher = (build("in1k", seed=seed) for seed in seeds)


class Unlike(nn.Module):
    """Two backbones, one of them with the usual name, and a part that comes before them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, 3, 1)
        self.backbone, self.auxiliary = VAN(SMALL), VAN(SMALL)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_each_of_two_backbones_gets_its_own_weights(layout: Layout) -> None:
    given = Pair((1, 2))
    parts = {name: in_layout(part, layout) for name, part in given.named_children()}
    pair = Pair((3, 4))
    file = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()}
    adapt_into(pair, file)
    assert equal(pair, given.state_dict())
    unlike, other = Unlike(1), Unlike(2)
    state = {
        (
            f"{name}.{layout.key(key.removeprefix(f'{name}.'))}"
            if (name := key.partition(".")[0]) != "stem"
            else key
        ): value
        for key, value in other.state_dict().items()
    }
    adapt_into(unlike, state)
    assert equal(unlike, other.state_dict())


def test_one_file_is_not_enough_for_two_backbones() -> None:
    pair = nn.ModuleDict({"student": VAN(SMALL), "teacher": VAN(SMALL)})
    before = copy.deepcopy(pair.state_dict())
    with pytest.raises(CheckpointError, match=r"no VAN backbone under the prefix 'teacher\.'"):
        adapt_into(pair, {OFFICIAL.key(k): v for k, v in VAN(SMALL).state_dict().items()})
    assert equal(pair, before)


def test_the_backbone_may_have_any_name(lines: list[str]) -> None:
    class Model(nn.Module):
        def __init__(self, classifier: nn.Module) -> None:
            super().__init__()
            self.trunk, self.head = classifier.backbone, classifier.head

    given, model = build("in1k", seed=1), Model(build("in1k", seed=2))
    adapt_into(model, in_layout(given, OFFICIAL))
    assert equal(model.trunk, given.backbone.state_dict())
    assert equal(model.head, given.head.state_dict())
    adapt_into(model, in_layout(build("in1k", seed=3), MMVAN))
    assert equal(model.trunk, build("in1k", seed=3).backbone.state_dict())
    assert lines == ["VAN backbone: 176 tensors loaded from the official layout"]


KEPT = {
    "in1k": ("head.fc",),
    "maskrcnn": (
        "roi_head.bbox_head.fc_cls",
        "roi_head.bbox_head.fc_reg",
        "roi_head.mask_head.conv_logits",
    ),
    "fpn": ("decode_head.conv_seg",),
    "upernet": ("decode_head.conv_seg", "auxiliary_head.conv_seg"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_for_other_classes_keeps_its_values_or_is_refused(
    kind: str, tmp_path: Path, lines: list[str]
) -> None:
    given, model = build(kind, seed=1, classes=7), build(kind, seed=2)
    before = copy.deepcopy(model.state_dict())
    path = tmp_path / "file.pth"
    torch.save(in_layout(given, MMVAN), path)
    names = {f"{name}.{leaf}" for name in KEPT[kind] for leaf in ("weight", "bias")}
    with pytest.raises(
        CheckpointError, match=r"for another number of classes: (?s:.*)outputs"
    ) as e:
        by_us(model, path)
    assert "num_classes of the head: get_model(..., head=dict(num_classes=N))" in str(e.value)
    assert all(f"{name} ({len(given.state_dict()[name])} outputs" in str(e.value) for name in names)
    assert equal(model, before)
    by_the_runner(model, path)
    assert equal(model, given.state_dict() | {name: before[name] for name in names})
    assert lines == []


def test_another_neck_is_not_taken_for_other_classes(tmp_path: Path) -> None:
    wider = {
        "neck.lateral_convs.0.conv.weight": torch.ones(12, 8, 1, 1),
        "neck.fpn_convs.0.conv.weight": torch.ones(12, 12, 3, 3),
    }
    model = build("fpn")
    torch.save(model.state_dict() | wider, tmp_path / "file.pth")
    with pytest.raises(
        CheckpointError,
        match=r"of another shape: neck\.lateral_convs\.0\.conv\.weight \(12, 8, 1, 1\) instead of "
        r"\(8, 8, 1, 1\), neck\.fpn_convs",
    ):
        by_us(model, tmp_path / "file.pth")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("kind", ("maskrcnn", "fpn", "upernet"))
def test_a_training_may_start_from_a_classifiers_file(
    kind: str, layout: Layout, tmp_path: Path, lines: list[str]
) -> None:
    given, model = build("in1k", seed=1), build(kind, seed=2)
    others = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith("backbone.")}
    torch.save(in_layout(given, layout), tmp_path / "file.pth")
    by_the_runner(model, tmp_path / "file.pth")
    assert equal(model.backbone, given.backbone.state_dict())
    assert all(torch.equal(model.state_dict()[name], value) for name, value in others.items())
    assert [line for line in lines if "head.fc" in line] == [
        "not used by this model: head.fc.weight, head.fc.bias"
    ]
    assert len(lines) == 1 + (layout is not MMVAN)


def test_a_missing_head_is_an_error(tmp_path: Path) -> None:
    given, model = build("in1k", seed=1), build("in1k", seed=2)
    file = {key: value for key, value in in_layout(given, OFFICIAL).items() if "head" not in key}
    torch.save(file, tmp_path / "file.pth")
    with pytest.raises(
        CheckpointError,
        match=r"does not fit the model: not in the file: head\.fc\.weight, head\.fc\.bias; nothing",
    ):
        by_us(model, tmp_path / "file.pth")


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_files_load_without_a_word(kind: str, lines: list[str], tmp_path: Path) -> None:
    given, model = build(kind, seed=1), build(kind, seed=2)
    torch.save(given.state_dict(), tmp_path / "file.pth")
    for way in WAYS:
        way(emptied(model), tmp_path / "file.pth")
        assert equal(model, given.state_dict())
    assert lines == []


def foreign(backbone: State) -> nn.Module:
    config = load(find("in1k", "t")).model
    config.backbone = backbone
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build(config)


def test_models_without_our_backbone_are_left_alone(lines: list[str], tmp_path: Path) -> None:
    arch = {"type": "VAN", "arch": SMALL}
    for backbone in (arch, {"type": "ResNet", "depth": 18}):
        given, model = foreign(backbone), foreign(backbone)
        torch.save(given.state_dict(), tmp_path / "file.pth")
        by_the_runner(model, tmp_path / "file.pth")
        assert equal(model, given.state_dict())
    # A VAN of theirs refuses other layouts, as it always did.
    with pytest.raises(RuntimeError, match="Missing key"):
        foreign(arch).load_state_dict(in_layout(build("in1k"), OFFICIAL))
    assert lines == []


def test_only_the_backbone_has_a_hook() -> None:
    model = nn.Sequential(build("maskrcnn"))
    hooked = [name for name, m in model.named_modules() if m._load_state_dict_pre_hooks]
    assert [name for name in hooked if name.startswith("0.backbone")] == ["0.backbone"]
    without = foreign({"type": "ResNet", "depth": 18})
    assert not any(m._load_state_dict_pre_hooks for m in nn.Sequential(without).modules())
    assert not torch.nn.modules.module._global_module_registration_hooks
