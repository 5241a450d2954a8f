"""Train, evaluate and draw all three tasks on generated sample data: ``mmvan demo``.

It runs the commands that a user would run, prints each of them, keeps their full logs, and ends
with what was reached and with the commands for ImageNet, COCO and ADE20K. Without ``--full`` the
trainings are cut to a first look. A second start goes on where the first one stopped.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from mmvan.engine.children import end_on_sigterm, started
from mmvan.location import config_dir, zoo_dir
from mmvan.visualization.curves import plot_curves, read_log
from mmvan.visualization.sheet import make_sheet

DESCRIPTION = (
    "Train, evaluate and draw all three tasks on generated sample data. Every command that is run "
    "is printed; a stopped run goes on when it is started again. Status 1: a goal was not reached."
)
# As a user in the project's folder would type them; an editable install has links to it.
TOOLS = Path(os.path.relpath((zoo_dir() / "tools").resolve()))
CONFIGS = Path(os.path.relpath(config_dir().resolve()))
# Of the logs, what shows that a training or evaluation moves on.
PROGRESS = re.compile(r"(Epoch|Iter)\((train|val|test)\).*|^(train|test) \w+ \|.*|^error: .*")


@dataclass(frozen=True)
class Task:
    """One of the three tasks of the demo.

    Args:
        name: What is trained, for the reader.
        config: Sample config, below ``configs``, without its ending.
        metric: Name of the metric in the test log.
        scale: What the logged metric is multiplied by to give a percentage.
        goals: What the first look and the full demo should reach on the held-out samples, in
            percent. The first look's only tell a network that learns from one that does not.
        minutes: What they take on two CPU cores with AVX2 alone.
        short: Settings of the config that make the first look of it.
        real: Config of the real thing, its dataset, and its published result.
    """

    name: str
    config: str
    metric: str
    scale: float
    goals: tuple[float, float]
    minutes: tuple[float, float]
    short: tuple[str, ...]
    real: tuple[str, str, str]


@dataclass(frozen=True)
class Demo:
    """Where and how long.

    Args:
        out: Where results go.
        full: Whether the sample configs are trained as they are.
        processes: Of each training.
    """

    out: Path
    full: bool
    processes: int

    def work_dir(self, task: Task) -> Path:
        """Where MMEngine keeps logs and checkpoints of a training."""
        # Each config's own is where the other sample configs look for the trained backbone.
        return Path("work_dirs" if self.full else self.out, Path(task.config).name)

    def goal(self, task: Task) -> float:
        """What should be reached, in percent."""
        return task.goals[self.full]

    def minutes(self, task: Task) -> float:
        """What a task takes on two CPU cores with AVX2 alone."""
        return task.minutes[self.full]

    def options(self, task: Task) -> list[str]:
        """What ``--cfg-options`` gets."""
        if self.full:
            return []
        settings = [setting.format(out=self.out) for setting in task.short]
        return ["--cfg-options", *settings]


def _pipeline(loader: str, step: int, key: str, size: object) -> str:
    """One setting of one step of a loader's pipeline."""
    return f"{loader}_dataloader.dataset.pipeline.{step}.{key}={size}"


BACKBONE = "{out}/van_t_in1k_sample/epoch_3.pth"
TASKS = (
    Task(
        "classification",
        "classification/van_t_in1k_sample",
        "accuracy/top1",
        1.0,
        (30.0, 90.0),
        (2.0, 7.0),
        (
            "train_cfg.max_epochs=3",
            "train_cfg.val_interval=3",
            _pipeline("train", 1, "scale", 64),
            *(_pipeline(name, 1, "scale", 71) for name in ("val", "test")),
            *(_pipeline(name, 2, "crop_size", 64) for name in ("val", "test")),
        ),
        ("classification/van_b_in1k", "ImageNet-1k", "top-1 82.8"),
    ),
    Task(
        "detection",
        "detection/van_t_maskrcnn_sample",
        "coco/segm_mAP_50",
        100.0,
        (1.0, 50.0),
        (2.0, 7.0),
        (
            "train_cfg.max_epochs=1",
            "train_dataloader.dataset.indices=160",
            "param_scheduler.0.end=20",
            f"model.backbone.init_cfg.checkpoint={BACKBONE}",
        ),
        ("detection/van_b_maskrcnn", "COCO 2017", "box AP 46.4, mask AP 41.8"),
    ),
    Task(
        "segmentation",
        "segmentation/van_t_fpn_sample",
        "mIoU",
        1.0,
        (15.0, 60.0),
        (1.5, 6.0),
        (
            "train_cfg.max_iters=120",
            "train_cfg.val_interval=120",
            "default_hooks.checkpoint.interval=60",
            "param_scheduler.1.end=120",
            f"model.backbone.init_cfg.checkpoint={BACKBONE}",
        ),
        ("segmentation/van_b_fpn", "ADE20K", "mIoU 46.7"),
    ),
)


def run_logged(command: list[str], log: Path) -> None:
    """Run a command, show the lines that tell its progress, and keep everything in a log.

    Raises:
        SystemExit: If the command fails, after the end of its log was printed.
    """
    print(f"\n$ {shlex.join(command)}    (log: {log})", flush=True)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with log.open("w") as file, started(command, **pipes) as process:
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            if match := PROGRESS.search(line):
                print(f"  {match[0].strip()}", flush=True)
        status = process.wait()
    if status:
        end = "".join(log.read_text().splitlines(keepends=True)[-25:])
        raise SystemExit(f"{end}\nThe command above failed; its log is {log}")


def train(task: Task, demo: Demo) -> None:
    """Train one task through the launcher, as for the real thing; go on with what is there."""
    config = str(CONFIGS / f"{task.config}.py")
    places = ["--work-dir", str(demo.work_dir(task)), "--resume"]
    command = ["bash", str(TOOLS / "dist_train.sh"), config, str(demo.processes), *places]
    run_logged([*command, *demo.options(task)], demo.out / f"{task.name}_train.log")


def evaluate(task: Task, demo: Demo) -> dict[str, float]:
    """Evaluate the last checkpoint on the held-out samples, and draw beside the ground truth."""
    test_dir, drawn = demo.out / f"{task.name}_test", demo.out / f"{task.name}_images"
    checkpoint = Path((demo.work_dir(task) / "last_checkpoint").read_text().strip())
    config = str(CONFIGS / f"{task.config}.py")
    places = ["--work-dir", str(test_dir), "--show-dir", str(drawn)]
    command = [sys.executable, str(TOOLS / "test.py"), config, str(checkpoint), *places]
    run_logged([*command, *demo.options(task)], demo.out / f"{task.name}_test.log")
    make_sheet(drawn, demo.out / f"{task.name}.png")
    newest = max(test_dir.glob("*/*.json"), key=lambda path: path.stat().st_mtime)
    metrics: dict[str, float] = json.loads(newest.read_text())
    return metrics


def do(task: Task, demo: Demo) -> dict[str, float]:
    """Train and evaluate one task, unless an earlier start has done so.

    Returns:
        The metrics, and the seconds that this took.
    """
    done = demo.out / f"{task.name}_done.json"
    if not done.exists():
        start = time.monotonic()
        train(task, demo)
        metrics = evaluate(task, demo)
        metrics["seconds"] = time.monotonic() - start
        done.write_text(json.dumps(metrics))
    else:
        print(f"done by an earlier start ({done})", flush=True)
    found: dict[str, float] = json.loads(done.read_text())
    return found


def report(results: dict[str, dict[str, float]], demo: Demo) -> bool:
    """Print and write what was reached; tell whether every goal was."""
    out = demo.out
    lines = ["| task | metric | reached | goal | seconds |", "|---|---|---|---|---|"]
    reached_all = True
    for task in TASKS:
        reached = results[task.name][task.metric] * task.scale
        reached_all &= reached >= demo.goal(task)
        row = (task.name, task.metric, f"{reached:.1f} %", f"{demo.goal(task):.0f} %")
        lines.append(f"| {' | '.join(row)} | {results[task.name]['seconds']:.0f} |")
    (out / "results.md").write_text("\n".join(lines) + "\n")
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    print("\nHeld-out samples:", *lines, sep="\n")
    print(f"\nImages: {', '.join(str(out / f'{task.name}.png') for task in TASKS)}")
    print(f"Curves:   {out / 'curves.png'}")
    print("\nThe real thing, on 8 GPUs:\n")
    print("| dataset | command | published |", "|---|---|---|", sep="\n")
    for config, data, published in (task.real for task in TASKS):
        print(f"| {data} | `tools/dist_train.sh configs/{config}.py 8` | {published} |")
    return reached_all


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--full",
        action="store_true",
        help="train the sample configs to their end, not a first look",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew, whatever an earlier start has left"
    )
    parser.add_argument(
        "--out", type=Path, help="results go here (default: work_dirs/demo, with --full demo_full)"
    )


def begin(args: argparse.Namespace) -> Demo:
    """Make room for the results, and say how long it will take."""
    out = args.out or Path("work_dirs", "demo_full" if args.full else "demo")
    gpus = torch.cuda.device_count()
    # Without a GPU two processes of one thread beat one of two, and show data parallelism.
    demo = Demo(out, args.full, min(gpus, 2) or 2)
    if args.fresh:
        for folder in (out, *(demo.work_dir(task) for task in TASKS)):
            shutil.rmtree(folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    where = f"{gpus} GPUs" if gpus else "the CPU, over gloo"
    print(f"{demo.processes} processes on {where}")
    total = sum(demo.minutes(task) for task in TASKS)
    print(f"This takes about {total:.0f} minutes on two CPU cores that do nothing else.")
    return demo


def run(args: argparse.Namespace) -> int:
    """Run the demo.

    Returns:
        0 if every goal was reached, 1 otherwise.
    """
    end_on_sigterm()
    demo = begin(args)
    # The launcher's own choice is the environment of a clone.
    os.environ.setdefault("PYTHON", sys.executable)
    # Trainings of minutes are over before the fastest operators would have been found.
    os.environ.setdefault("MMVAN_TUNE", "0")
    run_logged([sys.executable, str(TOOLS / "prepare_sample_data.py")], demo.out / "data.log")
    results = {}
    for number, task in enumerate(TASKS, 1):
        about = f"about {demo.minutes(task):g} minutes on two cores"
        print(f"\n[{number}/{len(TASKS)}] {task.name}, {about}", flush=True)
        results[task.name] = do(task, demo)
    logs = {task.name: read_log(demo.work_dir(task)) for task in TASKS}
    plot_curves(logs, demo.out / "curves.png")
    return 0 if report(results, demo) else 1
