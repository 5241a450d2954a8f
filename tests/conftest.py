"""Settings for the whole suite."""

import ctypes
import gc
import os
import platform
import signal
from collections.abc import Iterator
from pathlib import Path

import mmengine.config.config
import pytest
import torch
from mmengine.registry import DefaultScope
from yapf.yapflib import yapf_api

from tests.formatting import remembered

# Collecting garbage takes a while where there are many objects.
GIVEN_BACK_FROM = 3 << 29

# The suite runs in parallel; more threads than cores make tiny operators wait for each other.
torch.set_num_threads(1)
# Neither the tests nor the commands that they start measure operators, or use what was measured.
os.environ["MMVAN_TUNE"] = "0"
# No test cuts the power, and runs that save every second iteration waited longer for the disk than
# they computed. A closed file is still an error; the commands in processes of their own do sync.
os.fsync = os.fstat
# OpenMMLab's MMEngine has imported it, its maintained fork imports it when it is needed.
yapf_api.FormatCode = remembered(yapf_api.FormatCode)
if hasattr(mmengine.config.config, "FormatCode"):
    mmengine.config.config.FormatCode = yapf_api.FormatCode
# Loaders that are collected with the cycles of their runners have closed the queues of their
# workers before these are told to end, and wait for each of them as long as this, 5 seconds.
torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.5
# A suite that a shell starts in the background ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start what others wait for first; a worker that waits does nothing."""
    items.sort(key=lambda item: item.get_closest_marker("awaited") is None)


@pytest.fixture(autouse=True)
def _default_scope_of_its_own() -> Iterator[None]:
    """Each test begins without a default scope: Runners and libraries leave theirs behind."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(autouse=True, scope="module")
def _memory_is_given_back() -> Iterator[None]:
    """A worker runs thousands of tests: glibc would keep what the largest models needed."""
    yield
    if platform.libc_ver()[0] == "glibc" and _resident_memory() > GIVEN_BACK_FROM:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)


def _resident_memory() -> int:
    """Bytes (proc(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
