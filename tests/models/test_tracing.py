"""Graphs of torch.fx compute what the model computes, in training and evaluation."""

from typing import Any

import pytest
import torch
from mmengine.analysis import get_model_complexity_info

from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.ops import use_backend

SMALL = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"channels_last": True},
    {"channels_last": "auto"},
    # In one layout: dropout draws in the order of the memory.
    {"drop_path_rate": 0.3, "drop_rate": 0.1},
    {"with_cp": True},
    {"with_cp": "lean"},
    {"lka_cfg": {"gate": "add", "sigmoid": True}},
    {"lka_cfg": {"dw_d_conv": False}},
    {"lka_cfg": {"kernel_size": 14}},
    {"layer_scale_init_value": None, "out_indices": (3, 1)},
    {"out_norm_cfg": {"type": "BN"}, "frozen_stages": 1},
)


def outputs(model: torch.nn.Module, x: torch.Tensor) -> Any:
    torch.manual_seed(1)
    return model(x)


@pytest.mark.parametrize("training", (True, False))
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_recorded_graph_computes_the_same(options: dict[str, Any], training: bool) -> None:
    torch.manual_seed(0)
    model = VAN(SMALL, **options).train(training)
    x = torch.rand(2, 3, 64, 47)
    graph = torch.fx.symbolic_trace(model)
    torch.testing.assert_close(outputs(graph, x), outputs(model, x), rtol=1e-4, atol=1e-5)
    x = torch.rand(3, 3, 33, 70)
    torch.testing.assert_close(outputs(graph, x), outputs(model, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ARCHS)
def test_every_size_is_recorded(arch: str) -> None:
    with torch.device("meta"):
        model = VAN(arch, drop_path_rate=0.1)
    graph = torch.fx.symbolic_trace(model)
    shapes = [out.shape for out in graph(torch.empty(1, 3, 64, 64, device="meta"))]
    assert [shape[1] for shape in shapes] == list(ARCHS[arch].embed_dims)


def test_torchvision_extracts_features() -> None:
    extraction = pytest.importorskip("torchvision.models.feature_extraction")
    torch.manual_seed(0)
    model = VAN(SMALL, drop_path_rate=0.2)
    extractor = extraction.create_feature_extractor(model, {"stages.2.norm": "deep"})
    x = torch.rand(2, 3, 64, 64)
    found = extractor.eval()(x)
    torch.testing.assert_close(found["deep"], model.eval()(x)[2], rtol=1e-4, atol=1e-5)
    assert outputs(extractor.train(), x)["deep"].requires_grad


def test_mmengines_counter_gives_one_number_for_all_backends() -> None:
    counts = set()
    for backend in ("torch", "phase_split", "native"):
        with use_backend(backend):
            model = VAN(SMALL, channels_last=True).eval()
            counts.add(get_model_complexity_info(model, (3, 80, 65), show_table=False)["flops"])
    assert len(counts) == 1
