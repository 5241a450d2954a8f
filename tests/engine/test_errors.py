import statistics
from collections.abc import Callable

import pytest

from mmvan.engine import errors
from mmvan.engine.errors import run_command
from mmvan.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DeviceError,
    ModelError,
)


def raiser(error: Exception) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


KINDS = (ConfigError, CheckpointError, DeviceError, DataError, ModelError)


@pytest.mark.parametrize("kind", KINDS)
def test_user_errors_end_with_their_message_and_status_2(
    kind: type[ValueError], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(SystemExit) as status:
        run_command(raiser(kind("the reason")))
    assert status.value.code == 2
    assert capsys.readouterr().err == "error: the reason\n"


def wrapping(function: Callable[[], object]) -> Callable[[], None]:
    """What fails as a config's part does of which the function is the code."""

    def main() -> None:
        try:
            function()
        except ValueError as error:
            raise ConfigError("model.neck does not work") from error

    return main


def test_code_of_the_users_project_shows_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as status:
        run_command(wrapping(raiser(ValueError("a bug"))))
    told = capsys.readouterr().err
    assert status.value.code == 2
    assert f'File "{__file__}"' in told
    assert told.endswith("ValueError: a bug\nerror: model.neck does not work\n")


@pytest.mark.parametrize("wanted", (False, True))
def test_code_of_libraries_shows_it_on_demand(
    wanted: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMVAN_TRACEBACK", "1" if wanted else "")
    with pytest.raises(SystemExit):
        run_command(wrapping(lambda: statistics.quantiles([1, 2], n=0)))
    told = capsys.readouterr().err
    assert ("Traceback" in told) is wanted
    assert told.endswith("error: model.neck does not work\n")


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ValueError, match="a defect"):
        run_command(raiser(ValueError("a defect")))


def test_success_passes_through() -> None:
    calls: list[int] = []
    run_command(lambda: calls.append(1))
    assert calls == [1]


@pytest.mark.parametrize(("local_rank", "waits"), (("0", []), ("3", [10.0])))
def test_only_the_first_process_of_a_node_speaks_at_once(
    local_rank: str, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    monkeypatch.setattr(errors.time, "sleep", slept.append)
    with pytest.raises(SystemExit):
        run_command(raiser(ConfigError("the reason")))
    assert slept == waits
