"""Keeping freed memory for the next operator, instead of giving it back to the system.

On CPUs every operator allocates its output. glibc gives blocks of more than 32 MB back as soon as
they are free, and the system hands out new pages one by one and filled with zeros: with large maps
that takes longer than computing them (`benchmarks/README.md`, scaling).
"""

import ctypes
import platform

# malloc.h of glibc.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Let the process keep the memory that its operators free, up to the most that it ever needed.

    It is for processes that compute on a CPU; memory of a GPU is kept by PyTorch itself.

    Returns:
        bool: Whether that could be set: with glibc alone, the C library of most of Linux.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    malloc_option = ctypes.CDLL(None).mallopt
    # No block is a mapping of its own, and the end of the heap is never cut off.
    return bool(malloc_option(_M_MMAP_MAX, 0) and malloc_option(_M_TRIM_THRESHOLD, -1))
