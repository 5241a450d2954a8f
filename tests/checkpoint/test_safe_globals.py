import io
import pickle
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mmvan.checkpoint.safe_globals import allow_mmengine_checkpoints
from tests.forks import forked_python


@pytest.fixture(autouse=True)
def only_our_globals() -> Iterator[None]:
    with torch.serialization.safe_globals([]):
        torch.serialization.clear_safe_globals()
        allow_mmengine_checkpoints()
        yield


def saved(value: object) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    buffer.seek(0)
    return buffer


def test_message_hub_state_loads_with_the_check_on() -> None:
    hub = MessageHub.get_instance("test_safe_globals")
    for value in (1.5, 0.5):
        hub.update_scalar("train/loss", value)
    hub.update_info("best_score", np.float32(0.75))
    state = torch.load(saved(hub.state_dict()), weights_only=True)
    history, counts = state["log_scalars"]["train/loss"].data
    assert history.tolist() == [1.5, 0.5]
    assert state["log_scalars"]["train/loss"].statistics("mean") == 1.0
    assert counts.tolist() == [1, 1]
    assert state["runtime_info"]["best_score"] == np.float32(0.75)


def test_mmengine_state_is_refused_without_the_list() -> None:
    torch.serialization.clear_safe_globals()
    with pytest.raises(pickle.UnpicklingError, match="HistoryBuffer"):
        torch.load(saved(HistoryBuffer([1.0], [1])), weights_only=True)


@pytest.mark.parametrize("number", (np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64))
def test_arrays_and_scalars_of_numbers_load(number: type[np.generic]) -> None:
    array, scalar = torch.load(saved((np.ones(3, number), number(1))), weights_only=True)
    assert array.dtype == np.dtype(number)
    assert array.tolist() == [1, 1, 1]
    assert isinstance(scalar, number)
    assert scalar == 1


@pytest.mark.parametrize("module", ("numpy.core.multiarray", "numpy._core.multiarray"))
def test_pickles_of_both_numpy_releases_load(module: str) -> None:
    loaded = torch.load(renamed_multiarray(np.float64(2.5), module), weights_only=True)
    assert loaded == 2.5


def renamed_multiarray(value: object, module: str) -> io.BytesIO:
    """A checkpoint in PyTorch's legacy format, whose NumPy functions carry `module`'s name."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    here = np.float64(0).__reduce__()[0].__module__.encode()
    data = buffer.getvalue()
    assert data.count(b"c" + here + b"\n") == 1
    return io.BytesIO(data.replace(b"c" + here + b"\n", b"c" + module.encode() + b"\n"))


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code ran",))


class Attribute:
    def __init__(self, owner: object, name: str) -> None:
        self.arguments = (owner, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return (getattr, self.arguments)


@pytest.mark.parametrize(
    ("owner", "name"), ((HistoryBuffer, "__init__"), (torch.Tensor, "max"), (np.ndarray, "dump"))
)
def test_other_attributes_stay_refused(owner: object, name: str) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(saved(Attribute(owner, name)), weights_only=True)


@pytest.mark.parametrize(
    "value",
    (Payload(), np.array([Payload()], dtype=object), np.array([{}], dtype=object)),
    ids=["callable", "callable in an array", "object array"],
)
def test_anything_else_stays_refused(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(saved(value), weights_only=True)
    assert "code ran" not in capsys.readouterr().out


def test_import_needs_no_task_library() -> None:
    code = (
        "import sys, mmvan.checkpoint;"
        "print([m for m in ('mmcv', 'mmdet', 'mmseg', 'mmpretrain') if m in sys.modules])"
    )
    run = subprocess.run([forked_python(), "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
