"""The backbone: every published size, every option, and what it refuses."""

import copy
import itertools
from collections import Counter
from typing import Any, NamedTuple

import pytest
import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import mmvan
from mmvan import VAN
from mmvan.arch import ARCHS
from mmvan.errors import ModelError

SMALL = {"embed_dims": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "ffn_ratios": [2, 2, 2, 2]}
# The rows of Tables 3 and 6; what they cost is audited in tests/leaderboard.
ABLATIONS = (
    {"dw_conv": False},
    {"dw_d_conv": False},
    {"gate": "none"},
    {"gate": "add"},
    {"pw_conv": False},
    {"sigmoid": True},
    {"kernel_size": 7, "dilation": 2},
    {"kernel_size": 14, "dilation": 3},
    {"kernel_size": 28, "dilation": 4},
)


def small(**options: Any) -> VAN:
    torch.manual_seed(0)
    model = VAN(**{"arch": SMALL, **options})
    model.init_weights()
    return model


class Step(NamedTuple):
    outputs: tuple[Tensor, ...]
    gradients: dict[str, Tensor | None]
    buffers: dict[str, Tensor]


def train_step(model: VAN, x: Tensor) -> Step:
    torch.manual_seed(1)
    outputs = model(x)
    sum(out.square().mean() for out in outputs).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return Step(outputs, gradients, dict(model.named_buffers()))


@pytest.mark.parametrize("lka_cfg", ABLATIONS, ids=str)
def test_ablations_train_every_parameter(lka_cfg: dict[str, Any]) -> None:
    model = small(lka_cfg=lka_cfg)
    sum(out.sum() for out in model(torch.randn(2, 3, 40, 40))).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("arch", "with_cp"), (*itertools.product(ARCHS, (True,)), ("b0", "lean"), ("b2", "lean"))
)
def test_with_cp_changes_neither_outputs_nor_gradients_nor_statistics(
    arch: str, with_cp: bool | str
) -> None:
    """Forward and backward of every size: each parameter gets a gradient, equal with_cp."""
    torch.manual_seed(0)
    plain = VAN(arch, drop_path_rate=0.1)
    plain.init_weights()
    saving = VAN(arch, drop_path_rate=0.1, with_cp=with_cp)
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 33, 38)
    expected = train_step(plain, x)
    assert [tuple(out.shape) for out in expected.outputs] == [
        (2, dim, *size)
        for dim, size in zip(ARCHS[arch].embed_dims, ((9, 10), (5, 5), (3, 3), (2, 2)), strict=True)
    ]
    assert None not in expected.gradients.values()
    torch.testing.assert_close(train_step(saving, x), expected, rtol=0, atol=0)


@pytest.mark.smoke
@pytest.mark.parametrize("size", ((1, 1), (3, 70), (31, 33), (64, 64)))
def test_any_size_gives_maps_of_the_promised_channels_and_strides(size: tuple[int, int]) -> None:
    model = small().eval()
    outputs = model(torch.randn(1, 3, *size))
    assert model.out_channels == (8, 16, 24, 32)
    assert model.out_strides == (4, 8, 16, 32)
    for out, channels, stride in zip(outputs, model.out_channels, model.out_strides, strict=True):
        assert tuple(out.shape) == (1, channels, *(-(-edge // stride) for edge in size))


@pytest.mark.parametrize(
    "out_indices", [c for n in range(1, 5) for c in itertools.combinations(range(4), n)]
)
def test_stages_that_nobody_needs_are_not_built(out_indices: tuple[int, ...]) -> None:
    model, full = small(out_indices=out_indices).eval(), small().eval()
    assert len(model.stages) == max(out_indices) + 1
    assert not model.load_state_dict(full.state_dict(), strict=False).missing_keys
    x = torch.randn(1, 3, 40, 40)
    torch.testing.assert_close(model(x), tuple(full(x)[i] for i in out_indices))
    assert model.out_channels == tuple(full.out_channels[i] for i in out_indices)
    assert len(list(model.parameters())) <= len(list(full.parameters()))


def test_every_parameter_is_used_with_fewer_outputs() -> None:
    model = small(out_indices=(0, 1), layer_scale_init_value=None)
    sum(out.sum() for out in model(torch.randn(2, 3, 32, 32))).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not any("layer_scale" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize("frozen_stages", (-1, 0, 2, 3))
def test_frozen_stages_are_frozen_when_built_and_stay_in_eval(frozen_stages: int) -> None:
    model = small(frozen_stages=frozen_stages)
    for turn in (model, model.train(), model.eval().train()):
        for i, stage in enumerate(turn.stages):
            assert all(p.requires_grad is (i > frozen_stages) for p in stage.parameters())
            assert all(m.training is (i > frozen_stages) for m in stage.modules()) or turn is model
    before = copy.deepcopy(model.state_dict())
    model(torch.randn(2, 3, 32, 32))
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert {int(key.split(".")[1]) for key in changed} == set(range(frozen_stages + 1, 4))


def test_norm_eval_keeps_running_statistics_and_train_and_eval_return_self() -> None:
    model = small(norm_eval=True)
    assert model.train() is model
    assert model.training
    assert not any(m.training for m in model.modules() if isinstance(m, _BatchNorm))
    assert model.eval() is model
    assert not model.training


def test_drop_path_grows_linearly_over_all_blocks() -> None:
    model = VAN("b0", drop_path_rate=0.3, out_indices=(0, 1))
    rates = [getattr(b.drop_path, "drop_prob", 0.0) for s in model.stages for b in s.blocks]
    assert rates == pytest.approx([0.3 * i / 12 for i in range(6)])


def test_initialisation_is_the_authors() -> None:
    """Normal with variance 2 / fan_out for convolutions, zero biases, LayerScale 0.01."""
    model = VAN("b0")
    model.init_weights()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.weight[0, 0].numel() * module.out_channels / module.groups
            std = (2 / fan_out) ** 0.5
            tolerance = 5 * std / (2 * module.weight.numel()) ** 0.5
            assert module.weight.std().item() == pytest.approx(std, abs=tolerance), name
            assert not module.bias.any()
    scales = [p for name, p in model.named_parameters() if "layer_scale" in name]
    assert len(scales) == 26
    assert all((p == 0.01).all() for p in scales)


def test_a_seed_gives_the_same_weights_in_both_layouts() -> None:
    plain, inside = small(), small(channels_last=True)
    weight = inside.stages[1].embed.proj.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(inside.state_dict(), plain.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    "options",
    (
        {},
        {"act_cfg": {"type": "PReLU"}},
        {"norm_cfg": {"type": "GN", "num_groups": 4}, "out_norm_cfg": {"type": "BN"}},
        {"layer_scale_init_value": 0.5, "channels_last": True},
    ),
    ids=str,
)
def test_a_model_of_the_meta_device_is_initialised_wholly(options: dict[str, Any]) -> None:
    with torch.device("meta"):
        model = VAN(SMALL, **options)
    model.to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.fill_(7)
    expected = VAN(SMALL, **options)
    for initialised in (model, expected):
        torch.manual_seed(0)
        initialised.init_weights()
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("layout", (torch.contiguous_format, torch.channels_last))
def test_the_layout_of_the_input_is_kept_and_changes_no_number(layout: torch.memory_format) -> None:
    model, x = small().eval(), torch.randn(2, 3, 50, 61)
    outputs = model(x.to(memory_format=layout))
    assert all(out.is_contiguous(memory_format=layout) for out in outputs)
    torch.testing.assert_close(outputs, model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels_last", (True, "auto"))
def test_channels_last_by_option_changes_no_number(channels_last: bool | str) -> None:
    x = torch.randn(2, 3, 50, 61)
    plain, inside = small().eval(), small(channels_last=channels_last).eval()
    inside.load_state_dict(plain.state_dict())
    layouts = layouts_of_blocks(inside)
    outputs = inside(x)
    assert layouts == [torch.channels_last] * 5
    assert all(out.is_contiguous() for out in outputs)
    torch.testing.assert_close(outputs, plain(x), rtol=1e-5, atol=1e-5)


def layout_of(x: Tensor) -> torch.memory_format:
    layouts = (torch.contiguous_format, torch.channels_last)
    (layout,) = (layout for layout in layouts if x.is_contiguous(memory_format=layout))
    return layout


def layouts_of_blocks(model: VAN) -> list[torch.memory_format]:
    """The layouts of the maps that will come out of the blocks, filled by each call."""
    found: list[torch.memory_format] = []

    def note(_module: nn.Module, _args: object, out: Tensor) -> None:
        found.append(layout_of(out))

    for stage in model.stages:
        for block in stage.blocks:
            block.register_forward_hook(note)
    return found


def test_automatic_layout_is_the_inputs_where_no_measurement_says_otherwise() -> None:
    model = small(channels_last="auto").to("meta").eval()
    layouts = layouts_of_blocks(model)
    outputs = model(torch.empty(1, 3, 64, 64, device="meta"))
    assert layouts == [torch.contiguous_format] * 5
    assert all(out.is_contiguous() for out in outputs)
    assert all(p.is_contiguous() for p in small(channels_last="auto").parameters())


def operators_when_exported(channels_last: bool | str) -> Counter[str]:
    """How often each operator is in the traced and in the exported graph."""
    model, x = small(channels_last=channels_last).eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        traced = torch.jit.trace(model, x, check_trace=False).inlined_graph
        exported = torch.export.export(model, (x,)).graph
    names = Counter(node.kind() for node in traced.nodes() if "aten" in node.kind())
    return names + Counter(str(node.target) for node in exported.nodes if node.op != "output")


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("channels_last", (True, "auto"))
def test_exported_graphs_convert_no_layout(channels_last: bool | str) -> None:
    plain, found = operators_when_exported(False), operators_when_exported(channels_last)
    # Two of each of the five blocks, one of each patch embedding.
    assert plain["aten::batch_norm"] == plain["aten.batch_norm.default"] == 14
    assert found["aten::batch_norm"] == 14
    assert not found - plain


def test_autocast_runs_forward_and_backward() -> None:
    model = small()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model(torch.randn(2, 3, 32, 32))
    sum(out.float().sum() for out in outputs).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_other_norms_and_activations_are_built_by_mmcv() -> None:
    model = small(
        in_channels=4,
        norm_cfg={"type": "GN", "num_groups": 4},
        out_norm_cfg={"type": "BN"},
        act_cfg={"type": "ReLU"},
    )
    kinds = {type(module) for module in model.modules()}
    assert {nn.GroupNorm, nn.ReLU} <= kinds
    assert not {nn.GELU, nn.LayerNorm} & kinds
    assert len(model(torch.randn(2, 4, 32, 32))) == 4


@pytest.mark.smoke
def test_any_registry_finds_it_by_scope_alone() -> None:
    model = MODELS.build({"type": "mmvan.VAN", "arch": SMALL})
    assert type(model) is VAN is mmvan.VAN


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"arch": "b9"}, "unknown arch 'b9'"),
        ({"out_indices": (0, 4)}, r"out_indices must be .* subset of \(0, 1, 2, 3\), got \(0, 4\)"),
        ({"out_indices": ()}, "out_indices must be a non-empty subset"),
        ({"out_indices": (1, 1)}, "out_indices must be a non-empty subset"),
        ({"frozen_stages": 4}, r"frozen_stages must be between -1 \(none\) and 3, .* got 4"),
        ({"frozen_stages": 2, "out_indices": (0,)}, r"and 0, .*out_indices=\(0,\) builds, got 2"),
        ({"drop_path_rate": 1.0}, r"drop_path_rate must be a probability in \[0, 1\), got 1.0"),
        ({"drop_rate": -0.1}, r"drop_rate must be a probability"),
        ({"with_cp": "leen"}, "with_cp must be False, True or 'lean', got 'leen'"),
        ({"with_cp": 2}, "with_cp must be False, True or 'lean', got 2"),
        ({"channels_last": "on"}, "channels_last must be False, True or 'auto', got 'on'"),
        ({"lka_cfg": {"gate": "max"}}, r"lka_cfg\['gate'\] must be one of .* got 'max'"),
        ({"lka_cfg": {"kernel_size": 2}}, "kernel_size=2, dilation=3"),
        ({"lka_cfg": {"kernel_size": 12}}, "kernel_size 4 with dilation 3 cannot keep the size"),
        (
            {"lka_cfg": {"dw_conv": False, "dw_d_conv": False, "pw_conv": False}},
            "leaves no convolution",
        ),
    ),
)
def test_a_wrong_argument_is_named_with_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        VAN(**{"arch": SMALL, **options})
