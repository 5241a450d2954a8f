"""What was found, kept in a file of the user's cache: per device, versions and kind of work."""

import json
import os
import platform
import re
import tempfile
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from mmvan.ops.choice import Choice
from mmvan.tune.search import Outcome
from mmvan.tune.workload import Workload
from mmvan.version import __version__


def cache_file() -> Path:
    """Where findings are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "mmvan", "tune.json")


def describe_device(device: str) -> dict[str, Any]:
    """All that a finding depends on besides the work: hardware, threads and versions."""
    found: dict[str, Any] = {"device": device, "torch": torch.__version__, "mmvan": __version__}
    if device == "cpu":
        vectors = torch.backends.cpu.get_cpu_capability()
        return {
            **found,
            "cpu": _cpu_model(),
            "vectors": vectors,
            "threads": torch.get_num_threads(),
        }
    found["triton"] = _triton_version()
    if device == "cuda":
        found |= {
            "gpu": torch.cuda.get_device_name(),
            "driver": _driver(),
            "cuda": torch.version.cuda,
        }
    return found


def look_up(workload: Workload) -> Outcome | None:
    """What was found for such work on this device; None if nothing was."""
    record = _read().get(_key(workload))
    return record and Outcome(Choice(**record["choice"]), record["gain"], record["complete"])


def keep(workload: Workload, outcome: Outcome) -> None:
    """Add what was found to the file, in one step: other runs may read it meanwhile."""
    path = cache_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    records = {**_read(), _key(workload): asdict(outcome)}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False) as file:
        json.dump(records, file, indent=1)
    Path(file.name).replace(path)


def _read() -> dict[str, Any]:
    try:
        records = json.loads(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # None yet, or not one of ours: measured again.
        return {}
    return records if isinstance(records, dict) else {}


def _key(workload: Workload) -> str:
    return json.dumps([describe_device(workload.device), workload.key()], sort_keys=True)


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"(?m)^model name\s*: (.*)$", text)
    return found.group(1) if found else platform.machine()


def _driver() -> str:
    path = Path("/proc/driver/nvidia/version")
    return path.read_text(encoding="utf-8").partition("\n")[0] if path.exists() else ""


def _triton_version() -> str:
    try:
        return metadata.version("triton")
    except metadata.PackageNotFoundError:
        return ""
