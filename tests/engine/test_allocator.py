"""That freed memory is kept, seen by the page faults of a process of its own."""

import subprocess
import sys

import pytest

from mmvan.engine import allocator

FAULTS = """
import resource, sys
import torch
from mmvan.engine.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def run():
    return torch.zeros(16 << 20).add_(1).sum()  # 64 MB, 16384 pages of 4 KB.
run(), run()
counts = []
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    run()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sorted(counts)[2])
"""


def page_faults(how: str) -> int:
    """The most of the best three of four: the system may take pages away in between once."""
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_large_blocks_are_used_again() -> None:
    kept, given_back = page_faults("keep"), page_faults("give back")
    assert kept < 250
    assert kept < given_back


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    assert allocator.keep_freed_memory() is False
