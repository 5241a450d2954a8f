import pytest
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from mmvan.engine import launch


def failing(status: int) -> object:
    failure = ProcessFailure(local_rank=0, pid=1, exitcode=status, error_file="<N/A>")

    def main() -> None:
        raise ChildFailedError("tools/train.py", {0: failure})

    return main


def test_user_error_keeps_its_status_without_a_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "main", failing(2))
    with pytest.raises(SystemExit) as status:
        launch.main()
    assert status.value.code == 2
    assert status.value.__suppress_context__


def test_other_failures_keep_torchruns_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "main", failing(1))
    with pytest.raises(ChildFailedError, match="exitcode"):
        launch.main()
