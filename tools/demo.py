"""Train, evaluate and draw all three tasks on generated sample data: ``python tools/demo.py``.

It runs the commands that a user would run, prints each of them, keeps their full logs, and ends
with what was reached and with the commands for ImageNet, COCO and ADE20K.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from mmvan.engine.children import end_on_sigterm, started
from mmvan.visualization.curves import plot_curves, read_log
from mmvan.visualization.sheet import make_sheet

# As a user in the project's folder would type them.
TOOLS = Path(os.path.relpath(Path(__file__).parent))
CONFIGS = Path(os.path.relpath(Path(__file__).parents[1] / "configs"))
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
        goal: What the demo should reach on the held-out samples, in percent.
        real: Config of the real thing, its dataset, and its published result.
    """

    name: str
    config: str
    metric: str
    scale: float
    goal: float
    real: tuple[str, str, str]

    @property
    def work_dir(self) -> Path:
        """Where MMEngine keeps logs and checkpoints of the training."""
        return Path("work_dirs", Path(self.config).name)


TASKS = (
    Task(
        "classification",
        "classification/van_t_in1k_sample",
        "accuracy/top1",
        1.0,
        90.0,
        ("classification/van_b_in1k", "ImageNet-1k", "top-1 82.8"),
    ),
    Task(
        "detection",
        "detection/van_t_maskrcnn_sample",
        "coco/segm_mAP_50",
        100.0,
        50.0,
        ("detection/van_b_maskrcnn", "COCO 2017", "box AP 46.4, mask AP 41.8"),
    ),
    Task(
        "segmentation",
        "segmentation/van_t_fpn_sample",
        "mIoU",
        1.0,
        60.0,
        ("segmentation/van_b_fpn", "ADE20K", "mIoU 46.7"),
    ),
)


def run(command: list[str], log: Path) -> None:
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


def train(task: Task, out: Path, processes: int) -> None:
    """Train one task through the launcher, as for the real thing."""
    config = str(CONFIGS / f"{task.config}.py")
    run(
        ["bash", str(TOOLS / "dist_train.sh"), config, str(processes)],
        out / f"{task.name}_train.log",
    )


def evaluate(task: Task, out: Path) -> dict[str, float]:
    """Evaluate the last checkpoint on the held-out samples, and draw beside the ground truth."""
    test_dir, drawn = out / f"{task.name}_test", out / f"{task.name}_images"
    checkpoint = Path((task.work_dir / "last_checkpoint").read_text().strip())
    config = str(CONFIGS / f"{task.config}.py")
    places = ["--work-dir", str(test_dir), "--show-dir", str(drawn)]
    command = [sys.executable, str(TOOLS / "test.py"), config, str(checkpoint), *places]
    run(command, out / f"{task.name}_test.log")
    make_sheet(drawn, out / f"{task.name}.png")
    newest = max(test_dir.glob("*/*.json"), key=lambda path: path.stat().st_mtime)
    metrics: dict[str, float] = json.loads(newest.read_text())
    return metrics


def report(results: dict[str, dict[str, float]], seconds: dict[str, float], out: Path) -> bool:
    """Print and write what was reached; tell whether every goal was."""
    lines = ["| task | metric | reached | goal | seconds |", "|---|---|---|---|---|"]
    reached_all = True
    for task in TASKS:
        reached = results[task.name][task.metric] * task.scale
        reached_all &= reached >= task.goal
        row = (task.name, task.metric, f"{reached:.1f} %", f"{task.goal:.0f} %")
        lines.append(f"| {' | '.join(row)} | {seconds[task.name]:.0f} |")
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


def main() -> int:
    """Run the demo.

    Returns:
        0 if every goal was reached, 1 otherwise.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("work_dirs/demo"), help="results go here")
    out: Path = parser.parse_args().out
    end_on_sigterm()
    out.mkdir(parents=True, exist_ok=True)
    gpus = torch.cuda.device_count()
    # Without a GPU two processes of one thread beat one of two, and show data parallelism.
    processes = min(gpus, 2) or 2
    print(f"{processes} processes on {f'{gpus} GPUs' if gpus else 'the CPU, over gloo'}")
    run([sys.executable, str(TOOLS / "prepare_sample_data.py")], out / "data.log")
    results, seconds = {}, {}
    for task in TASKS:
        start = time.monotonic()
        train(task, out, processes)
        results[task.name] = evaluate(task, out)
        seconds[task.name] = time.monotonic() - start
    plot_curves({task.name: read_log(task.work_dir) for task in TASKS}, out / "curves.png")
    return 0 if report(results, seconds, out) else 1


if __name__ == "__main__":
    sys.exit(main())
