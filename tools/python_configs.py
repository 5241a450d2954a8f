"""Write the files by which configs in pure Python inherit ours: python tools/python_configs.py."""

from pathlib import Path

from mmvan.zoo.python_configs import TEXT

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("classification", "detection", "segmentation")


def expected() -> dict[Path, str]:
    """The text of each file, by its path in the package."""
    configs = sorted(path for task in TASKS for path in (ROOT / "configs" / task).glob("*.py"))
    return {
        Path("configs", f"{path.parent.name}_{path.name}"): TEXT.format(
            task=path.parent.name, name=path.stem
        )
        for path in configs
    }


def main() -> None:
    """Write them all, and remove those of configs that are gone."""
    texts = expected()
    package = ROOT / "mmvan"
    for old in (package / "configs").glob("*.py"):
        if old.relative_to(package) not in texts:
            old.unlink()
    for path, text in texts.items():
        (package / path).parent.mkdir(exist_ok=True)
        (package / path).write_text(text)


if __name__ == "__main__":
    main()
