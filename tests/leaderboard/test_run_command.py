"""The whole reproduction on the sample data, with weights that are made to fit them."""

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

from mmvan.engine.config import load_config
from mmvan.leaderboard.evaluate import Settings, find_weights
from mmvan.leaderboard.plan import plan_evaluations
from mmvan.zoo.catalogue import named_models
from tests.forks import forked_python, run_python
from tests.leaderboard.test_main import status_of
from tests.tools.workplace import CONFIGS, PROJECT, Workplace

CONFIG = CONFIGS / "classification" / "van_t_in1k_sample.py"


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "work place", tasks=("cls",))


def fitted_weights(workplace: Workplace, file: Path) -> None:
    """Random features under a linear layer that is solved for the images of the test set."""
    torch.manual_seed(0)
    cfg = load_config(str(CONFIG), None, ())
    loader = cfg.test_dataloader
    loader.update(num_workers=0, persistent_workers=False, collate_fn={"type": "default_collate"})
    loader.dataset.data_root = str(workplace.root / loader.dataset.data_root)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), torch.no_grad():
        model = MODELS.build(cfg.model).eval()
        batches = [model.data_preprocessor(batch) for batch in Runner.build_dataloader(loader)]
        features = torch.cat([model.extract_feat(batch["inputs"])[-1] for batch in batches])
        labels = [sample.gt_label for batch in batches for sample in batch["data_samples"]]
        targets = torch.nn.functional.one_hot(torch.cat(labels), 10).float()
        matrix = torch.cat([features, torch.ones(len(features), 1)], 1)
        solution = torch.linalg.lstsq(matrix, targets, driver="gelsd").solution
        model.head.fc.weight.copy_(solution[:-1].T)
        model.head.fc.bias.copy_(solution[-1])
    torch.save({"state_dict": model.state_dict()}, file)


def entry(name: str, weights: Path | None, **metrics: float) -> dict[str, object]:
    facts = {"Layout": "mmvan", "Holds": "model", "SHA-256": "none published", "Source": "-"}
    return {
        "Name": name,
        "In Collection": "own",
        "Config": str(CONFIG),
        "Metadata": {"Training Data": "sample"},
        "Results": [{"Task": "", "Dataset": "sample", "Metrics": metrics}],
        **({"Weights": str(weights), "Checkpoint": facts} if weights else {}),
    }


@pytest.fixture
def run(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, list[dict[str, str]]]]:
    """The command in this process, which starts one for each evaluation."""
    monkeypatch.chdir(workplace.root)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(sys, "executable", str(forked_python()))

    def run(*options: str) -> tuple[int, str, list[dict[str, str]]]:
        status = status_of("run", "--gpus", 0, "--metafile", "own.yml", "--out", "out", *options)
        with Path("out", "leaderboard.csv").open() as file:
            return status, capsys.readouterr().out, [*csv.DictReader(file)]

    return run


@pytest.mark.slow
def test_right_wrong_missing_and_broken_weights_on_the_sample_data(
    workplace: Workplace, run: Callable[..., tuple[int, str, list[dict[str, str]]]]
) -> None:
    right, wrong, broken = (workplace.root / f"{name}.pth" for name in ("right", "wrong", "broken"))
    fitted_weights(workplace, right)
    state_dict = torch.load(right)["state_dict"]
    state_dict["head.fc.weight"] = state_dict["head.fc.weight"].roll(1, 0)
    torch.save({"state_dict": state_dict}, wrong)
    broken.write_bytes(right.read_bytes()[:1000])
    score = {"Top 1 Accuracy": 100.0}
    own = {
        "Collections": [{"Name": "own", "Metadata": {"Recipe": "-"}}],
        "Models": [
            entry("right", right, **score, **{"Top 5 Accuracy (somebody)": 100.0}),
            entry("wrong", wrong, **score),
            entry("broken", broken, **score),
            entry("untrained", None, **score),
        ],
    }
    (workplace.root / "own.yml").write_text(yaml.safe_dump(own))

    status, out, rows = run()
    assert status == 1
    assert [(row["model"], row["verdict"]) for row in rows] == [
        ("right", "within"),
        ("right", "within"),
        ("wrong", "OUT OF TOLERANCE"),
        ("broken", "FAILED"),
        ("untrained", "train"),
    ]
    assert rows[0]["ours"] == "100.00"
    assert float(rows[2]["ours"]) < 50
    assert "cut off after 1000 bytes" in rows[3]["note"]
    assert "2 within, 1 OUT OF TOLERANCE, 1 FAILED, 0 subset, 1 train" in out
    page = (workplace.root / "out" / "leaderboard.md").read_text()
    assert "in float32 on CPU" in page
    assert f"torch {torch.__version__}" in page

    # A second run takes from the records what is there, and measures what is not.
    seconds = rows[0]["seconds"]
    record = workplace.root / "out" / "records" / "wrong.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "key": "of another version"}))
    _, _, again = run()
    assert (again[0]["seconds"], len(again)) == (seconds, len(rows))
    assert len(list((workplace.root / "out" / "runs" / "right").glob("*/*.json"))) == 1
    assert len(list((workplace.root / "out" / "runs" / "wrong").glob("*/*.json"))) == 2

    status, _, rows = run(
        "--models",
        "right",
        "--limit",
        "3",
        "--weights",
        "right=wrong.pth",
        "--data-root",
        "data",
    )
    assert (status, [row["verdict"] for row in rows]) == (0, ["subset", "subset"])
    assert rows[0]["weights"] == "wrong.pth"


@pytest.mark.parametrize(
    ("options", "message"),
    (
        (("--limit", 0), "--limit 0: a number of images is needed"),
        (("--data-root", "gone"), "--data-root gone: no such folder"),
        (("--gpus", 99), "--gpus 99: this machine has"),
        (("--weights", "van_x=a.pth"), "--weights van_x=a.pth: expected NAME=FILE, with one of"),
        (("--metafile", "gone.yml"), "metafile gone.yml cannot be read"),
    ),
)
def test_bad_options_are_named(
    options: tuple[object, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("run", "--out", tmp_path, *options) == 2
    assert message in capsys.readouterr().err


def test_the_module_is_a_command(tmp_path: Path) -> None:
    words = ("-m", "mmvan.leaderboard", "run", "--limit", "0", "--out", "out")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = run_python(*words, cwd=tmp_path, environment=environment, timeout=300)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --limit 0: a number of images is needed")


def test_the_published_file_is_found_in_a_folder(tmp_path: Path) -> None:
    (evaluation,) = plan_evaluations(named_models().values(), "all", ["van_b_in1k"])
    (tmp_path / "van_base_828.pth.tar").touch()
    found = find_weights(evaluation, Settings(tmp_path, weights_dir=tmp_path))
    assert found == tmp_path / "van_base_828.pth.tar"
