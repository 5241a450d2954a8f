"""Which backend runs, who decides, and what the log and the errors say."""

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mmvan.errors import ModelError
from mmvan.models import LargeKernelAttention
from mmvan.ops import (
    BACKENDS,
    backends,
    kernels_are_fused,
    make_depthwise_conv,
    run_conv,
    use_backend,
)
from mmvan.ops.backends import choose_backend, requested_backend
from mmvan.ops.native.support import build_fault

ALL = ("torch", "phase_split", "native", "triton", "gluon")
REPORT = """
import json, sys, torch
from mmvan.ops import make_depthwise_conv, requested_backend, run_conv
run_conv(make_depthwise_conv(4, 7, 3), torch.rand(1, 4, 5, 5))
compiler = [name in sys.modules for name in ("triton", "torch._dynamo")]
print(json.dumps([requested_backend(), *compiler]))
"""


@pytest.fixture
def wide_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor for which the C operators are the fastest, whatever the tests run on."""
    monkeypatch.setattr(backends, "HAS_WIDE_VECTORS", True)


def choose(
    offers: tuple[str, ...] = ALL, automatic: str = "torch", argument: str | None = None
) -> str:
    return choose_backend("some_operator", (torch.rand(1, 1, 1, 1),), offers, automatic, argument)


def test_the_backends() -> None:
    assert tuple(BACKENDS) == ALL
    assert list(backends.KERNELS) == ["native", "triton", "gluon"]


def test_the_argument_comes_before_the_setting_and_that_before_the_operators_own_choice() -> None:
    assert choose(automatic="phase_split") == "phase_split"
    with use_backend("native"):
        assert choose(automatic="phase_split") == "native"
        assert choose(automatic="phase_split", argument="torch") == "torch"
        with use_backend(None):
            assert choose(automatic="phase_split") == "phase_split"
        assert choose(automatic="phase_split") == "native"
    assert choose(automatic="phase_split") == "phase_split"


def test_an_operator_without_the_backend_of_the_setting_makes_its_own_choice() -> None:
    with use_backend("triton"):
        assert choose(("torch", "phase_split"), "phase_split") == "phase_split"


@pytest.mark.parametrize(
    ("argument", "message"),
    (
        ("tritn", r"some_operator: backend must be one of torch, triton, got 'tritn'.*mean triton"),
        ("phase_split", r"must be one of torch, triton, got 'phase_split'"),
    ),
)
def test_an_argument_that_the_operator_lacks_is_refused(argument: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        choose(("torch", "triton"), argument=argument)


def test_a_bad_setting_is_refused_and_leaves_the_old_one() -> None:
    expected = r"use_backend must be one of torch, .*, triton, gluon, got 'tourch'.*torch"
    before = requested_backend()
    with pytest.raises(ModelError, match=expected), use_backend("tourch"):
        pass
    assert requested_backend() == before


def test_the_setting_is_left_when_the_context_ends_by_an_error() -> None:
    before = requested_backend()
    with pytest.raises(KeyError), use_backend("torch"):
        raise KeyError
    assert requested_backend() == before


def test_another_thread_keeps_its_own_setting() -> None:
    outside = requested_backend()
    with ThreadPoolExecutor(1) as pool, use_backend("torch"):
        assert (requested_backend(), pool.submit(requested_backend).result()) == ("torch", outside)


@pytest.mark.parametrize("name", ALL)
def test_a_setting_passes_modules_for_backends_with_kernels_alone(name: str) -> None:
    conv = make_depthwise_conv(2, 3)
    with use_backend(name):
        assert kernels_are_fused(torch.rand(1, 2, 3, 3), conv) is (name in backends.KERNELS)


@pytest.mark.usefixtures("wide_vectors")
def test_without_a_setting_modules_are_passed_where_the_c_operators_are_faster() -> None:
    conv, x = make_depthwise_conv(16, 3), torch.rand(1, 16, 4, 4)
    channels_last = x.contiguous(memory_format=torch.channels_last)
    with use_backend(None):
        assert build_fault() is None
        assert kernels_are_fused(channels_last, conv)
        assert not kernels_are_fused(x, conv)
        assert not kernels_are_fused(channels_last.double(), conv)
        assert not kernels_are_fused(channels_last[:, :8], conv)


def test_without_wide_vectors_the_c_operators_are_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(1, 16, 4, 4).contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr(backends, "HAS_WIDE_VECTORS", False)
    with use_backend(None):
        assert not kernels_are_fused(x, make_depthwise_conv(16, 3))


def test_the_environment_variable_decides_and_no_compiler_is_imported() -> None:
    run = subprocess.run(
        (sys.executable, "-c", REPORT),
        env=os.environ | {backends.VARIABLE: "phase_split"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == ["phase_split", False, False]


def test_a_bad_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends._setting, "name", "trion")
    with pytest.raises(ModelError, match=r"MMVAN_OPS_BACKEND must be .* got 'trion'.*triton"):
        run_conv(make_depthwise_conv(2, 3), torch.rand(1, 2, 3, 3))


def test_the_log_tells_each_choice_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_reported", set())
    caplog.set_level(logging.INFO, "mmvan.ops.backends")
    conv, x = make_depthwise_conv(2, 3, 2), torch.rand(1, 2, 3, 3)
    for name in ("torch", "phase_split", "torch"):
        with use_backend(name):
            run_conv(conv, x)
    run_conv(conv.double(), x.double())
    assert [record.getMessage() for record in caplog.records] == [
        "depthwise_conv2d on cpu, float32: torch",
        "depthwise_conv2d on cpu, float32: phase_split",
        "depthwise_conv2d on cpu, float64: phase_split",
    ]


def test_a_recorded_graph_holds_plain_operators_whatever_is_asked_for() -> None:
    seen: list[tuple[str, bool]] = []

    class Chosen(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((choose(argument="native"), kernels_are_fused(x)))
            return x + 1

    with use_backend("native"):
        torch.jit.trace(Chosen(), torch.rand(2), check_trace=False)
        torch.export.export(Chosen(), (torch.rand(2),))
    assert set(seen) == {("torch", False)}
    assert len(seen) >= 2


@pytest.mark.usefixtures("wide_vectors")
@pytest.mark.parametrize("heard", ("dw_conv", "dw_d_conv", "pw_conv"))
def test_modules_with_hooks_are_not_passed_without_a_setting(heard: str) -> None:
    module = LargeKernelAttention(16)
    x = torch.rand(1, 16, 4, 4).contiguous(memory_format=torch.channels_last)
    with use_backend(None):
        expected = module(x)
        assert kernels_are_fused(x, *module.children())
        calls: list[str] = []
        module.get_submodule(heard).register_forward_hook(lambda *_: calls.append(heard))
        out = module(x)
    assert calls == [heard]
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
