"""The state dict inside what a file holds."""

import pytest

from mmvan.checkpoint import wrappers
from mmvan.checkpoint.wrappers import WRAPPERS, state_dict_of


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    logged: list[str] = []
    monkeypatch.setattr(wrappers, "print_log", lambda line, **_: logged.append(line))
    return logged


@pytest.mark.parametrize("name", WRAPPERS)
def test_it_is_taken_out_of_each_wrapper(name: str, lines: list[str]) -> None:
    inner = {"a": 1}
    assert state_dict_of({name: inner, "epoch": 3}) is inner
    assert lines == []


def test_a_bare_state_dict_is_itself() -> None:
    # A submodule may be called model: its keys begin with that, none is that.
    bare = {"model.weight": 1, "model": 2}
    assert state_dict_of(bare) is bare
    assert state_dict_of({}) == {}


@pytest.mark.parametrize("averaged", ("state_dict_ema", "model_ema"))
@pytest.mark.parametrize("plain", ("state_dict", "model"))
def test_plain_weights_go_before_averaged_ones(plain: str, averaged: str, lines: list[str]) -> None:
    assert state_dict_of({averaged: {"a": 2}, plain: {"a": 1}}) == {"a": 1}
    assert lines == [f"the checkpoint holds {plain} and {averaged}: {plain} is taken"]
