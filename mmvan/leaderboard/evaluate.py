"""Run one evaluation with the test command, and keep what it measured."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmvan.checkpoint.download import sha256_of
from mmvan.checkpoint.schemes import locate
from mmvan.engine.children import started
from mmvan.engine.config import load_config
from mmvan.errors import CheckpointError, DataError
from mmvan.leaderboard.plan import Evaluation
from mmvan.location import zoo_dir
from mmvan.version import __version__

_DATA = "data/"  # Where all configs look for their datasets.


@dataclass(frozen=True)
class Settings:
    """What holds for all evaluations of one run.

    Args:
        out: Folder of the records and logs.
        data_root: Stands for the folder ``data`` of the configs; None for that folder.
        limit: Only the first so many images; None for all.
        gpus: Number of GPUs; 0 for the CPU.
        weights: Local files by the name of a model.
        weights_dir: A folder that is searched for the published files by their names.
        fresh: Measure again what is on record.
    """

    out: Path
    data_root: Path | None = None
    limit: int | None = None
    gpus: int = 0
    weights: Mapping[str, str] = field(default_factory=dict)
    weights_dir: Path | None = None
    fresh: bool = False


@dataclass(frozen=True)
class Record:
    """What an evaluation measured.

    Args:
        key: Tells evaluations with other weights, settings or versions from this one.
        metrics: The evaluator's metrics by their names.
        weights: Name of the file of weights.
        weights_sha256: Its SHA-256.
        seconds: How long it took, start-up included.
    """

    key: str
    metrics: Mapping[str, float]
    weights: str
    weights_sha256: str
    seconds: float


def evaluate(evaluation: Evaluation, settings: Settings) -> Record:
    """Measure, or take what an earlier run with the same weights and settings measured.

    Args:
        evaluation: What to measure.
        settings: How.

    Raises:
        CheckpointError: There are no weights, or they cannot be fetched.
        DataError: The test command failed; the message has its last lines and the log's path.
    """
    weights = find_weights(evaluation, settings)
    digest = sha256_of(weights)
    config = zoo_dir() / evaluation.model.config
    cfg = load_config(str(config), None, ("model", "test_dataloader"))
    cfg.merge_from_dict(dict(_overrides(cfg, settings)))
    facts = (cfg.pretty_text, evaluation.multi_scale, digest, __version__)
    key = sha256(json.dumps(facts).encode()).hexdigest()
    kept = settings.out / "records" / f"{evaluation.name}.json"
    if not settings.fresh and (record := _read(kept)) is not None and record.key == key:
        return record
    start = time.monotonic()
    metrics = _run(evaluation, cfg, weights, settings)
    record = Record(key, metrics, weights.name, digest, round(time.monotonic() - start, 1))
    _write(kept, record)
    return record


def find_weights(evaluation: Evaluation, settings: Settings) -> Path:
    """The weights of a model: those that were named, a file in the folder, or the published ones.

    Raises:
        CheckpointError: There are none, or they cannot be fetched.
    """
    model = evaluation.model
    if model.name in settings.weights:
        address = settings.weights[model.name]
    elif model.weights is None:
        raise CheckpointError(f"{model.name}: no weights are published")
    else:
        address = model.weights.address
        local = (settings.weights_dir or Path()) / address.rpartition("/")[2]
        if settings.weights_dir and local.is_file():
            address = str(local)
    found = locate(address)
    if not found.is_file():
        raise CheckpointError(f"{model.name}: no such file of weights: {found}")
    return found


def _overrides(cfg: Config, settings: Settings) -> Iterator[tuple[str, Any]]:
    """The settings by dotted keys of the config."""
    if settings.data_root is not None:
        for name in ("test_dataloader", "test_evaluator"):
            for key, value in _texts(cfg.get(name), name):
                if value.startswith(_DATA):
                    yield key, str(settings.data_root / value.removeprefix(_DATA))
    if settings.limit is not None:
        yield "test_dataloader.dataset.indices", settings.limit


def _texts(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """All texts in nested settings, by dotted key."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from _texts(child, f"{key}.{name}")
    elif isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _texts(child, f"{key}.{index}")


def _run(
    evaluation: Evaluation, cfg: Config, weights: Path, settings: Settings
) -> dict[str, float]:
    """Run the test command in processes of its own, so that one failure ends one row only."""
    work_dir = settings.out / "runs" / evaluation.name
    work_dir.mkdir(parents=True, exist_ok=True)
    # Not by --cfg-options, which lose the blanks in a path.
    config = work_dir / Path(evaluation.model.config).name
    cfg.dump(config)
    tools = zoo_dir() / "tools"
    if settings.gpus > 1:
        command = ["bash", f"{tools}/dist_test.sh", str(config), str(weights), str(settings.gpus)]
    else:
        command = [sys.executable, f"{tools}/test.py", str(config), str(weights)]
        command += ["--device", "cuda" if settings.gpus else "cpu"]
    command += ["--work-dir", str(work_dir), *(["--tta"] if evaluation.multi_scale else [])]
    before = set(_results(work_dir))
    log = work_dir / "output.log"
    streams = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    environment = {**os.environ, "PYTHON": sys.executable}
    with (
        log.open("w") as stream,
        started(command, env=environment, stdout=stream, **streams) as process,
    ):
        status = process.wait()
    new = sorted(set(_results(work_dir)) - before)
    if status or not new:
        last = " ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
        raise DataError(f"the test command ended with {status}: {last} ({log})")
    return json.loads(new[-1].read_text())


def _results(work_dir: Path) -> list[Path]:
    """MMEngine writes the metrics of a test into the folder of its log."""
    return list(work_dir.glob("*/*.json"))


def _read(file: Path) -> Record | None:
    try:
        return Record(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):  # Not there, or of another version: measure again.
        return None


def _write(file: Path, record: Record) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(record), indent=1))
    part.replace(file)
