"""What the commands of the leaderboard share: their folder, their tables' files, the versions."""

import platform
from pathlib import Path

import mmcv
import mmengine
import torch

import mmvan
from mmvan.errors import ConfigError
from mmvan.leaderboard.table import Table, to_csv, to_markdown


def make_folder(path: Path) -> Path:
    """Make the folder of ``--out``.

    Raises:
        ConfigError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {path} cannot be created: {error}") from error
    return path


def write_table(table: Table, title: str, out: Path, name: str) -> str:
    """Write a table as CSV and, below a title, as Markdown.

    Returns:
        str: A line that names the files.
    """
    (out / f"{name}.csv").write_text(to_csv(table), encoding="utf-8")
    (out / f"{name}.md").write_text(f"{title}\n\n{to_markdown(table)}\n", encoding="utf-8")
    return f"written to {out}/{name}.csv and {out}/{name}.md"


def versions() -> str:
    """The versions that a result depends on, as words."""
    libraries = {"Python": platform.python_version(), "mmvan": mmvan.__version__}
    libraries |= {module.__name__: module.__version__ for module in (torch, mmcv, mmengine)}
    return ", ".join(f"{name} {version}" for name, version in libraries.items())


def hardware(gpus: int) -> str:
    """What an evaluation runs on, as words."""
    if gpus:
        return f"{gpus} x {torch.cuda.get_device_name(0)}"
    return f"CPU {cpu_name()}, {torch.get_num_threads()} threads"


def cpu_name() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
