"""The command ``python -m mmvan.leaderboard run``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from mmvan.engine.options import as_sentence
from mmvan.errors import ConfigError, UserError
from mmvan.leaderboard.evaluate import Settings, evaluate
from mmvan.leaderboard.output import hardware, make_folder, versions, write_table
from mmvan.leaderboard.plan import TASKS, Evaluation, plan_evaluations
from mmvan.leaderboard.report import FAILURES, Outcome, compare, make_table, summarise
from mmvan.leaderboard.table import to_text
from mmvan.zoo.catalogue import named_models, read_metafile

# Decoders and interpolation of other releases move a score by hundredths of a point.
TOLERANCE = 0.1


def add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its options."""
    text = "evaluate published weights and compare the scores with the published ones"
    parser = commands.add_parser("run", help=text, description=as_sentence(text))
    add = parser.add_argument
    add("--task", choices=(*TASKS, "all"), default="all", help="only models of this task")
    add("--models", nargs="+", default=[], metavar="NAME", help="only these models")
    add("--data-root", type=Path, metavar="DIR", help="what the configs call `data`")
    add("--limit", type=int, metavar="N", help="only N images each: a trial, not comparable")
    add("--weights", nargs="+", default=[], metavar="NAME=FILE", help="weights of a model")
    add("--weights-dir", type=Path, metavar="DIR", help="where the published files may lie")
    add("--metafile", type=Path, metavar="FILE", help="models of your own, in a metafile's form")
    add("--gpus", type=int, metavar="N", help="GPUs to use (default: all; 0 is the CPU)")
    add("--tolerance", type=float, default=TOLERANCE, help="points in %% (default: %(default)s)")
    add("--out", type=Path, default=Path("work_dirs/leaderboard"), help="folder of the results")
    add("--fresh", action="store_true", help="measure again what is on record in --out")
    parser.set_defaults(run=run_leaderboard)


def run_leaderboard(options: argparse.Namespace) -> int:
    """Evaluate row by row, and renew the report after each.

    Returns:
        int: 1 if a score is out of tolerance or an evaluation failed, else 0.
    """
    models = read_metafile(options.metafile) if options.metafile else [*named_models().values()]
    planned = plan_evaluations(models, options.task, options.models)
    settings = _settings(options, [evaluation.model.name for evaluation in planned])
    outcomes: list[Outcome] = []
    for number, evaluation in enumerate(planned, 1):
        print(f"[{number}/{len(planned)}] {evaluation.name}", flush=True)
        outcomes.append(_try(evaluation, settings))
        rows = compare(outcomes, options.tolerance, subset=options.limit is not None)
        table = make_table(rows)
        title = (
            f"`python -m mmvan.leaderboard run` in float32 on {hardware(settings.gpus)}, with "
            f"{versions()}; tolerance {options.tolerance:g} points: {summarise(rows)}."
        )
        files = write_table(table, title, settings.out, "leaderboard")
    print(f"{to_text(table)}\n{summarise(rows)}\n{files}")
    return int(any(row.verdict in FAILURES for row in rows))


def _try(evaluation: Evaluation, settings: Settings) -> Outcome:
    """Evaluate; a failure is a row of the report and does not end the others."""
    model = evaluation.model
    if model.weights is None and model.name not in settings.weights:
        return Outcome(evaluation, None)
    try:
        return Outcome(evaluation, evaluate(evaluation, settings))
    except UserError as error:
        print(f"failed: {error}", flush=True)
        return Outcome(evaluation, None, " ".join(str(error).split()))


def _settings(options: argparse.Namespace, names: Sequence[str]) -> Settings:
    weights = dict(_pair(text, names) for text in options.weights)
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"--limit {options.limit}: a number of images is needed, 1 or more")
    if options.data_root is not None and not options.data_root.is_dir():
        raise ConfigError(f"--data-root {options.data_root}: no such folder")
    available = torch.cuda.device_count()
    gpus = available if options.gpus is None else options.gpus
    if not 0 <= gpus <= available:
        raise ConfigError(f"--gpus {gpus}: this machine has {available}")
    return Settings(
        out=make_folder(options.out),
        data_root=options.data_root and options.data_root.resolve(),
        limit=options.limit,
        gpus=gpus,
        weights=weights,
        weights_dir=options.weights_dir,
        fresh=options.fresh,
    )


def _pair(text: str, names: Sequence[str]) -> tuple[str, str]:
    name, _, file = text.partition("=")
    if name not in names or not file:
        raise ConfigError(
            f"--weights {text}: expected NAME=FILE, with one of the models of this run: "
            f"{', '.join(dict.fromkeys(names))}"
        )
    return name, file
