"""See where a model errs: ``mmvan analyze SUBJECT ...``."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mmvan.engine.options import add_cfg_options, as_sentence
from mmvan.errors import ConfigError

if TYPE_CHECKING:
    from mmvan.analysis.section import Section

OF_PREDICTIONS = {
    "confusion": "confusion matrix",
    "per-class": "AP, IoU or precision and recall of each class",
    "worst": "the worst images, drawn",
    "errors": "kinds of a detector's errors",
    "all": "all of these that fit the task, and the logs of --runs",
}

DESCRIPTION = "Analyse logs, and predictions that tools/test.py --out saved."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    subjects = parser.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    logs = _add_subject(subjects, "logs", "log curves of several runs")
    logs.add_argument("runs", nargs="+", type=Path, metavar="WORK_DIR", help="folders of runs")
    _add_log_options(logs)
    logs.add_argument("--keys", nargs="+", metavar="NAME", help="what is drawn")
    for name, text in OF_PREDICTIONS.items():
        _add_prediction_options(_add_subject(subjects, name, text), name)
    browse = _add_subject(subjects, "browse", "a dataset with its annotations drawn")
    add = browse.add_argument
    add("config", help="config file, or a name of mmvan.list_models()")
    add("--subset", choices=("train", "val", "test"), default="train", help="(%(default)s)")
    add("--first", type=int, default=0, metavar="N", help="first image")
    add("--count", type=int, default=12, metavar="N", help="images (%(default)s)")
    for sub in subjects.choices.values():
        add = sub.add_argument
        add("--out", type=Path, default=Path("analysis"), help="folder of CSV, PNG (%(default)s)")
        add("--report", type=Path, metavar="FILE.html", help="also one file with everything")
        if sub is not logs:
            add_cfg_options(sub)


def _add_subject(
    subjects: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    return subjects.add_parser(name, help=text, description=as_sentence(text))


def _add_log_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--smooth", type=float, default=0.6, metavar="W", help="0 (none) to below 1 (%(default)s)"
    )


def _add_prediction_options(parser: argparse.ArgumentParser, subject: str) -> None:
    add = parser.add_argument
    add("config", help="config file that the test was run with")
    add("predictions", type=Path, help="what tools/test.py --out saved; only open your own .pkl")
    add("--score-thr", type=float, default=0.3, help="of boxes; AP takes all (%(default)s)")
    add("--count", type=int, default=9, metavar="N", help="worst images (%(default)s)")
    if subject == "all":
        add("--runs", nargs="+", type=Path, default=[], metavar="WORK_DIR", help="logs to add")
        _add_log_options(parser)


def run(args: argparse.Namespace) -> None:
    """Analyse, print, and write tables, figures and the report."""
    if args.report and args.report.suffix != ".html":
        raise ConfigError(f"--report {args.report}: expected the ending .html")
    if not 0 <= getattr(args, "smooth", 0) < 1:
        raise ConfigError(f"--smooth {args.smooth}: expected a weight from 0 to below 1")
    sections = analyze(args)
    for section in sections:
        print(section.as_text(), end="\n\n")
        section.write(args.out)
    if args.report:
        from mmvan.analysis.report import write_report

        of = args.runs[0].name if args.subject == "logs" else Path(args.config).stem
        write_report(f"{of}: analysis", sections, args.report)
    print(f"tables and figures: {args.out}", *([f"report: {args.report}"] if args.report else []))


def analyze(args: argparse.Namespace) -> "list[Section]":
    """The sections that were asked for."""
    from mmvan.analysis.logs import logs_section, read_runs

    if args.subject == "logs":
        return [logs_section(read_runs(args.runs), args.smooth, args.keys)]
    if args.subject == "browse":
        return [_browse(args)]
    sections = _of_predictions(args)
    if args.subject == "all" and args.runs:
        sections.append(logs_section(read_runs(args.runs), args.smooth))
    return sections


def _browse(args: argparse.Namespace) -> "Section":
    from mmvan.analysis.worst import browse_section
    from mmvan.inference.model import find_config
    from mmvan.visualization.augment import build_dataset

    cfg = find_config(args.config, args.cfg_options, ("model", f"{args.subset}_dataloader"))
    dataset = build_dataset(cfg, args.subset, as_stored=True)
    if not 0 <= args.first < len(dataset):
        raise ConfigError(f"--first {args.first}: the dataset has images 0 to {len(dataset) - 1}")
    indices = range(args.first, min(args.first + args.count, len(dataset)))
    return browse_section(cfg, dataset, indices, args.subset)


def _of_predictions(args: argparse.Namespace) -> "list[Section]":
    from mmvan.analysis.confusion import confusion_section
    from mmvan.analysis.errors import errors_section
    from mmvan.analysis.per_class import per_class_section
    from mmvan.analysis.sources import open_tested
    from mmvan.analysis.worst import worst_section
    from mmvan.inference.model import find_config

    cfg = find_config(args.config, args.cfg_options)
    tested = open_tested(cfg, args.predictions)
    if args.subject == "errors" and tested.task != "detection":
        raise ConfigError(f"errors: for detectors; {args.config} is for {tested.task}")
    makers = {
        "per-class": lambda: per_class_section(tested),
        "errors": lambda: errors_section(tested, args.score_thr),
        "confusion": lambda: confusion_section(tested, args.score_thr),
        "worst": lambda: worst_section(tested, args.count, args.score_thr),
    }
    if args.subject != "all":
        return [makers[args.subject]()]
    return [
        make() for name, make in makers.items() if name != "errors" or tested.task == "detection"
    ]
