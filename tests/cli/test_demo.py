"""What the demo starts, skips and judges; the trainings themselves are replaced."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config, DictAction

from mmvan.cli import demo
from mmvan.cli.demo import TASKS, Demo, begin, do, report
from mmvan.cli.main import make_parser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def short(tmp_path: Path) -> Demo:
    return Demo(tmp_path, full=False, processes=2)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(demo, "train", lambda task, _: found.append(f"train {task.name}"))

    def evaluate(task: demo.Task, _: Demo) -> dict[str, float]:
        found.append(f"evaluate {task.name}")
        return {task.metric: 1.0}

    monkeypatch.setattr(demo, "evaluate", evaluate)
    return found


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_first_look_is_a_shorter_training_of_the_same_config(
    task: demo.Task, short: Demo
) -> None:
    path = ROOT / "configs" / f"{task.config}.py"
    full, cut = Config.fromfile(path), Config.fromfile(path)
    flag, *settings = short.options(task)
    assert flag == "--cfg-options"
    pairs = (setting.split("=", 1) for setting in settings)
    cut.merge_from_dict({key: DictAction._parse_int_float_bool(value) for key, value in pairs})
    length = "max_iters" if "max_iters" in full.train_cfg else "max_epochs"
    assert 0 < cut.train_cfg[length] < full.train_cfg[length]
    assert len(cut.train_dataloader.dataset.pipeline) == len(full.train_dataloader.dataset.pipeline)
    assert short.minutes(task) < Demo(Path(), True, 2).minutes(task)
    assert Demo(Path(), True, 2).options(task) == []


def test_every_backbone_starts_from_the_last_epoch_of_the_first_look(short: Demo) -> None:
    first, *others = TASKS
    epochs = next(s for s in short.options(first) if s.startswith("train_cfg.max_epochs="))
    weights = short.work_dir(first) / f"epoch_{epochs.partition('=')[2]}.pth"
    expected = f"model.backbone.init_cfg.checkpoint={weights}"
    assert all(expected in short.options(task) for task in others)


def test_a_second_start_does_what_is_left(short: Demo, started: list[str]) -> None:
    first = do(TASKS[0], short)
    assert do(TASKS[0], short) == first
    assert started == ["train classification", "evaluate classification"]
    assert first["seconds"] >= 0


def test_a_training_goes_on_with_what_is_there(
    short: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(demo, "run_logged", lambda command, log: commands.append(command))
    demo.train(TASKS[0], short)
    command = commands[0]
    assert command[command.index("--work-dir") + 1] == str(short.out / "van_t_in1k_sample")
    assert "--resume" in command


def test_the_goal_is_that_of_the_length(short: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    reached = {
        task.name: {task.metric: task.goals[0] / task.scale, "seconds": 1.0} for task in TASKS
    }
    assert report(reached, short)
    assert not report(reached, Demo(short.out, True, 2))
    assert json.loads((short.out / "results.json").read_text()) == reached
    assert "| 30 % |" in capsys.readouterr().out


@pytest.mark.parametrize("fresh", (False, True))
def test_it_says_how_long_it_takes_and_begins_anew_if_asked(
    fresh: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(tmp_path / "out"), *(["--fresh"] if fresh else [])]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "classification_done.json").touch()
    made = begin(make_parser("demo").parse_args(arguments))
    assert (made.out / "classification_done.json").exists() is not fresh
    assert "This takes about 6 minutes on two CPU cores" in capsys.readouterr().out
