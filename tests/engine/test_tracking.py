import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import VISUALIZERS
from mmengine.visualization import Visualizer

from mmvan.engine.tracking import use_trackers
from mmvan.errors import ConfigError


def config(work_dir: Path, **visualizer: object) -> Config:
    return Config({"work_dir": str(work_dir), **({"visualizer": visualizer} if visualizer else {})})


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_backends_are_added_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    own = [{"type": "LocalVisBackend"}, {"type": "TensorboardVisBackend", "a": 1}]
    cfg = config(tmp_path / "van", type="DetLocalVisualizer", vis_backends=own)
    use_trackers(cfg, ["tensorboard", "mlflow", "mlflow"])
    assert cfg.visualizer.type == "DetLocalVisualizer"
    mlflow = {
        "type": "MLflowVisBackend",
        "run_name": "van",
        "exp_name": "mmvan",
        "tracking_uri": f"sqlite:///{tmp_path / 'van' / 'mlflow.db'}",
        "artifact_location": f"file://{tmp_path / 'van' / 'mlflow_files'}",
        "artifact_suffix": (),
    }
    assert cfg.visualizer.vis_backends == [*own, mlflow]


def test_a_server_of_mlflow_keeps_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "pets")
    cfg = config(tmp_path / "van")
    use_trackers(cfg, ["mlflow"])
    settings = {"run_name": "van", "exp_name": "pets", "tracking_uri": "http://localhost:5000"}
    assert cfg.visualizer.vis_backends[-1] == {"type": "MLflowVisBackend", **settings}


def test_without_a_visualizer_local_logs_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    cfg = config(tmp_path / "van")
    use_trackers(cfg, ["wandb"])
    kinds = [backend["type"] for backend in cfg.visualizer.vis_backends]
    assert kinds == ["LocalVisBackend", "WandbVisBackend"]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"package wandb is not installed\. Do: pip install"):
        use_trackers(config(tmp_path), ["wandb"])


def log_one_value(cfg: Config, save_dir: Path, name: str) -> None:
    settings = {**cfg.visualizer, "save_dir": str(save_dir), "name": name}
    visualizer = VISUALIZERS.build(settings)
    assert isinstance(visualizer, Visualizer)
    visualizer.add_config(cfg)  # As the Runner does; MMEngine's MLflow backend needs it to close.
    visualizer.add_scalars({"loss": np.float64(0.5)}, step=3)
    visualizer.close()
    (local,) = save_dir.rglob("scalars.json")
    assert json.loads(local.read_text()) == {"loss": 0.5, "step": 3}


def test_tensorboard_gets_the_values(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cfg = config(tmp_path / "van")
    use_trackers(cfg, ["tensorboard"])
    log_one_value(cfg, tmp_path / "van", "tensorboard")
    (events,) = tmp_path.rglob("events.out.*")
    found = EventAccumulator(str(events.parent))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(3, 0.5)]


def test_mlflow_gets_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    cfg = config(tmp_path / "van")
    use_trackers(cfg, ["mlflow"])
    log_one_value(cfg, tmp_path / "van", "mlflow")
    client = mlflow.MlflowClient(cfg.visualizer.vis_backends[-1].tracking_uri)
    (run,) = client.search_runs([client.get_experiment_by_name("mmvan").experiment_id])
    assert (run.info.run_name, run.info.status) == ("van", "FINISHED")
    assert run.data.params["work_dir"] == str(tmp_path / "van")
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == [
        (3, 0.5)
    ]
    files = tmp_path / "van" / "mlflow_files" / run.info.run_id / "artifacts"
    assert [path.name for path in files.iterdir()] == ["config.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["van"]
