"""Prints what the code in the first argument changes in this process, as JSON."""

import json
import logging
import os
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import mmcv.cnn  # noqa: F401
import torch._dynamo  # Any first call of an optimizer or a custom operator imports it.
import torch.library
import torch.utils.checkpoint
from mmengine.runner import checkpoint
from torch.nn.modules import module


def state() -> dict[str, Any]:
    """What others in a process rely on, as plain values."""
    umask = os.umask(0)
    os.umask(umask)
    others = {
        name: [logger.level, len(logger.handlers), logger.propagate]
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger) and not name.startswith("mmvan")
    }
    loaders = checkpoint.CheckpointLoader._schemes.items()
    return {
        "loaders": {prefix: f"{load.__module__}.{load.__name__}" for prefix, load in loaders},
        "functions": [
            str(function)
            for function in (
                *(torch.load, torch.nn.Module.load_state_dict, torch.nn.Module.__setattr__),
                *(torch.nn.Module.register_module, checkpoint.load_checkpoint),
                *(sys.excepthook, warnings.showwarning),
            )
        ],
        "hooks": {
            name: len(hooks)
            for name, hooks in vars(module).items()
            if name.startswith("_global_") and isinstance(hooks, dict)
        },
        "threads": [threading.active_count(), torch.get_num_threads()],
        "warnings": list(map(str, warnings.filters)),
        "environment": dict(os.environ),
        "folders": [str(Path.cwd()), *sys.path],
        "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "loggers": [logging.root.level, len(logging.root.handlers), others],
        "torch": [
            str(torch.get_default_dtype()),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
        ],
        "random": int(torch.random.get_rng_state().sum()),
        "umask": umask,
    }


if __name__ == "__main__":
    before = state()
    exec(sys.argv[1], {"torch": torch})
    after = state()
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    print(json.dumps(changed))
