"""Evaluate a checkpoint on any of the three tasks: ``mmvan test CONFIG CHECKPOINT``."""

import argparse

from mmvan.checkpoint.trust import trust_pickles
from mmvan.config_check import check_config
from mmvan.config_check.naming import naming_keys
from mmvan.engine.allocator import keep_freed_memory
from mmvan.engine.config import load_config
from mmvan.engine.device import choose_device
from mmvan.engine.processes import read_processes
from mmvan.engine.run import add_common_options, build_runner, prepare, set_work_dir, tune_operators
from mmvan.engine.testing import add_testing_options, apply_testing_options

NEEDS = ("model", "test_dataloader", "test_cfg", "test_evaluator")

DESCRIPTION = "Evaluate a checkpoint; the config decides the task."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_common_options(parser)
    add_testing_options(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate."""
    if args.unsafe:
        trust_pickles()
    processes = read_processes(args.launcher)
    device = choose_device(args.device)
    cfg = load_config(args.config, args.cfg_options, NEEDS)
    check_config(cfg, ("test",))
    set_work_dir(cfg, args.work_dir)
    apply_testing_options(cfg, args, processes)
    if not args.no_tune:
        tune_operators(cfg)
    if device == "cpu":  # Training was not measured faster by it.
        keep_freed_memory()
    prepare(cfg, processes, device, training=False, check_data=not args.skip_data_check)
    with naming_keys(cfg):
        build_runner(cfg).test()
