"""Figures of small models with random weights: the maps against what defines them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from mmvan import VAN
from mmvan.errors import ConfigError
from mmvan.inference.predict import Predictor
from mmvan.models.layers import LargeKernelAttention
from mmvan.visualization import attention, cam, features
from mmvan.visualization.network_input import (
    NetworkInput,
    find_backbone,
    network_input,
    normalise,
)
from tests.inference.test_run import small_config


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    from mmvan.inference.model import build_model

    torch.manual_seed(0)
    return Predictor(build_model(small_config("van_t_in1k"), None, "cpu"))


@pytest.fixture(scope="module")
def given(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> NetworkInput:
    path = tmp_path_factory.mktemp("image") / "a.png"
    image = np.random.default_rng(0).integers(0, 256, (250, 300, 3), dtype=np.uint8)
    cv2.imwrite(str(path), image)
    return network_input(predictor, predictor.read(path), "a.png")


def test_the_input_is_the_image_normalised(predictor: Predictor, given: NetworkInput) -> None:
    assert given.image.shape == (224, 224, 3)
    direct = normalise(predictor, np.ascontiguousarray(given.image[..., ::-1]))
    assert torch.equal(direct, given.tensor)
    mean = predictor.model.data_preprocessor.mean.flatten()
    std = predictor.model.data_preprocessor.std.flatten()
    back = given.tensor[0].permute(1, 2, 0) * std + mean
    assert np.allclose(back.numpy(), given.image, atol=1e-3)


def test_a_model_without_van_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no mmvan\.VAN"):
        find_backbone(nn.Linear(1, 1))


def test_grad_cam_is_the_weighted_sum_of_activations(
    predictor: Predictor, given: NetworkInput
) -> None:
    pytest.importorskip("pytorch_grad_cam", reason="extra: visualize")
    values, label, score = cam.grad_cam(predictor, given, label=7, stage=4)
    kept: dict[str, Any] = {}
    layer = find_backbone(predictor.model).stages[3].blocks[-1]
    handle = layer.register_forward_hook(lambda _m, _i, out: kept.update(out=out))
    logits = predictor.model(given.tensor, mode="tensor")
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[0, 7], kept["out"])
    weights = gradient.mean((2, 3), keepdim=True)  # Selvaraju et al., equations 1 and 2.
    expected = (weights * kept["out"]).sum(1)[0].clamp_min(0).detach().numpy()
    expected = (expected - expected.min()) / (expected.max() - expected.min() + 1e-7)
    expected = cv2.resize(expected, (224, 224))
    expected = (expected - expected.min()) / (expected.max() - expected.min())  # Once more.
    assert (label, score) == (7, pytest.approx(float(logits[0, 7]), abs=1e-5))
    assert np.allclose(values, expected, atol=1e-3)
    assert cam.grad_cam(predictor, given)[1] == int(logits.argmax())


def test_attention_is_what_multiplies() -> None:
    torch.manual_seed(0)
    lka = LargeKernelAttention(4).eval()
    x = torch.rand(1, 4, 16, 16) + 0.1
    with torch.no_grad():
        assert torch.allclose(attention.attention_map(lka, x) * x, lka(x), atol=1e-5)


def test_maps_of_all_stages_have_the_size_of_the_image(given: NetworkInput) -> None:
    backbone = VAN({"embed_dims": (8, 16, 24, 32), "depths": (1, 1, 1, 1)}).eval()
    maps = attention.attention_of_stages(backbone, given)
    assert [each.shape for each in maps] == [(224, 224)] * 4
    outputs = features.stage_outputs(backbone, given)
    with torch.no_grad():
        expected = backbone(given.tensor)
    assert all(torch.equal(one, other[0]) for one, other in zip(outputs, expected, strict=True))


def test_channels_and_colours_of_a_constructed_map() -> None:
    output = torch.zeros(5, 4, 4)
    output[3] = torch.arange(16.0).reshape(4, 4)
    output[1] = output[3] / 2
    assert features.most_varied_channels(output, 2) == [3, 1]
    colours = features.principal_colours(output)
    assert np.allclose(colours[..., 0], np.arange(16).reshape(4, 4) / 15, atol=1e-6)


def test_figures_are_drawn(predictor: Predictor, given: NetworkInput, tmp_path: Path) -> None:
    for figure in (
        attention.plot(predictor.model, [given], "note"),
        features.plot(predictor.model, given, "note"),
    ):
        assert isinstance(figure, Figure)
        assert "a.png" in str([axes.get_title() for axes in figure.axes]) + figure.get_suptitle()
