"""What each process has counted goes on, whoever goes on with it."""

from collections import Counter
from pathlib import Path

import torch

from mmvan.engine.bad_data import BadDataHook
from mmvan.engine.counts import counts_of, give_counts

RANKS = [
    {"seen": 100, "replaced": 5, "kinds": {"truncated": 4, "empty": 1}, "reported": ["a", "b"]},
    {"seen": 101, "replaced": 2, "kinds": {"truncated": 2}, "reported": ["b", "c"]},
]


def given(ranks: int) -> list[BadDataHook]:
    hooks = [BadDataHook() for _ in range(ranks)]
    for rank, hook in enumerate(hooks):
        give_counts([hook], [{"BadDataHook": counts} for counts in RANKS], rank, ranks)
    return hooks


def test_as_many_processes_get_their_own_back(tmp_path: Path) -> None:
    hooks = given(2)
    assert hooks[1].seen == 101
    assert hooks[1].kinds == Counter(truncated=2)
    assert hooks[1].reported == {"b", "c"}
    torch.save(counts_of(hooks[:1]), tmp_path / "counts.pth")
    plain = torch.load(tmp_path / "counts.pth", weights_only=True)
    assert plain == {"BadDataHook": RANKS[0]}


def test_other_processes_share_them_with_the_same_sums() -> None:
    for ranks in (1, 3, 4):
        hooks = given(ranks)
        assert sum(hook.seen for hook in hooks) == 201
        assert sum(hook.replaced for hook in hooks) == 7
        assert sum((hook.kinds for hook in hooks), Counter()) == Counter(truncated=6, empty=1)
        assert all(hook.seen for hook in hooks)
        assert all(hook.reported == {"a", "b", "c"} for hook in hooks)


def test_what_was_not_saved_is_zero() -> None:
    hook = BadDataHook()
    give_counts([hook], [{}], 0, 1)
    assert (hook.seen, hook.kinds, hook.reported) == (0, Counter(), set())
