"""What `pyproject.toml` cannot say: the files that `mim` looks for inside the installed package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
MIM_ITEMS = ("configs", "tools", "model-index.yml")


def copy_item(source: Path, target: Path) -> None:
    """Copies a file or a folder (without bytecode) to `target`."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.py[cod]"))
    else:
        shutil.copyfile(source, target)


class BuildWithMim(build_py):
    """Puts configs, tools and model index into `mmvan/.mim`: links when editable, else copies."""

    def run(self) -> None:
        """Builds the package, then adds `.mim`."""
        super().run()
        package = ROOT / "mmvan" if self.editable_mode else Path(self.build_lib) / "mmvan"
        shutil.rmtree(package / ".mim", ignore_errors=True)
        (package / ".mim").mkdir(parents=True)
        for source in filter(Path.exists, (ROOT / item for item in MIM_ITEMS)):
            target = package / ".mim" / source.name
            if self.editable_mode:
                target.symlink_to(Path("..", "..", source.name), source.is_dir())
            else:
                copy_item(source, target)


class EditableWithMim(editable_wheel):
    """Tells `mim` where the package of an editable install is.

    `mim` joins the distribution's location, which is site-packages even though the package is not
    there, with the first line of `top_level.txt`: an absolute path in it leads to the source tree.
    """

    def run(self) -> None:
        """Changes the metadata, then makes the wheel."""
        self._ensure_dist_info()
        Path(self.dist_info_dir, "top_level.txt").write_text(f"{ROOT / 'mmvan'}\n", "utf-8")
        super().run()


setup(cmdclass={"build_py": BuildWithMim, "editable_wheel": EditableWithMim})
