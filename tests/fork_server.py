"""Runs Python commands in forks of a process that has imported the large libraries already.

A process of its own, see ``forks.py``: each line of the standard input asks for one command, and is
answered by the number of its process and by its status. Only libraries that know neither OpenMMLab
nor mmvan are imported before, so that each command imports and registers what it needs by itself.
"""

import contextlib
import gc
import json
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy

# What OpenMMLab's packages spend most of their own import on.
LARGE = (
    *("torch", "torch.distributed.optim", "torch.onnx", "torchvision", "cv2", "yaml", "yapf"),
    *("scipy.optimize", "scipy.ndimage", "scipy.interpolate", "matplotlib.pyplot", "PIL.Image"),
    *("pycocotools.cocoeval", "shapely.geometry", "rich.progress", "ftfy", "timm", "einops"),
    *("accelerate.hooks", "transformers.modeling_utils"),
)
OPENMMLAB = ("mmcv", "mmdet", "mmengine", "mmpretrain", "mmseg", "mmvan")


def import_large() -> None:
    """Import what takes long."""
    for name in LARGE:
        with contextlib.suppress(ImportError):  # what the installed frameworks do not need
            import_module(name)
    known = [name for name in sys.modules if name.startswith(OPENMMLAB)]
    if known:
        raise RuntimeError(f"expected no module of OpenMMLab before a command, found {known}")
    gc.freeze()  # Collecting in a child does not copy these pages.


def serve() -> dict[str, Any] | None:
    """Answer requests; in a child, return what it has to do."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            return request
        print(child, file=answers)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers)
    return None


def become(cwd: str, environment: Mapping[str, str], out: str, err: str) -> None:
    """Make this process what ``subprocess`` would have started, in a group of its own."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_APPEND),
        (2, err, os.O_WRONLY | os.O_APPEND),
    ):
        file = os.open(path, flags)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    numpy.random.seed()  # Else each command would draw the same numbers.


def run(arguments: Sequence[str], search: Sequence[str]) -> None:
    """Do what ``python ARGUMENTS`` does: run a module (``-m``) or a script."""
    if arguments[0] == "-m":
        first, target, rest = str(Path.cwd()), arguments[1], arguments[2:]
    else:
        first, target, rest = str(Path(arguments[0]).resolve().parent), arguments[0], arguments[1:]
    own = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [first, *own, *search]
    sys.argv[:] = [target, *rest]
    if arguments[0] == "-m":
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(target, run_name="__main__")


if __name__ == "__main__":
    import_large()
    if request := serve():
        become(request["cwd"], request["environment"], request["out"], request["err"])
        # Behind this folder; the server is started without a PYTHONPATH.
        run(request["arguments"], sys.path[1:])
