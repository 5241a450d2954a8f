"""Models by name: built as their configs say, loaded wholly or not at all."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from torch import nn

import mmvan
from mmvan.errors import CheckpointError, ConfigError
from mmvan.zoo import build
from mmvan.zoo.catalogue import find_model, list_models

# Of the datasets: by method where it is not that of the task.
CLASSES = {
    "classification": 1000,
    "cub200": 200,
    "detection": 80,
    "mask2former_panoptic": 80 + 53,
    "segmentation": 150,
}


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was to be loaded")

    monkeypatch.setattr(build, "load_model", refuse)
    monkeypatch.setattr("mmengine.runner.checkpoint.CheckpointLoader.load_checkpoint", refuse)


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
def test_every_default_name_builds_without_loading_anything() -> None:
    defaults = [name for name in list_models() if find_model(name).is_default]
    for name in defaults:
        with torch.device("meta"):
            model = mmvan.get_model(name, device="meta")
        published = find_model(name).parameters
        parameters = sum(p.numel() for p in model.parameters())
        assert not model.training
        assert model.cfg.model.backbone.type == "mmvan.VAN"
        assert published is None or parameters == pytest.approx(published, rel=0.05), name
        classes = CLASSES.get(name.split("_", 2)[2], CLASSES[find_model(name).task])
        assert len(model.dataset_meta["classes"]) == classes, name
        assert not any(isinstance(m, nn.SyncBatchNorm) for m in model.modules())
    assert len(defaults) == 52


def test_the_default_scope_is_left_as_it_was() -> None:
    before = DefaultScope.get_current_instance()
    mmvan.get_model("van_t_fpn")
    assert DefaultScope.get_current_instance() is before


def test_options_change_the_model_of_the_config() -> None:
    model = mmvan.get_model(
        "van_t_in1k", backbone={"arch": "b1"}, head={"num_classes": 3, "in_channels": 512}
    )
    assert model.head.fc.weight.shape == (3, 512)
    assert model.cfg.model.head.num_classes == 3


@pytest.mark.parametrize(
    ("options", "message"),
    (
        (
            {"backbon": {"arch": "b1"}},
            r"get_model: model\.backbon\.arch: model has no 'backbon'\. Did you mean backbone",
        ),
        (
            {"head": {"los": {"type": "x"}}},
            r"get_model: model\.head\.los\.type: model\.head has no 'los'\. Did you mean loss",
        ),
    ),
)
def test_a_misspelt_option_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mmvan.get_model("van_t_in1k", **options)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no model is named 'van_base'"):
        mmvan.get_model("van_base")


@pytest.mark.parametrize(
    ("name", "message"),
    (
        ("van_b6_in1k", r"With the same config: van_b6_in22k_mmpretrain, van_b6_in22k_mmseg\."),
        ("van_h_fpn", r"There are weights for van_t_fpn, .*van_b6_upernet\."),
        ("van_t_maskrcnn", r"None are for detection; train it"),
    ),
)
def test_a_name_without_weights_says_which_names_have_them(name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=rf"no weights of {name} are published\. {message}"):
        mmvan.get_model(name, pretrained=True)


def test_a_file_is_loaded_wholly_and_survives_a_runner_s_initialisation(tmp_path: Path) -> None:
    source = mmvan.get_model("van_t_in1k")
    meta = {"dataset_meta": {"classes": ("one", "two")}}
    torch.save({"state_dict": source.state_dict(), "meta": meta}, tmp_path / "van.pth")
    model = mmvan.get_model("van_t_in1k", pretrained=str(tmp_path / "van.pth"))
    assert same(weights_of(model), weights_of(source))
    assert model.dataset_meta["classes"] == ("one", "two")
    model.init_weights()
    assert same(weights_of(model), weights_of(source))


def test_a_file_without_the_head_is_refused(tmp_path: Path) -> None:
    backbone = mmvan.get_model("van_t_in1k").backbone
    torch.save(backbone.state_dict(), tmp_path / "backbone.pth")
    with pytest.raises(CheckpointError, match=r"does not fit van_t_in1k") as error:
        mmvan.get_model("van_t_in1k", pretrained=str(tmp_path / "backbone.pth"))
    assert "not in the file: head.fc.weight, head.fc.bias; nothing was" in str(error.value)
    assert "A file of the backbone alone goes into the backbone" in str(error.value)


def test_a_file_of_ones_own_is_trusted_for_one_call(tmp_path: Path) -> None:
    source = mmvan.get_model("van_t_in1k")
    arguments = argparse.Namespace(lr=1e-3, output=tmp_path)  # A path is no plain value.
    path = str(tmp_path / "van.pth")
    torch.save({"state_dict": source.state_dict(), "args": arguments}, path)
    with pytest.raises(CheckpointError, match=r"is refused: it asks for pathlib\."):
        mmvan.get_model("van_t_in1k", pretrained=path)
    model = mmvan.get_model("van_t_in1k", pretrained=path, unsafe=True)
    assert same(weights_of(model), weights_of(source))
    with pytest.raises(CheckpointError, match="is refused"):
        mmvan.get_model("van_t_in1k", pretrained=path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"van\.pth"):
        mmvan.get_model("van_t_in1k", pretrained=tmp_path / "van.pth")


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    other = mmvan.get_model("van_s_in1k")
    torch.save(other.state_dict(), tmp_path / "van_s.pth")
    with pytest.raises(CheckpointError, match="arch 'b1'"):
        mmvan.get_model("van_t_in1k", pretrained=str(tmp_path / "van_s.pth"))


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Stands in for the network: notes what is loaded into what."""
    asked = []

    def load(module: nn.Module, address: str, name: str, *, unsafe: bool) -> dict[str, Any]:
        assert not unsafe
        asked.append((type(module).__name__, address))
        return {}

    monkeypatch.setattr(build, "load_model", load)
    return asked


@pytest.mark.parametrize(
    ("name", "module"),
    (
        ("van_t_in1k", "ImageClassifier"),
        ("van_t_in1k_huggingface", "ImageClassifier"),
        ("van_t_in1k_mmseg", "VAN"),
        ("van_t_fpn", "EncoderDecoder"),
    ),
)
def test_the_published_file_goes_where_it_fits(
    name: str, module: str, downloads: list[tuple[str, str]]
) -> None:
    model = mmvan.get_model(name, pretrained=True)
    weights = find_model(name).weights
    assert weights is not None
    assert downloads == [(module, weights.address)]
    # What was loaded counts as initialised, so that a Runner leaves it alone.
    assert (model.is_init, model.backbone.is_init) == (module != "VAN", module == "VAN")


@pytest.mark.usefixtures("downloads")
def test_a_doubtful_file_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    mmvan.get_model("van_l_upernet", pretrained=True)
    logger.removeHandler(caplog.handler)
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "653bd6b7: one of the two files is not what its name says" in warning.getMessage()
