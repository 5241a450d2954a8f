"""``python -m mmvan.engine.launch``: torchrun that adds nothing to the error of a process.

When a process ends with a message for the user, torchrun follows it with its own traceback and
summary, 30 lines about processes and signals, and with another exit status.
"""

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from mmvan.engine.errors import USER_ERROR_STATUS


def main() -> None:
    """Start the processes that the command line, torchrun's own, describes.

    Raises:
        SystemExit: With the status of a process that stopped because of the user's input.
        ChildFailedError: Another failure of a process, with torchrun's summary.
    """
    try:
        run.main()
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        if first.exitcode != USER_ERROR_STATUS:
            raise
        raise SystemExit(USER_ERROR_STATUS) from None


if __name__ == "__main__":
    main()
