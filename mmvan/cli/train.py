"""Train a model of any of the three tasks: ``mmvan train CONFIG [options]``."""

import argparse

from mmvan.checkpoint.trust import trust_pickles
from mmvan.config_check import check_config
from mmvan.config_check.naming import naming_keys
from mmvan.engine.config import load_config
from mmvan.engine.determinism import finish_determinism
from mmvan.engine.device import choose_device
from mmvan.engine.processes import read_processes
from mmvan.engine.run import add_common_options, build_runner, prepare, set_work_dir, tune_operators
from mmvan.engine.signal_hook import stopping_at_signals
from mmvan.engine.training import add_training_options, apply_training_options

NEEDS = ("model", "train_dataloader", "train_cfg", "optim_wrapper")

DESCRIPTION = "Train a model; the config decides the task."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_common_options(parser)
    add_training_options(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    if args.unsafe:
        trust_pickles()
    processes = read_processes(args.launcher)
    device = choose_device(args.device)
    cfg = load_config(args.config, args.cfg_options, NEEDS)
    check_config(cfg, ("train",) if args.no_validate else ("train", "val"))
    set_work_dir(cfg, args.work_dir)
    apply_training_options(cfg, args, processes, device)
    if not args.no_tune:
        tune_operators(cfg)
    prepare(cfg, processes, device, training=True, check_data=not args.skip_data_check)
    with naming_keys(cfg):
        runner = build_runner(cfg)
        if args.deterministic:
            finish_determinism(cfg, args.deterministic, processes, device)
        with stopping_at_signals(runner):
            runner.train()
