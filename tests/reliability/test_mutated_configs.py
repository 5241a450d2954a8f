"""A few of the mutated configs; the script beside this file goes through hundreds."""

from collections import Counter
from pathlib import Path

import pytest

from tests.reliability.mutated_configs import run_all

COUNT = 18


@pytest.mark.slow
def test_a_mutated_config_runs_or_names_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    results = list(run_all(tmp_path, COUNT, seed=7))
    ends = Counter(result.end for _, _, result in results)
    print(dict(ends))
    assert [result.text for _, _, result in results if result.end == "died"] == []
    refused = [(m.key, r.text) for _, m, r in results if r.end == "refused" and not r.names_key]
    assert refused == []
    assert ends["refused"] >= COUNT // 2
