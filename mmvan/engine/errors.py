"""How a command reports an error that a user can fix."""

import os
import sys
import time
from collections.abc import Callable

from mmvan.errors import UserError

USER_ERROR_STATUS = 2  # as argparse's
# How long the other processes of a node leave process 0 for the message that all of them have:
# the launcher ends everybody as soon as the first one exits.
_GRACE_SECONDS = 10.0
_LOCAL_RANK_VARIABLES = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK")


def run_command(main: Callable[[], None]) -> None:
    """Run a command; end with one message and status 2 when the user's input is at fault.

    Other exceptions keep their traceback: they are defects, here or in a library.

    Args:
        main: The command.

    Raises:
        SystemExit: With status 2, after the message was written to the standard error.
    """
    try:
        main()
    except UserError as error:
        if error.__cause__ and os.environ.get("MMVAN_TRACEBACK"):
            raise
        if _local_rank() > 0:
            time.sleep(_GRACE_SECONDS)
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(USER_ERROR_STATUS) from None


def _local_rank() -> int:
    return next((int(os.environ[name]) for name in _LOCAL_RANK_VARIABLES if name in os.environ), 0)
