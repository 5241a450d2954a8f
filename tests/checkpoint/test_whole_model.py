"""Files of whole models into whole models: every layout and wrapper, every way of loading."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, load_checkpoint
from mmpretrain.models import AverageClsScoreTTA
from torch import Tensor, nn

from mmvan import VAN
from mmvan.checkpoint import adapt, whole_model, wrappers
from mmvan.checkpoint.layouts import LAYOUTS, MMPRETRAIN, MMVAN, OFFICIAL, Layout
from mmvan.errors import CheckpointError
from tests.checkpoint.whole import KINDS, SMALL, build, equal, in_layout
from tests.configs.zoo import find, load

State = dict[str, Any]
HEAD = f"{MMVAN.head}.weight"


def with_module(state: State) -> State:
    return {f"module.{key}": value for key, value in state.items()}


WRAPPERS: dict[str, Callable[[State], State]] = {
    "bare": dict,
    "module": with_module,
    "state_dict": lambda state: {"state_dict": state, "epoch": 300},
    "model": lambda state: {"model": with_module(state), "args": None},
    "state_dict_ema": lambda state: {"state_dict_ema": state},
    "ema": lambda state: {**with_module(state), "steps": torch.tensor(9)},
}


def strictly(model: nn.Module, state: State, _: Path) -> None:
    extra = [key for key in state if key == "steps"]  # Nothing of the model, as PyTorch will say.
    model.load_state_dict({key: value for key, value in state.items() if key not in extra})


def loosely(model: nn.Module, state: State, _: Path) -> None:
    assert not model.load_state_dict(state, strict=False).missing_keys


def from_a_file(model: nn.Module, state: State, folder: Path) -> None:
    torch.save(state, folder / "file.pth")
    load_checkpoint(model, str(folder / "file.pth"))


WAYS = (strictly, loosely, from_a_file)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged about a file that is loaded."""
    logged: list[str] = []
    for module in (adapt, whole_model, wrappers):
        monkeypatch.setattr(module, "print_log", lambda line, **_: logged.append(line))
    return logged


def emptied(model: nn.Module) -> nn.Module:
    for tensor in model.state_dict().values():
        tensor.zero_()
    return model


def test_number_of_combinations() -> None:
    assert [len(part) for part in (KINDS, LAYOUTS, WRAPPERS, WAYS)] == [4, 5, 6, 3]


@pytest.mark.smoke
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_model_takes_its_file(kind: str, layout: Layout, tmp_path: Path) -> None:
    given, model = build(kind, seed=1), build(kind, seed=2)
    expected, file = given.state_dict(), in_layout(given, layout)
    loaded = 0
    for (name, wrap), way in itertools.product(WRAPPERS.items(), WAYS):
        way(emptied(model), wrap(file), tmp_path)
        assert equal(model, expected), f"{name}, {way.__name__}"
        loaded += 1
    assert loaded == 18


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
        # One line, which names the head; MMEngine drops it where a prefix is given.
        told = [line for line in lines if "VAN backbone: 176 tensors loaded" in line]
        assert lines == told
        assert len(told) == (0 if prefix and layout is MMVAN else 1)
        assert any(f"{layout.head}.weight" in line for line in told) == (not prefix)
        lines.clear()


def runner(model: nn.Module, folder: Path, **options: Any) -> Runner:
    return Runner(
        model,
        str(folder),
        train_dataloader=torch.utils.data.DataLoader([0, 1]),
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        experiment_name=f"{folder.parent.name}_{folder.name}",
        **options,
    )


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


def test_wrapped_models_load_like_bare_ones(tmp_path: Path) -> None:
    given = build("in1k", seed=1)
    file = in_layout(given, OFFICIAL)
    average = ExponentialMovingAverage(build("in1k"))
    average.load_state_dict({**with_module(file), "steps": torch.tensor(9)})
    tta = AverageClsScoreTTA(module=build("in1k"))
    from_a_file(tta, file, tmp_path)
    listed = nn.Sequential(nn.Linear(1, 1), build("in1k"))
    listed.load_state_dict({f"1.{key}": value for key, value in file.items()}, strict=False)
    copied = copy.deepcopy(copy.deepcopy(build("in1k")))
    copied.load_state_dict(file)
    models = (average.module, tta.module, listed[1], copied)
    assert [equal(model, given.state_dict()) for model in models] == [True] * 4
    assert average.steps == 9


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
    pair.load_state_dict(
        {f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()}
    )
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
    unlike.load_state_dict(state)
    assert equal(unlike, other.state_dict())


def test_one_file_is_not_enough_for_two_backbones() -> None:
    pair = nn.ModuleDict({"student": VAN(SMALL), "teacher": VAN(SMALL)})
    before = copy.deepcopy(pair.state_dict())
    with pytest.raises(CheckpointError, match=r"no VAN backbone under the prefix 'teacher\.'"):
        pair.load_state_dict({OFFICIAL.key(k): v for k, v in VAN(SMALL).state_dict().items()})
    assert equal(pair, before)


def test_the_backbone_may_have_any_name(lines: list[str]) -> None:
    class Model(nn.Module):
        def __init__(self, classifier: nn.Module) -> None:
            super().__init__()
            self.trunk, self.head = classifier.backbone, classifier.head

    given, model = build("in1k", seed=1), Model(build("in1k", seed=2))
    model.load_state_dict(in_layout(given, OFFICIAL))
    assert equal(model.trunk, given.backbone.state_dict())
    assert equal(model.head, given.head.state_dict())
    model.load_state_dict(in_layout(build("in1k", seed=3), MMVAN))
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


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_head_for_other_classes_keeps_its_values_and_one_line_says_so(
    kind: str, way: Callable[[nn.Module, State, Path], None], tmp_path: Path, lines: list[str]
) -> None:
    given, model = build(kind, seed=1, classes=7), build(kind, seed=2)
    before = copy.deepcopy(model.state_dict())
    way(model, in_layout(given, MMVAN), tmp_path)
    names = {f"{name}.{leaf}" for name in KEPT[kind] for leaf in ("weight", "bias")}
    expected = given.state_dict() | {name: before[name] for name in names}
    assert equal(model, expected)
    assert len(lines) == 1
    assert "made for another number of classes, left as initialised" in lines[0]
    assert all(f"{name} ({len(given.state_dict()[name])} outputs" in lines[0] for name in names)


def test_another_neck_is_not_taken_for_other_classes(lines: list[str]) -> None:
    wider = {
        "neck.lateral_convs.0.conv.weight": torch.ones(12, 8, 1, 1),
        "neck.fpn_convs.0.conv.weight": torch.ones(12, 12, 3, 3),
    }
    model = build("fpn")
    with pytest.raises(RuntimeError, match=r"for neck\.lateral_convs(?s:.*)for neck\.fpn_convs"):
        model.load_state_dict(model.state_dict() | wider)
    assert lines == []


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("kind", ("maskrcnn", "fpn", "upernet"))
def test_a_classifiers_head_is_left_out_of_other_models(
    kind: str, layout: Layout, lines: list[str]
) -> None:
    given, model = build("in1k", seed=1), build(kind, seed=2)
    others = {key for key in model.state_dict() if not key.startswith("backbone.")}
    result = model.load_state_dict(in_layout(given, layout), strict=False)
    assert equal(model.backbone, given.backbone.state_dict())
    assert set(result.missing_keys) == {key for key in others if "num_batches" not in key}
    assert not result.unexpected_keys
    assert [line for line in lines if "head.fc" in line] == [
        "not used by this model: head.fc.weight, head.fc.bias"
    ]
    assert len(lines) == 1 + (layout is not MMVAN)


def test_a_missing_head_is_reported_by_pytorch() -> None:
    given, model = build("in1k", seed=1), build("in1k", seed=2)
    file = {key: value for key, value in in_layout(given, OFFICIAL).items() if "head" not in key}
    with pytest.raises(RuntimeError, match=r'Missing key.* "head\.fc\.weight", "head\.fc\.bias"'):
        model.load_state_dict(file)
    assert model.load_state_dict(file, strict=False).missing_keys == [HEAD, "head.fc.bias"]
    assert equal(model.backbone, given.backbone.state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_our_own_files_load_without_a_word(kind: str, lines: list[str], tmp_path: Path) -> None:
    given, model = build(kind, seed=1), build(kind, seed=2)
    for way in WAYS:
        way(emptied(model), given.state_dict(), tmp_path)
        assert equal(model, given.state_dict())
    assert lines == []


def foreign(backbone: State) -> nn.Module:
    config = load(find("in1k", "t")).model
    config.backbone = backbone
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build(config)


def hooks(model: nn.Module) -> int:
    return sum(len(module._load_state_dict_pre_hooks) for module in model.modules())


def test_models_without_our_backbone_are_left_alone(lines: list[str]) -> None:
    arch = {"type": "VAN", "arch": SMALL}
    for backbone in (arch, {"type": "ResNet", "depth": 18}):
        given, model = foreign(backbone), foreign(backbone)
        assert hooks(model) == 0
        model.load_state_dict(given.state_dict())
        assert equal(model, given.state_dict())
    # A VAN of theirs refuses other layouts, as it always did.
    with pytest.raises(RuntimeError, match="Missing key"):
        foreign(arch).load_state_dict(in_layout(build("in1k"), OFFICIAL))
    assert lines == []


def test_a_model_whose_backbone_was_replaced_is_left_alone(lines: list[str]) -> None:
    model = build("in1k")
    model.backbone = foreign({"type": "VAN", "arch": SMALL}).backbone
    state: dict[str, Tensor] = copy.deepcopy(model.state_dict())
    assert MMPRETRAIN.prefix + MMPRETRAIN.stem in state
    model.load_state_dict(state)
    assert equal(model, state)
    assert lines == []
