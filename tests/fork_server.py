"""Runs Python commands in forks of a process that has imported the large libraries already.

A process of its own, see ``forks.py``: each connection to its socket asks for one command, and is
answered by the number of its process and by its status. Only libraries that know neither OpenMMLab
nor mmvan are imported before, so that each command imports and registers what it needs by itself.
"""

import contextlib
import ctypes
import gc
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from select import select
from typing import Any

import numpy
from fork_client import NAMESPACE
from formatting import remembered
from yapf.yapflib import yapf_api

# What OpenMMLab's packages spend most of their own import on.
LARGE = (
    *("torch", "torch.distributed.optim", "torch.onnx", "torchvision", "cv2", "yaml", "yapf"),
    *("scipy.optimize", "scipy.ndimage", "scipy.interpolate", "matplotlib.pyplot", "PIL.Image"),
    *("pycocotools.cocoeval", "shapely.geometry", "rich.progress", "ftfy", "timm", "einops"),
    *("accelerate.hooks", "transformers.modeling_utils"),
)
OPENMMLAB = ("mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg", "mmvan")
_FILES = 4  # Standard input, output and error, and the network.


def import_large() -> None:
    """Import what takes long."""
    for name in LARGE:
        with contextlib.suppress(ImportError):  # what the installed frameworks do not need
            import_module(name)
    known = [name for name in sys.modules if name.startswith(OPENMMLAB)]
    if known:
        raise RuntimeError(f"expected no module of OpenMMLab before a command, found {known}")
    yapf_api.FormatCode = remembered(yapf_api.FormatCode)
    gc.freeze()  # Collecting in a child does not copy these pages.


class Server:
    """Answers requests until whoever started it is gone.

    Args:
        listener: Its socket.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._asking: dict[int, socket.socket] = {}

    def serve(self) -> dict[str, Any] | None:
        """Answer; in a child, return what it has to do, with its ``files``."""
        ended, wakes = os.pipe()
        for end in (ended, wakes):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes)
        while True:
            ready, _, _ = select([sys.stdin, ended, self._listener, *self._asking.values()], [], [])
            if sys.stdin in ready:
                for child in self._asking:
                    _kill(child)
                    os.waitpid(child, 0)
                return None
            if ended in ready:
                os.read(ended, 1 << 16)
            for child in [child for child, asking in self._asking.items() if asking in ready]:
                _kill(child)  # Nobody waits for it any more.
            self._tell_ended()
            if self._listener in ready and (request := self._start()):
                os.close(ended)
                os.close(wakes)
                return request

    def _start(self) -> dict[str, Any] | None:
        """Fork; nothing is returned in the parent."""
        asking, _ = self._listener.accept()
        line, files, _, _ = socket.recv_fds(asking, 1 << 16, _FILES)
        while not line.endswith(b"\n") and (more := asking.recv(1 << 16)):
            line += more
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            for connection in (self._listener, asking, *self._asking.values()):
                connection.close()
            return {**json.loads(line), "files": files}
        for file in files:
            os.close(file)
        self._asking[child] = asking
        _tell(asking, child)
        return None

    def _tell_ended(self) -> None:
        for child in list(self._asking):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                with self._asking.pop(child) as asking:
                    _tell(asking, os.waitstatus_to_exitcode(status))


def _kill(child: int) -> None:
    """With all that it started."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:  # It has no group yet.
        os.kill(child, signal.SIGKILL)


def _tell(asking: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        asking.sendall(f"{number}\n".encode())


def become(cwd: str, environment: Mapping[str, str], files: Sequence[int]) -> None:
    """Make this process, which has a group of its own, what ``subprocess`` would have started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    *streams, network = files if len(files) == _FILES else (*files, None)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if network is not None:
        _join(network)
        os.close(network)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # Libraries have asked for it, and it is remembered.
    numpy.random.seed()  # Else each command would draw the same numbers.


def _join(network: int) -> None:
    """Be in a network namespace, see ``ip netns``."""
    if os.fstat(network).st_ino == NAMESPACE.stat().st_ino:
        return
    if ctypes.CDLL(None, use_errno=True).setns(network, 0):
        raise OSError(ctypes.get_errno(), "the network of who asked cannot be joined")


def run(arguments: Sequence[str], search: Sequence[str]) -> None:
    """Do what ``python ARGUMENTS`` does: run a module (``-m``), a text (``-c``) or a script."""
    if arguments[0] == "-u":
        sys.stdout.reconfigure(write_through=True)
        arguments = arguments[1:]
    option = arguments[0] if arguments[0] in ("-m", "-c") else ""
    target, *rest = arguments[bool(option) :]
    first = {"": str(Path(target).resolve().parent), "-m": str(Path.cwd()), "-c": ""}[option]
    own = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [first, *own, *search]
    sys.argv[:] = [option if option == "-c" else target, *rest]
    if option == "-m":
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    elif option == "-c":
        exec(compile(target, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(target, run_name="__main__")


if __name__ == "__main__":
    import_large()
    server = Server(socket.socket(fileno=int(sys.argv[1])))
    if request := server.serve():
        become(request["cwd"], request["environment"], request["files"])
        # Behind this folder; the server is started without a PYTHONPATH.
        run(request["arguments"], sys.path[1:])
