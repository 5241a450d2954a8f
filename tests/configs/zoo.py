"""Every config of the project, and what was published about each reference one."""

from pathlib import Path

from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / "configs"
LEAVES = sorted(path for path in CONFIGS.rglob("van_*.py") if path.parent.name != "models")
REFERENCE = [path for path in LEAVES if not path.stem.endswith(("_sample", "_custom"))]
SAMPLE = [path for path in LEAVES if path.stem.endswith("_sample")]
TEMPLATES = [path for path in LEAVES if path.stem.endswith("_custom")]

ARCH_OF_SIZE = {
    "t": "b0",
    "s": "b1",
    "b": "b2",
    "l": "b3",
    "h": "b4",
    "b5": "b5",
    "b6": "b6",
}


def method_and_size(path: Path) -> tuple[str, str]:
    """``van_b5_upernet`` -> ``("upernet", "b5")``."""
    _, size, method = path.stem.split("_", 2)
    return method, size


def load(path: Path) -> Config:
    return Config.fromfile(path)


def find(method: str, size: str) -> Path:
    (path,) = CONFIGS.glob(f"*/van_{size}_{method}.py")
    return path
