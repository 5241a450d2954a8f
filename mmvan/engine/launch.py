"""``python -m mmvan.engine.launch``: torchrun that ends with its processes' message and status.

When a process ends with a message for the user, torchrun follows it with its own traceback and
summary, 30 lines about processes and signals, and with another exit status. It does the same when a
signal ends it, and it does not know SIGUSR1, Slurm's warning.
"""

import os
import signal
import sys
from types import FrameType

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from mmvan.engine.children import kill, list_descendants
from mmvan.engine.errors import USER_ERROR_STATUS
from mmvan.engine.signals import STATUSES

# How long the processes have to write a checkpoint: a little less than the two minutes that
# tools/slurm_train.sh has itself warned before its limit. torchrun's default is 30.
_SHUTDOWN_SECONDS = "100"


def main() -> None:
    """Start the processes that the command line, torchrun's own, describes.

    Raises:
        SystemExit: With the status of a process that stopped because of the user's input or a
            signal, or because this process received one.
        ChildFailedError: Another failure of a process, with torchrun's summary.
    """
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", _SHUTDOWN_SECONDS)
    signal.signal(signal.SIGUSR1, _pass_on)
    try:
        run.main(_keep_ignoring(sys.argv[1:]))
    except ChildFailedError as error:
        _, first = error.get_first_failure()
        status = STATUSES.get(-first.exitcode, first.exitcode)  # -15: ended by signal 15
        if status not in (USER_ERROR_STATUS, *STATUSES.values()):
            raise
        raise SystemExit(status) from None
    except SignalException as error:
        # A second signal interrupts torchrun while it waits for its processes.
        kill(list_descendants(os.getpid()))
        raise SystemExit(STATUSES.get(error.sigval, 128 + error.sigval)) from None


def _pass_on(number: int, _: FrameType | None) -> None:
    """Let torchrun hand SIGUSR1 to its processes, as it does with the signals that it knows."""
    name = signal.Signals(number)
    raise SignalException(f"Process {os.getpid()} got signal: {name}", sigval=name)


def _keep_ignoring(arguments: list[str]) -> list[str]:
    """Leave out SIGHUP where it is ignored, as by nohup; torchrun would end by it."""
    option = "--signals-to-handle"
    known = option in run.get_args_parser()._option_string_actions
    if not known or signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        return arguments
    return [option, "SIGTERM,SIGINT,SIGQUIT", *arguments]


if __name__ == "__main__":
    main()
