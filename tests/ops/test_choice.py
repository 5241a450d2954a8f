"""What is found fastest comes before the rules, and after what somebody asks for."""

import json
from collections.abc import Iterator

import pytest
import torch

from mmvan import VAN
from mmvan.errors import ModelError
from mmvan.ops import (
    BACKENDS,
    backends,
    describe_choice,
    kernels_are_fused,
    make_depthwise_conv,
    restore_choice,
    use_backend,
)
from mmvan.ops.backends import own_choice
from mmvan.ops.choice import Choice, choose, is_chosen
from mmvan.ops.gluon import support as gluon_support

ARCH = {"embed_dims": [16, 16], "depths": [1, 1], "ffn_ratios": [1, 1]}


@pytest.fixture(autouse=True)
def _no_choice() -> Iterator[None]:
    restore_choice({})
    with use_backend(None):
        yield
    restore_choice({})


def test_a_choice_comes_before_the_rule_and_after_a_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backends, "HAS_WIDE_VECTORS", False)
    conv = make_depthwise_conv(16, 3)
    x = torch.rand(1, 16, 4, 4).contiguous(memory_format=torch.channels_last)
    assert not kernels_are_fused(x, conv)
    choose("cpu", "training", Choice("native", True))
    assert kernels_are_fused(x, conv)
    with torch.no_grad():
        assert not kernels_are_fused(x, conv)
    with use_backend("torch"):
        assert not kernels_are_fused(x, conv)


def test_what_the_chosen_backend_cannot_compute_is_left_to_the_rule() -> None:
    choose("cpu", "training", Choice("native", False))
    weight = torch.rand(8, 1, 3, 3)
    odd = torch.rand(1, 8, 4, 4)
    assert own_choice(odd, weight, offers=BACKENDS, otherwise="phase_split") == "phase_split"
    choose("cpu", "training", Choice("triton", False))
    assert own_choice(odd, weight, offers=BACKENDS) == "torch"
    choose("cpu", "training", Choice("phase_split", False))
    assert own_choice(odd, weight, offers=("torch", "native")) == "torch"
    assert own_choice(odd, weight, offers=BACKENDS) == "phase_split"


class OnGpu(torch.Tensor):
    """A map that says it is on a GPU."""

    device = torch.device("cuda")


def test_a_choice_of_another_gpu_is_left_to_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is resumed where Gluon's kernels do not run."""
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(gluon_support, "OLDEST", (0, 0))
    x, weight = torch.rand(1, 8, 4, 4).as_subclass(OnGpu), torch.rand(8, 1, 3, 3)
    restore_choice({"cuda training": {"backend": "gluon", "channels_last": True}})
    found = []
    for capability in ((9, 0), (7, 5)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        backends._device_fault.cache_clear()
        found.append(own_choice(x, weight, offers=BACKENDS))
    backends._device_fault.cache_clear()
    assert found == ["gluon", "torch"]


def test_what_the_device_lacks_is_known_when_a_graph_is_compiled() -> None:
    choose("cpu", "training", Choice("gluon", True))
    weight = torch.rand(8, 1, 3, 3)

    @torch.compile(backend="eager", fullgraph=True)
    def add_one_for_torch(x: torch.Tensor) -> torch.Tensor:
        return x + (own_choice(x, weight, offers=BACKENDS) == "torch")

    assert add_one_for_torch(torch.zeros(1, 8, 4, 4)).eq(1).all()


@pytest.mark.parametrize("channels_last", (True, False))
def test_auto_is_the_chosen_layout_and_changes_no_number(channels_last: bool) -> None:
    torch.manual_seed(0)
    model, x = VAN(ARCH, channels_last="auto").eval(), torch.randn(1, 3, 32, 32)
    expected = model(x)
    layouts: list[bool] = []
    model.stages[0].register_forward_hook(
        lambda *call: layouts.append(call[2].is_contiguous(memory_format=torch.channels_last))
    )
    choose("cpu", "training", Choice("torch", channels_last))
    for found, right in zip(model(x), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)
    assert layouts == [channels_last]


def test_choices_are_kept_as_plain_values_and_come_back() -> None:
    choose("cpu", "training", Choice("native", True))
    choose("cuda", "inference", Choice("triton", False))
    described = json.loads(json.dumps(describe_choice()))
    assert described == {
        "cpu training": {"backend": "native", "channels_last": True},
        "cuda inference": {"backend": "triton", "channels_last": False},
    }
    restore_choice({})
    assert not is_chosen("cpu", "training")
    restore_choice(described)
    assert is_chosen("cpu", "training")
    assert describe_choice() == described


@pytest.mark.parametrize("bad", ({"cpu": {}}, {"cpu training": {"backend": "torch"}}, ["cpu"]))
def test_what_is_no_choice_is_refused_and_changes_nothing(bad: object) -> None:
    choose("cpu", "training", Choice("native", True))
    before = describe_choice()
    with pytest.raises(ModelError, match="no choice of operators"):
        restore_choice(bad)
    assert describe_choice() == before
