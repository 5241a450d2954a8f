"""Counts that every process of a run keeps for itself, saved and given back.

They decide what the processes do together: a process that has counted nothing, beside one whose
counts were given back, would not come to a collective operation that the other one waits in.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook

from mmvan.engine.bad_data import BadDataHook

# Of which hooks; numbers, Counters and sets.
_NAMES: Mapping[type[Hook], tuple[str, ...]] = {
    BadDataHook: ("seen", "replaced", "kinds", "reported")
}


def counts_of(hooks: Sequence[Hook]) -> dict[str, dict[str, Any]]:
    """What this process has counted, in plain values for a checkpoint."""
    return {
        type(hook).__name__: {name: _to_plain(getattr(hook, name)) for name in _names(hook)}
        for hook in hooks
        if _names(hook)
    }


def give_counts(
    hooks: Sequence[Hook],
    of_ranks: Sequence[Mapping[str, Mapping[str, Any]]],
    rank: int,
    ranks: int,
) -> None:
    """Give the hooks of a process what it had counted.

    Another number of processes shares what all had counted, with the same sums.

    Args:
        hooks: Of this process.
        of_ranks: What each of the former processes had counted.
        rank: Number of this process.
        ranks: How many there are.
    """
    for hook in hooks:
        for name in _names(hook):
            values = [_read(counts, hook, name) for counts in of_ranks]
            value = values[rank] if len(values) == ranks else _share(values, rank, ranks)
            setattr(hook, name, value)


def _names(hook: Hook) -> tuple[str, ...]:
    return next((names for kind, names in _NAMES.items() if isinstance(hook, kind)), ())


def _to_plain(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    return dict(value) if isinstance(value, Counter) else value


def _read(counts: Mapping[str, Mapping[str, Any]], hook: Hook, name: str) -> Any:
    """A former process's value, of the type that the hook's own has."""
    value = getattr(hook, name)
    return type(value)(counts.get(type(hook).__name__, {}).get(name, type(value)()))


def _share(values: Sequence[Any], rank: int, ranks: int) -> Any:
    first = values[0]
    if isinstance(first, set):
        return set().union(*values)
    if isinstance(first, Counter):
        total: Counter[str] = sum(values, Counter())
        shares = {key: _part(number, rank, ranks) for key, number in total.items()}
        return Counter({key: number for key, number in shares.items() if number})
    return _part(sum(values), rank, ranks)


def _part(total: int, rank: int, ranks: int) -> int:
    return total // ranks + (rank < total % ranks)
