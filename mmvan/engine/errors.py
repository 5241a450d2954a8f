"""How a command reports an error that a user can fix."""

import os
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import mmvan
from mmvan.errors import UserError

USER_ERROR_STATUS = 2  # as argparse's
# How long the other processes of a node leave process 0 for the message that all of them have:
# the launcher ends everybody as soon as the first one exits.
_GRACE_SECONDS = 10.0
# What is installed, and this package, which may be used from a clone.
_LIBRARIES = (
    *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")),
    str(Path(mmvan.__file__).parent),
)
_LOCAL_RANK_VARIABLES = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK")


def run_command(main: Callable[[], None]) -> None:
    """Run a command; end with one message and status 2 when the user's input is at fault.

    What code of the user's project raised is shown with its traceback too. Other exceptions keep
    theirs: they are defects, here or in a library.

    Args:
        main: The command.

    Raises:
        SystemExit: With status 2, after the message was written to the standard error.
    """
    try:
        main()
    except UserError as error:
        if _local_rank() > 0:
            time.sleep(_GRACE_SECONDS)
        cause = error.__cause__
        if cause and (os.environ.get("MMVAN_TRACEBACK") or _is_of_the_project(cause)):
            traceback.print_exception(cause)
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(USER_ERROR_STATUS) from None


def _is_of_the_project(error: BaseException) -> bool:
    """Whether code raised it that is neither installed nor ours, as a project's own modules."""
    if not error.__traceback__:
        return False
    file = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    return file.is_file() and not any(file.is_relative_to(library) for library in _LIBRARIES)


def _local_rank() -> int:
    return next((int(os.environ[name]) for name in _LOCAL_RANK_VARIABLES if name in os.environ), 0)
