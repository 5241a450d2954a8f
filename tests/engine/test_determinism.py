from collections.abc import Iterator

import pytest
import torch

from mmvan.engine.determinism import finish_determinism
from mmvan.engine.processes import Processes
from tests.configs.zoo import find, load


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("mode", "warns"), (("raise", False), ("warn", True)))
def test_an_operator_that_cannot_raises_or_warns(mode: str, warns: bool) -> None:
    finish_determinism(load(find("fpn", "b")), mode, Processes(), "cpu")
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.is_deterministic_algorithms_warn_only_enabled() is warns


@pytest.mark.parametrize(
    ("method", "kernels"),
    (("maskrcnn", "roi_align"), ("mask2former", "ms_deform_attn"), ("fpn", None)),
)
def test_kernels_that_do_not_tell_pytorch_are_named_on_gpus(
    method: str, kernels: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    for device in ("cpu", "cuda"):
        finish_determinism(load(find(method, "b")), "raise", Processes(), device)
    out = capsys.readouterr().out
    assert out.count("\n") == (kernels is not None)
    if kernels:
        assert out.startswith(f"--deterministic: mmcv's {kernels} add gradients on a GPU")
